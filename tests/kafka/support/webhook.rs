//! The vendor's side: signed requests, made without the bridge's own code.

use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

pub(crate) const APP: u64 = 1_400_000_001;
pub(crate) const TOKEN: &str = "xxxxyyyy";
/// The `EventTime` of every recall.
pub(crate) const EVENT_TIME_MS: i64 = 1_670_574_414_123;

/// Path and query of a recall, signed now.
pub(crate) fn path() -> String {
    let now = unix_ms() / 1000;
    let sign = hex::encode(Sha256::digest(format!("{TOKEN}{now}")));
    format!(
        "/?SdkAppid={APP}&CallbackCommand=OfficialAccount.CallbackAfterMsgWithDraw&contenttype=json\
         &ClientIP=127.0.0.1&OptPlatform=RESTAPI&Sign={sign}&RequestTime={now}"
    )
}

pub(crate) fn body(account: &str, keys: &[String]) -> String {
    let list: Vec<_> = keys.iter().map(|key| serde_json::json!({ "MsgKey": key })).collect();
    serde_json::json!({
        "CallbackCommand": "OfficialAccount.CallbackAfterMsgWithDraw",
        "Official_Account": account,
        "WithdrawMsgList": list,
        "EventTime": EVENT_TIME_MS,
    })
    .to_string()
}

pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the end of time")
}
