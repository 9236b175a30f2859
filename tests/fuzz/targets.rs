//! The fuzz targets: each function accepts any bytes, and panics when it finds an error.
//!
//! `fuzz/` runs them with libFuzzer, and `main.rs` in this directory runs them with a driver that needs no nightly
//! toolchain. A new target needs a function here with a line in [`TARGETS`], a directory in `fuzz/corpus`, and a file
//! in `fuzz/fuzz_targets` with its entry in `fuzz/Cargo.toml`.

use recall_bridge::config::Config;
use recall_bridge::edge::Head;
use recall_bridge::escape;
use recall_bridge::events::recall::limits::RECORDS_MAX_BYTES;
use recall_bridge::events::{self, Origin};
use recall_bridge::record::{Record, restamp};
use recall_bridge::seq_set::SeqSet;
use recall_bridge::webhook::{self, Apps, Refusal, Verified};
use recall_bridge::{control, spool};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets, each with its name and the words that a driver inserts into inputs.
pub const TARGETS: [(&str, Target, &[&str]); 9] = [
    (
        "query",
        query,
        &["&", "=", "%", "+", "Sign=", "SdkAppid=1", "RequestTime=", "CallbackCommand=", "ClientIP=", "%53"],
    ),
    (
        "delivery",
        delivery,
        &["\"", "{", "}", "[", "]", ",", "\\u0000", "\\ud800", "\"MsgKey\":", "\"Official_Account\":"],
    ),
    ("record", record, &["\0\0\0\0", "\u{1}", "\0\0\0", "ce_id"]),
    ("spool_row", spool_row, &["\0\0\0\0", "\u{1}\0\0\0", "\u{7f}"]),
    ("control_line", control_line, &["\"action\":", "\"requeue\"", "\"ids\":", "[", "]", "-1", "9223372036854775807"]),
    (
        "head",
        head,
        &["\r\n", "\r\n\r\n", "POST / HTTP/1.1", "Host: h", "Content-Length: ", "Transfer-Encoding: chunked", " "],
    ),
    ("escape", escape_text, &["\u{1b}", "\u{202e}", "\u{2028}", "\u{85}", "\\", "\"", "\n"]),
    ("verify_set", verify_set, &["\0\0\0\0\0\0\0\0", "\u{7f}"]),
    ("config", config, &["\n", "=", "BRIDGE_", "KAFKA_", "true", "-1", "18446744073709551616", ",", ":", "|"]),
];

const QUERY: &[u8] =
    b"SdkAppid=2&CallbackCommand=OfficialAccount.CallbackAfterMsgWithDraw&ClientIP=::1&OptPlatform=Web";
const NOW: i64 = 1_669_872_112;

fn apps() -> Apps {
    Apps::parse("1:xxxxyyyy|other,2", true).expect("valid")
}

/// A query string: only its `Sign` makes it authentic, and the query that is stored without the `Sign` has the same
/// meaning.
pub fn query(data: &[u8]) {
    let kept = webhook::without_sign(data);
    assert_eq!(webhook::without_sign(kept.as_bytes()), kept);
    let same = |verified: &Verified<'_>| {
        let again = webhook::verified_before(&kept).expect("what was verified is understood");
        assert_eq!((again.sdk_app_id(), again.command()), (verified.sdk_app_id(), verified.command()));
        assert_eq!((again.client_ip(), again.opt_platform()), (verified.client_ip(), verified.opt_platform()));
    };
    match webhook::verify(data, &apps(), NOW, 60, events::is_published) {
        Ok(verified) => {
            same(&verified);
            assert!(verified.sdk_app_id() == 2 || contains(data, b"Sign") || contains(data, b"%"));
        }
        Err(Refusal::Stale { verified, .. } | Refusal::Expired { verified }) => {
            assert!(events::is_published(verified.command()));
            same(&verified);
        }
        Err(refusal) => assert!(refusal.to_string().len() < 300),
    }
}

fn contains(data: &[u8], what: &[u8]) -> bool {
    data.windows(what.len()).any(|window| window == what)
}

/// A body: the encoded record contains every accepted value byte for byte, and stays within its limit.
pub fn delivery(data: &[u8]) {
    let apps = apps();
    let verified = webhook::verify(QUERY, &apps, NOW, 60, events::is_published).expect("unsigned");
    let _ = events::account(data);
    let kind = events::find(verified.command()).expect("a published command");
    let messages = match kind.parse(&verified, data) {
        Ok(Some(messages)) => messages,
        Ok(None) => return,
        Err(error) => return assert!(error.to_string().len() < 600),
    };
    let origin = Origin::new(&verified, NOW * 1000, None);
    let mut total = 0;
    for index in 0..messages.count() {
        let mut bytes = Vec::new();
        messages.encode(index, &origin, &mut bytes);
        total += bytes.len();
        let described = messages.describe(index, &origin);
        let record = Record::decode(&bytes).expect("what was encoded");
        let value: serde_json::Value = serde_json::from_slice(record.value).expect("JSON");
        assert_eq!(Some(record.key), described["official_account"].as_str().map(str::as_bytes));
        for field in ["official_account", "msg_key", "event_id"] {
            assert_eq!(value[field], described[field]);
        }
        let subject = value["msg_key"].as_str().expect("text").as_bytes();
        assert!(record.headers().any(|(name, text)| name == "ce_subject" && text == subject));
    }
    assert!(total > 0 && total <= RECORDS_MAX_BYTES);
}

/// The bytes of a record.
pub fn record(data: &[u8]) {
    let mut again = data.to_vec();
    match Record::decode(data) {
        Err(_) => assert!(restamp(&mut again, 7).is_err() && again == data),
        Ok(record) => {
            let headers = record.headers().count();
            restamp(&mut again, 7).expect("a record");
            let stamped = Record::decode(&again).expect("a record");
            assert_eq!((stamped.timestamp_ms, stamped.key, stamped.value), (7, record.key, record.value));
            assert_eq!(stamped.headers().count(), headers);
        }
    }
}

/// A row of the spool: every event comes from the bytes of the row.
pub fn spool_row(data: &[u8]) {
    let Some((numbers, payload)) = data.split_first_chunk::<12>() else { return };
    let first_seq = u64::from_le_bytes(*numbers.first_chunk().expect("8 of 12"));
    let sum = u32::from_le_bytes(*numbers.last_chunk().expect("4 of 12"));
    for events in [0, 1, u64::from(numbers[3]), u64::MAX] {
        if let Ok(found) = spool::row_events(first_seq, events, sum, payload) {
            assert_eq!(found.len() as u64, events);
            assert!(found.iter().map(|event| event.len() + 4).sum::<usize>() <= payload.len());
        }
    }
}

/// A request that a command sends to the running process.
pub fn control_line(data: &[u8]) {
    let _ = control::is_request(data);
}

/// The environment, one line per variable.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let vars = text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| !reads_a_file(name));
    let secret = "s3cret-t0ken";
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let vars = vars.chain([("BRIDGE_APPS".to_owned(), format!("1:{secret}"))]);
    match Config::load(vars) {
        Ok(config) => assert!(!format!("{config:?}").contains(secret)),
        Err(faults) => assert!(!faults.is_empty() && !faults.to_string().contains(secret)),
    }
}

/// Returns whether a variable names a file. A fuzzer opens no files: reading `/dev/stdin` would block.
fn reads_a_file(name: &str) -> bool {
    ["FILE", "TLS", "LOCATION", "SSL", "SPOOL", "PLUGIN"].iter().any(|part| name.to_ascii_uppercase().contains(part))
}

/// The head of a request: its values lie inside it, and bytes after it change nothing.
pub fn head(data: &[u8]) {
    let Ok(Some((head, length))) = Head::read(data) else { return };
    assert!(length <= data.len());
    assert!(head.path().len() + head.query().len() <= length);
    let longer = [data, b"GET / HTTP/1.1\r\n\r\n"].concat();
    let (again, same) = Head::read(&longer).expect("the same").expect("complete");
    assert_eq!((same, again.raw()), (length, head.raw()));
}

/// Escaped text contains no character that controls a terminal. Escaped JSON keeps its value.
pub fn escape_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert!(!escape::plain(&text).chars().any(escape::is_unsafe));
    let json = escape::json(&text).expect("text is JSON");
    assert!(!json.chars().any(escape::is_unsafe));
    assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
}

/// A set of sequence numbers has the same content as a `BTreeSet`, for any order of the numbers.
pub fn verify_set(data: &[u8]) {
    let mut plain = std::collections::BTreeSet::new();
    let mut set = SeqSet::new(1);
    for bytes in data.chunks_exact(8) {
        let number = u64::from_le_bytes(bytes.try_into().expect("eight bytes")).max(1);
        assert_eq!(set.insert(number), plain.insert(number), "{number}");
        assert!(set.contains(number));
    }
    assert_eq!((set.len(), set.highest()), (plain.len() as u64, plain.last().copied()));
}
