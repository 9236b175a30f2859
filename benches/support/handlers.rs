//! The servers that the bridge is compared with, as a user would write them: actix-web and librdkafka.
//!
//! `bare` reads the body and answers a constant. `sync` also writes the body to a file and calls `fdatasync` before. `forget` checks Sign, parses, passes the record to librdkafka and
//! answers at once: what librdkafka holds is lost with the process. `await` answers after the broker has acknowledged
//! the record. The record has the bytes, the key and the headers of the bridge's record. The producer has the bridge's
//! properties (compression) and librdkafka's defaults otherwise (`linger.ms` 5, `acks` all).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::http::header::ContentType;
use actix_web::web::{Bytes, Data, Json, Query};
use actix_web::{App, HttpResponse, HttpServer, web};
use jiff::Timestamp;
use rdkafka::ClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, DeliveryResult, ProducerContext, ThreadedProducer};
use recall_bridge::config::Config;
use recall_bridge::webhook::{fail, ok};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::disk::{self, BLOCK_BYTES};
use super::kafka::{AWAIT, FORGET};
use super::{APP, TOKEN, setting};

pub(crate) const BARE: &str = "bare";
pub(crate) const SYNCS: &str = "sync";
/// The file of [`SYNCS`].
pub(crate) const SYNC_FILE: &str = "BENCH_SYNC_FILE";
pub(crate) const FORGETS: &str = "forget";
pub(crate) const AWAITS: &str = "await";
const SPOOL: &str = "0198c0de-1111-7abc-8def-0123456789ab";
const NAMESPACE: Uuid = Uuid::from_u128(0x1550_42e4_d14e_51a0_9d89_925f_3601_4ef8);
const SIGN_WINDOW_SECONDS: i64 = 60;

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "SdkAppid")]
    app: u64,
    #[serde(rename = "Sign")]
    sign: String,
    #[serde(rename = "RequestTime")]
    time: i64,
    #[serde(rename = "OptPlatform")]
    platform: Option<String>,
    #[serde(rename = "ClientIP")]
    ip: Option<String>,
}

#[derive(Deserialize)]
struct Webhook {
    #[serde(rename = "Official_Account")]
    account: String,
    #[serde(rename = "WithdrawMsgList")]
    list: Vec<Recalled>,
    #[serde(rename = "EventTime")]
    time: Option<i64>,
}

#[derive(Deserialize)]
struct Recalled {
    #[serde(rename = "MsgKey")]
    key: String,
}

#[derive(Serialize)]
struct Value<'a> {
    schema_version: u32,
    event_id: Uuid,
    sdk_app_id: u64,
    official_account: &'a str,
    msg_key: &'a str,
    message_sent_at: Option<String>,
    recalled_at: Option<&'a str>,
    received_at: String,
    opt_platform: Option<&'a str>,
    client_ip: Option<&'a str>,
}

/// A record before librdkafka gets it.
struct Made {
    value: Vec<u8>,
    headers: OwnedHeaders,
    timestamp_ms: i64,
}

/// Runs this process as a handler if that is its role.
pub(crate) fn run(role: &str) {
    match role {
        BARE => listen(|config| {
            config.default_service(web::to(|_body: Bytes| async { answer_ok() }));
        }),
        SYNCS => {
            let file = disk::file(setting(SYNC_FILE, PathBuf::new()).as_path());
            let file = Data::new(disk::Slots::new(file, BLOCK_BYTES));
            listen(move |config| {
                config.app_data(file.clone()).default_service(web::to(sync));
            });
        }
        FORGETS => {
            check();
            let producer: ThreadedProducer<DefaultProducerContext> = producer(DefaultProducerContext);
            listen(move |config| {
                config.app_data(Data::new(producer.clone())).default_service(web::to(forget));
            });
        }
        AWAITS => {
            let producer = Arc::new(producer(Waiters));
            listen(move |config| {
                config.app_data(Data::from(Arc::clone(&producer))).default_service(web::to(wait));
            });
        }
        _ => return,
    }
    std::process::exit(0);
}

fn listen(configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static) {
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(move || App::new().configure(configure.clone()))
            .workers(std::thread::available_parallelism().map_or(2, usize::from))
            .bind("127.0.0.1:0")
            .expect("a port");
        println!("{}", server.addrs()[0]);
        server.run().await.expect("the server runs");
    });
}

fn producer<C: ProducerContext + 'static>(context: C) -> ThreadedProducer<C> {
    let config = Config::from_env().expect("the variables of the bridge");
    let mut config = config.kafka.client_config();
    config.set("partitioner", "murmur2_random");
    config.create_with_context(context).expect("a producer")
}

/// Blocks the worker, which is right for one connection only.
async fn sync(_body: Bytes, slots: Data<disk::Slots>) -> HttpResponse {
    slots.write();
    answer_ok()
}

async fn forget(
    params: Query<Params>,
    webhook: Json<Webhook>,
    producer: Data<ThreadedProducer<DefaultProducerContext>>,
) -> HttpResponse {
    if !is_signed(&params) {
        return HttpResponse::Forbidden().body(fail(120_001, "Sign"));
    }
    let now = Timestamp::now().as_millisecond();
    for recalled in &webhook.list {
        let made = make(&params, &webhook, &recalled.key, now);
        let record = BaseRecord::to(FORGET).key(&webhook.account).payload(&made.value).timestamp(made.timestamp_ms);
        if producer.send(record.headers(made.headers)).is_err() {
            return HttpResponse::ServiceUnavailable().body(fail(120_002, "the queue is full"));
        }
    }
    answer_ok()
}

/// Passes the result of each record to the request that waits for it.
struct Waiters;

impl ClientContext for Waiters {}

impl ProducerContext for Waiters {
    type DeliveryOpaque = Box<oneshot::Sender<bool>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiter: Self::DeliveryOpaque) {
        let _ = waiter.send(result.is_ok());
    }
}

async fn wait(
    params: Query<Params>,
    webhook: Json<Webhook>,
    producer: Data<ThreadedProducer<Waiters>>,
) -> HttpResponse {
    if !is_signed(&params) {
        return HttpResponse::Forbidden().body(fail(120_001, "Sign"));
    }
    let now = Timestamp::now().as_millisecond();
    let mut waiting = Vec::with_capacity(webhook.list.len());
    for recalled in &webhook.list {
        let made = make(&params, &webhook, &recalled.key, now);
        let (sender, receiver) = oneshot::channel();
        let record = BaseRecord::with_opaque_to(AWAIT, Box::new(sender)).key(&webhook.account).payload(&made.value);
        if producer.send(record.timestamp(made.timestamp_ms).headers(made.headers)).is_err() {
            return HttpResponse::ServiceUnavailable().body(fail(120_002, "the queue is full"));
        }
        waiting.push(receiver);
    }
    for receiver in waiting {
        if receiver.await != Ok(true) {
            return HttpResponse::ServiceUnavailable().body(fail(120_003, "not delivered"));
        }
    }
    answer_ok()
}

fn answer_ok() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(ok())
}

fn is_signed(params: &Params) -> bool {
    let hash = Sha256::new().chain_update(TOKEN).chain_update(params.time.to_string()).finalize();
    let age = Timestamp::now().as_second() - params.time;
    params.app == APP && hex::encode(hash) == params.sign && age.abs() <= SIGN_WINDOW_SECONDS
}

fn make(params: &Params, webhook: &Webhook, key: &str, now_ms: i64) -> Made {
    static SEQ: AtomicU64 = AtomicU64::new(1);
    let millis = |ms| Timestamp::from_millisecond(ms).ok().map(|time| format!("{time:.3}"));
    let sent_at = key.rsplit('_').next().and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    let event_id = Uuid::new_v5(&NAMESPACE, format!("{}/{}/{key}", params.app, webhook.account).as_bytes());
    let recalled_at = webhook.time.and_then(millis);
    let value = Value {
        schema_version: 1,
        event_id,
        sdk_app_id: params.app,
        official_account: &webhook.account,
        msg_key: key,
        message_sent_at: sent_at.map(|time| format!("{time:.0}")),
        recalled_at: recalled_at.as_deref(),
        received_at: millis(now_ms).unwrap_or_default(),
        opt_platform: params.platform.as_deref(),
        client_ip: params.ip.as_deref(),
    };
    let value = serde_json::to_vec(&value).expect("JSON");
    let event_id = event_id.to_string();
    let source = format!("/tencent-chat/apps/{}", params.app);
    let seq = SEQ.fetch_add(1, Ordering::Relaxed).to_string();
    let fields = [
        ("ce_specversion", Some("1.0")),
        ("ce_id", Some(&event_id)),
        ("ce_source", Some(&source)),
        ("ce_type", Some("tencent.chat.official_account.message_recalled.v1")),
        ("ce_subject", Some(key)),
        ("ce_time", recalled_at.as_deref()),
        ("content-type", Some("application/json")),
        ("bridge_spool", Some(SPOOL)),
        ("bridge_seq", Some(&seq)),
    ];
    let mut headers = OwnedHeaders::new_with_capacity(fields.len());
    for (key, value) in fields {
        headers = headers.insert(Header { key, value });
    }
    Made { value, headers, timestamp_ms: now_ms }
}

/// Panics unless a record is the same as that of the bridge.
fn check() {
    use rdkafka::message::Headers as _;
    use recall_bridge::events::recall::RecalledMessage;
    use recall_bridge::record::Record;

    let (now, key, account) = (1_700_000_000_123, "71_1_1698741698", "#TOA#_1");
    let text = |text: &str| Some(text.to_owned());
    let params = Params { app: APP, sign: String::new(), time: 0, platform: text("RESTAPI"), ip: text("127.0.0.1") };
    let webhook = Webhook { account: account.to_owned(), list: Vec::new(), time: Some(1_670_574_414_123) };
    let made = make(&params, &webhook, key, now);
    let mut bytes = Vec::new();
    RecalledMessage {
        sdk_app_id: APP,
        official_account: account,
        msg_key: key,
        recalled_at_ms: webhook.time,
        received_at_ms: now,
        opt_platform: params.platform.as_deref(),
        client_ip: params.ip.as_deref(),
        traceparent: None,
    }
    .encode(&mut bytes);
    let record = Record::decode(&bytes).expect("a record");
    assert_eq!(String::from_utf8_lossy(&made.value), String::from_utf8_lossy(record.value));
    let headers: Vec<_> = made.headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
    assert_eq!(headers[..headers.len() - 2], record.headers().collect::<Vec<_>>());
}
