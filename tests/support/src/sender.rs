//! A sender that signs as the vendor does, over connections kept alive.

use std::time::{Duration, SystemTime};

use recall_bridge::events::RECALL_COMMAND;
use recall_bridge::webhook::Token;
use serde_json::{Value, json};

/// The response to a request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// `Connection`, if present.
    pub connection: Option<String>,
    /// `Allow`, if present.
    pub allow: Option<String>,
    /// The body as received.
    pub text: String,
    /// The body as JSON.
    pub body: Value,
}

impl Answer {
    /// Returns whether the webhook was acknowledged. Panics if status and body contradict each other, or if the body
    /// does not have the vendor's format.
    #[track_caller]
    pub fn is_ok(&self) -> bool {
        assert_eq!(self.content_type, "application/json", "{self:?}");
        let fields: Vec<&str> = self.body.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(fields, ["ActionStatus", "ErrorCode", "ErrorInfo"], "{self:?}");
        assert!(self.body["ErrorInfo"].is_string(), "{self:?}");
        let ok = self.body["ActionStatus"] == "OK";
        assert_eq!(ok, self.status == 200, "{self:?}");
        assert_eq!(ok, self.code() == 0, "{self:?}");
        assert!(ok || self.body["ActionStatus"] == "FAIL", "{self:?}");
        assert!(ok || (120_001..=130_000).contains(&self.code()), "{self:?}");
        ok
    }

    /// `ErrorCode`.
    pub fn code(&self) -> u64 {
        self.body["ErrorCode"].as_u64().expect("ErrorCode is a number")
    }

    /// `ErrorInfo`.
    pub fn info(&self) -> &str {
        self.body["ErrorInfo"].as_str().expect("ErrorInfo is a string")
    }
}

/// Returns the current time in UNIX seconds.
pub fn unix_now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

/// Returns the query of a recall, signed for the current time.
pub fn signed_query(app: u64, token: &str) -> String {
    query_at(app, token, RECALL_COMMAND, unix_now())
}

/// Returns the query of any command, signed for any time.
pub fn query_at(app: u64, token: &str, command: &str, request_time: i64) -> String {
    let sign = token.parse::<Token>().unwrap().sign(&request_time.to_string());
    format!(
        "SdkAppid={app}&CallbackCommand={command}&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI\
         &Sign={sign}&RequestTime={request_time}"
    )
}

/// Returns the body of a recall.
pub fn recall_body<K: AsRef<str>>(account: &str, msg_keys: &[K]) -> String {
    let list: Vec<Value> = msg_keys.iter().map(|key| json!({ "MsgKey": key.as_ref() })).collect();
    json!({
        "CallbackCommand": RECALL_COMMAND,
        "Official_Account": account,
        "WithdrawMsgList": list,
        "EventTime": 1_670_574_414_123_i64,
    })
    .to_string()
}

/// A blocking sender of one webhook at a time. A load test needs one sender per thread.
#[derive(Debug)]
pub struct Sender {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
    app: u64,
    token: String,
}

impl Sender {
    /// Returns a sender to the webhook URL `url`.
    pub fn new(url: &str, app: u64, token: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = recall_bridge::commands::http_client::plain()
            .unwrap()
            .no_proxy()
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(20));
        Self { runtime, client: client.build().unwrap(), url: url.to_owned(), app, token: token.to_owned() }
    }

    /// Returns a sender to an `https` URL, with this TLS configuration.
    pub fn secure(url: &str, app: u64, token: &str, tls: &rustls::ClientConfig) -> Self {
        let plain = Self::new(url, app, token);
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls.clone()).no_proxy();
        Self { client: client.tcp_nodelay(true).timeout(Duration::from_secs(20)).build().unwrap(), ..plain }
    }

    /// Posts a recall of these keys, signed for the current time.
    #[track_caller]
    pub fn recall<K: AsRef<str>>(&self, account: &str, msg_keys: &[K]) -> Answer {
        self.try_recall(account, msg_keys).expect("an answer")
    }

    /// Posts a recall to a bridge that may exit meanwhile.
    pub fn try_recall<K: AsRef<str>>(&self, account: &str, msg_keys: &[K]) -> reqwest::Result<Answer> {
        self.try_post(&signed_query(self.app, &self.token), recall_body(account, msg_keys))
    }

    /// Posts a recall and panics unless it is acknowledged.
    #[track_caller]
    pub fn acknowledged<K: AsRef<str>>(&self, account: &str, msg_keys: &[K]) {
        let answer = self.recall(account, msg_keys);
        assert!(answer.is_ok(), "{answer:?}");
    }

    /// Posts any query and body.
    #[track_caller]
    pub fn post(&self, query: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.try_post(query, body).expect("an answer")
    }

    /// Posts any query and body to a bridge that may exit meanwhile.
    pub fn try_post(&self, query: &str, body: impl Into<reqwest::Body>) -> reqwest::Result<Answer> {
        let request = self.client.post(format!("{}?{query}", self.url)).body(body);
        self.answer(request.header("content-type", "application/json"))
    }

    /// Sends a request with any method to any path.
    #[track_caller]
    pub fn request(&self, method: reqwest::Method, path: &str) -> Answer {
        self.answer(self.client.request(method, format!("{}{path}", self.url))).expect("an answer")
    }

    /// Posts with additional headers.
    #[track_caller]
    pub fn post_with(&self, headers: &[(&str, &str)], query: &str, body: String) -> Answer {
        let request = self.client.post(format!("{}?{query}", self.url)).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.answer(request).expect("an answer")
    }

    fn answer(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        self.runtime.block_on(async {
            let response = request.send().await?;
            let header =
                |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
            let (content_type, connection, allow) = (header("content-type"), header("connection"), header("allow"));
            let status = response.status().as_u16();
            let text = response.text().await?;
            let body = serde_json::from_str(&text).unwrap_or_default();
            Ok(Answer { status, content_type: content_type.unwrap_or_default(), connection, allow, text, body })
        })
    }
}
