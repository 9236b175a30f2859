//! A small official channel, for `docker compose --profile demo up`: it stores messages in a Redis cache, recalls
//! some of them, and measures how long each stays visible afterwards.
//!
//! ```sh
//! BRIDGE_APPS=1400000001:a-token BRIDGE_URL=http://127.0.0.1:8080/ cargo run --example demo_channel
//! ```
//!
//! | variable | default | |
//! |---|---|---|
//! | `BRIDGE_APPS` | required | as of the bridge; the first app is the sender |
//! | `BRIDGE_URL` | `http://127.0.0.1:8080/` | |
//! | `REDIS_URL` | `redis://127.0.0.1:6379/` | the cache that the consumer purges |
//! | `COUNT` | unlimited | number of recalls; then it exits, with an error if a recalled message is still visible |
//! | `PAUSE_MS` | `1000` | after each recall |

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};
use std::{env, thread};

use anyhow::Context as _;
use recall_bridge::events::RECALL_COMMAND;
use recall_bridge::webhook::Apps;
use serde_json::json;

/// The longest wait until a recalled message is purged.
const VISIBLE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(2);
/// The sender's timeout for a response, and the timeout of a connection to Redis.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The lifetime of a cached message.
const KEPT_SECONDS: u64 = 3600;
const ACCOUNTS: [&str; 3] = ["#TOA#_news", "@TOA#_weather", "#TOA#_shop"];

fn main() -> anyhow::Result<()> {
    let apps = env::var("BRIDGE_APPS").context("BRIDGE_APPS is missing")?;
    let apps = Apps::parse(&apps, true).map_err(|faults| anyhow::anyhow!("BRIDGE_APPS: {faults:?}"))?;
    let url = setting("BRIDGE_URL", "http://127.0.0.1:8080/".to_owned())?;
    let count = setting("COUNT", u64::MAX)?;
    let pause = Duration::from_millis(setting("PAUSE_MS", 1000)?);
    let redis = redis::Client::open(setting("REDIS_URL", "redis://127.0.0.1:6379/".to_owned())?)?;
    let mut cache = redis.get_connection_with_timeout(TIMEOUT).context("REDIS_URL")?;
    let (mut accounts, mut still_there) = (ACCOUNTS.iter().cycle(), 0_u64);
    for number in 0..count {
        let account = accounts.next().context("no account")?;
        let sent = now()?;
        // Two messages are published; the first one is recalled.
        let (recalled, kept) = (format!("{number}_0_{sent}"), format!("{number}_1_{sent}"));
        for message in [&recalled, &kept] {
            let key = format!("message:{account}:{message}");
            redis::cmd("SET").arg(key).arg("Hello!").arg("EX").arg(KEPT_SECONDS).exec(&mut cache)?;
        }
        let gone = match recall(&url, &apps, account, &recalled) {
            Ok(()) => purged_after(&mut cache, &format!("message:{account}:{recalled}"))?,
            Err(error) => {
                println!("{account:<14} {recalled:<24} NOT RECALLED: {error:#}");
                None
            }
        };
        if let Some(time) = gone {
            println!("{account:<14} {recalled:<24} recalled, purged after {time:.1?}");
        } else {
            println!("{account:<14} {recalled:<24} STILL VISIBLE");
            still_there += 1;
        }
        thread::sleep(pause);
    }
    anyhow::ensure!(still_there == 0, "{still_there} of {count} messages are still visible");
    Ok(())
}

/// Returns how long a recalled message stayed visible, or `None` if it was not purged.
fn purged_after(cache: &mut redis::Connection, key: &str) -> redis::RedisResult<Option<Duration>> {
    let started = Instant::now();
    while started.elapsed() < VISIBLE {
        if !redis::cmd("EXISTS").arg(key).query::<bool>(cache)? {
            return Ok(Some(started.elapsed()));
        }
        thread::sleep(LOOK);
    }
    Ok(None)
}

fn setting<T: FromStr>(name: &str, default: T) -> anyhow::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| name.to_owned()))
}

fn now() -> anyhow::Result<u64> {
    Ok(SystemTime::UNIX_EPOCH.elapsed()?.as_secs())
}

/// Posts the same webhook as the vendor. Fails if the bridge does not acknowledge it.
fn recall(url: &str, apps: &Apps, account: &str, msg_key: &str) -> anyhow::Result<()> {
    let app = apps.ids().next().context("BRIDGE_APPS names no app")?;
    let mut query = format!("SdkAppid={app}&CallbackCommand={RECALL_COMMAND}&contenttype=json&OptPlatform=RESTAPI");
    if let Some(token) = apps.get(app).and_then(|tokens| tokens.first()) {
        let time = now()?.to_string();
        query = format!("{query}&Sign={}&RequestTime={time}", token.sign(&time));
    }
    let list = [json!({ "MsgKey": msg_key })];
    let body = json!({ "CallbackCommand": RECALL_COMMAND, "Official_Account": account, "WithdrawMsgList": list });
    let body = body.to_string();
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).context("BRIDGE_URL")?;
    let mut stream = TcpStream::connect(host).context("cannot connect to the bridge")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "POST /{path}?{query} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let ok = answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"ActionStatus\":\"OK\"");
    anyhow::ensure!(ok, "{}", answer.lines().last().unwrap_or("no answer"));
    Ok(())
}
