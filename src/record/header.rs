//! Names of the headers: `CloudEvents` 1.0, Kafka protocol binding, binary content mode.

/// Always `1.0`.
pub const SPEC_VERSION: &str = "ce_specversion";
/// The `event_id` of the value.
pub const ID: &str = "ce_id";
/// `/tencent-chat/apps/{sdk_app_id}`.
pub const SOURCE: &str = "ce_source";
/// The type of the event.
pub const TYPE: &str = "ce_type";
/// The `msg_key` of the value.
pub const SUBJECT: &str = "ce_subject";
/// The `recalled_at` of the value, if known.
pub const TIME: &str = "ce_time";
/// `application/json`.
pub const CONTENT_TYPE: &str = "content-type";
/// W3C Trace Context, if the request had one.
pub const TRACEPARENT: &str = "traceparent";

/// The header with the spool UUID.
pub const BRIDGE_SPOOL: &str = "bridge_spool";
/// The header, value `1`, of a record that was published directly. It has neither of the other two.
pub const BRIDGE_UNSPOOLED: &str = "bridge_unspooled";
/// The header with the sequence number in the spool, in decimal.
pub const BRIDGE_SEQ: &str = "bridge_seq";
/// The header of a record that was published again on purpose: the id of the replay. It has the same `event_id` as the
/// original.
pub const BRIDGE_REPLAY: &str = "bridge_replay";
