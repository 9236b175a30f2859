//! The webhooks of the load generator: signed recalls, of which each one is different.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use recall_bridge::events::RECALL_COMMAND;
use recall_bridge::webhook::Token;

use super::{APP, TOKEN};

/// A `Sign` is valid for 60 s.
const SIGN_AGE_MAX: Duration = Duration::from_secs(20);
const KEY: &str = "\"MsgKey\":\"";
const ACCOUNT: &str = "#TOA#_";
/// Digits of a key that count: after those of connection and place.
const COUNTER: std::ops::Range<usize> = 6..16;

/// A request whose keys, account and signature are replaced in place.
pub(crate) struct Request {
    bytes: Vec<u8>,
    signed: Instant,
    sign_at: usize,
    time_at: usize,
    account_at: usize,
    keys_at: Vec<usize>,
    account: usize,
    accounts: usize,
}

impl Request {
    /// Returns the first request of a connection. `run` makes the keys of several runs different.
    pub(crate) fn new(connection: usize, keys: usize, accounts: usize, run: u64) -> Self {
        let (time, sign) = signature();
        let key = |key| format!("{{{KEY}{connection:04}{key:02}0000000000_{run}_1698741698\"}}");
        let list: Vec<String> = (0..keys).map(key).collect();
        let account = connection % accounts;
        let body = format!(
            "{{\"CallbackCommand\":\"{RECALL_COMMAND}\",\"Official_Account\":\"{ACCOUNT}{account:04}\",\"WithdrawMsgList\":[{}],\"EventTime\":1670574414123}}",
            list.join(",")
        );
        let text = format!(
            "POST /?SdkAppid={APP}&CallbackCommand={RECALL_COMMAND}&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI&Sign={sign}&RequestTime={time} HTTP/1.1\r\n\
             Host: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let at = |mark: &str| text.find(mark).expect("a field of the request") + mark.len();
        Self {
            signed: Instant::now(),
            sign_at: at("&Sign="),
            time_at: at("&RequestTime="),
            account_at: at(ACCOUNT),
            keys_at: text.match_indices(KEY).map(|(found, _)| found + KEY.len()).collect(),
            account,
            accounts,
            bytes: text.into_bytes(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes the next request: other keys, the next account, and a new signature before the old one expires.
    pub(crate) fn advance(&mut self, now: Instant) {
        for at in &self.keys_at {
            increment(&mut self.bytes[at + COUNTER.start..at + COUNTER.end]);
        }
        self.account = (self.account + 1) % self.accounts;
        put_number(&mut self.bytes[self.account_at..self.account_at + 4], self.account);
        if now.duration_since(self.signed) > SIGN_AGE_MAX {
            let (time, sign) = signature();
            self.bytes[self.sign_at..self.sign_at + sign.len()].copy_from_slice(sign.as_bytes());
            self.bytes[self.time_at..self.time_at + time.len()].copy_from_slice(time.as_bytes());
            self.signed = now;
        }
    }
}

/// Returns `RequestTime` and `Sign` of the current time.
pub(crate) fn signature() -> (String, String) {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs().to_string();
    let sign = TOKEN.parse::<Token>().expect("a token").sign(&time);
    (time, sign)
}

/// Adds one to a decimal number.
fn increment(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

fn put_number(digits: &mut [u8], mut number: usize) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}
