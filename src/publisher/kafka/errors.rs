//! Classifies Kafka's errors by their meaning for the bridge.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::spool::QuarantineReason;

/// The label values of `kafka_errors_total{kind}`, see [`kind`].
pub const KINDS: [&str; 12] = [
    "transport",
    "timeout",
    "authentication",
    "authorization",
    "unknown_topic",
    "fenced",
    "fatal",
    "refused",
    "other",
    "compression",
    "unsupported",
    "quarantine_full",
];

/// Returns the change that an operator must make, for a kind of error that no retry fixes.
pub fn needs_you(kind: &str) -> Option<&'static str> {
    match kind {
        "authentication" => Some("check KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_… and KAFKA_SSL_… against the broker"),
        "authorization" => Some(
            "allow the bridge's user Write, Read and Describe on the topic, Write and Describe on the transactional ids \
             recall-bridge.*, and with BRIDGE_DELIVERY=at_least_once IdempotentWrite on the cluster",
        ),
        "unknown_topic" => Some("create the topic, correct BRIDGE_TOPIC, or set BRIDGE_TOPIC_CREATE=true"),
        "compression" => Some(
            "the broker rejects the compression of the records: set KAFKA_COMPRESSION_TYPE=gzip, or \
             KAFKA_COMPRESSION_TYPE=none",
        ),
        "unsupported" => Some(
            "the broker must assign a producer id (InitProducerId: Apache Kafka 0.11 or later, \
             transaction.max.timeout.ms at least 15000); for a broker without transactions, set \
             BRIDGE_DELIVERY=at_least_once",
        ),
        "quarantine_full" => Some(
            "a record that Kafka rejects has no room in quarantine, and the records after it wait: requeue or drop \
             entries, or raise BRIDGE_QUARANTINE_MAX_BYTES",
        ),
        _ => None,
    }
}

/// A failed step of the publisher, as it is logged and shown in `/status`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {text}{}", needs_you(kind).map_or(String::new(), |what| format!("; needs you: {what}")))]
pub struct StepError {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// The step that failed, as a participle: "publishing".
    pub doing: &'static str,
    /// The error text of Kafka or librdkafka.
    pub text: String,
}

impl StepError {
    /// Classifies an error of the client library.
    pub fn new(doing: &'static str, error: &KafkaError) -> Self {
        let kind = error.rdkafka_error_code().map_or("other", kind);
        // As a response to records, this error is about their compression.
        let kind = if doing == PUBLISHING && is_about_packing(error) { "compression" } else { kind };
        let fatal = matches!(error, KafkaError::Transaction(inner) if inner.is_fatal());
        let kind = if fatal && kind == "other" { "fatal" } else { kind };
        Self { kind, doing, text: error.to_string() }
    }

    /// A wait that timed out.
    pub fn timeout(doing: &'static str, text: String) -> Self {
        Self { kind: "timeout", doing, text }
    }
}

/// The step of sending records.
pub(in crate::publisher) const PUBLISHING: &str = "publishing";

fn is_about_packing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        error.rdkafka_error_code(),
        Some(E::InvalidRequest | E::UnsupportedForMessageFormat | E::UnsupportedVersion)
    )
}

/// Returns the kind of an error code, one of [`KINDS`].
pub fn kind(code: RDKafkaErrorCode) -> &'static str {
    use RDKafkaErrorCode as E;
    match code {
        E::BrokerTransportFailure
        | E::AllBrokersDown
        | E::Resolve
        | E::BrokerNotAvailable
        | E::NetworkException
        | E::LeaderNotAvailable
        | E::NotLeaderForPartition
        | E::CoordinatorNotAvailable
        | E::CoordinatorLoadInProgress
        | E::NotCoordinator
        | E::NotEnoughReplicas
        | E::NotEnoughReplicasAfterAppend => "transport",
        E::OperationTimedOut | E::MessageTimedOut | E::TimedOutQueue | E::RequestTimedOut => "timeout",
        E::Authentication
        | E::SaslAuthenticationFailed
        | E::SSL
        | E::UnsupportedSASLMechanism
        | E::IllegalSASLState => "authentication",
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed => "authorization",
        E::UnknownTopic | E::UnknownTopicOrPartition | E::UnknownPartition | E::InvalidTopic => "unknown_topic",
        E::Fenced
        | E::InvalidProducerEpoch
        | E::ProducerFenced
        | E::InvalidProducerIdMapping
        | E::TransactionCoordinatorFenced => "fenced",
        E::UnsupportedCompressionType => "compression",
        E::UnsupportedVersion | E::UnsupportedFeature | E::InvalidTransactionTimeout => "unsupported",
        E::Fatal => "fatal",
        code if is_refusal(code) => "refused",
        _ => "other",
    }
}

/// Whether the broker, or the client on its behalf, rejects this record permanently.
pub fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::MessageSizeTooLarge
            | E::MessageBatchTooLarge
            | E::InvalidMessageSize
            | E::InvalidTimestamp
            | E::InvalidRecord
            | E::PolicyViolation
    )
}

/// Returns the quarantine reason of a poison record.
pub fn refusal_reason(code: RDKafkaErrorCode) -> QuarantineReason {
    use RDKafkaErrorCode as E;
    match code {
        E::MessageSizeTooLarge | E::MessageBatchTooLarge | E::InvalidMessageSize => QuarantineReason::KafkaTooLarge,
        E::InvalidTimestamp => QuarantineReason::KafkaInvalidTimestamp,
        E::PolicyViolation => QuarantineReason::KafkaPolicy,
        _ => QuarantineReason::KafkaInvalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_without_a_retry_name_the_setting_to_change() {
        let publishing = |code| StepError::new(PUBLISHING, &KafkaError::MessageProduction(code));
        for code in [76, 43, 42, 35] {
            let error = publishing(rdkafka::types::RDKafkaErrorCode::from(code_of(code)));
            assert_eq!(error.kind, "compression", "{code}");
            assert!(error.to_string().contains("KAFKA_COMPRESSION_TYPE"), "{error}");
        }
        let connecting = |code| StepError::new("connecting to Kafka", &KafkaError::Global(code)).to_string();
        assert!(connecting(RDKafkaErrorCode::UnsupportedFeature).contains("needs you"));
        assert!(connecting(RDKafkaErrorCode::ClusterAuthorizationFailed).contains("IdempotentWrite"));
        assert!(!connecting(RDKafkaErrorCode::OperationTimedOut).contains("needs you"));
        assert!(KINDS.iter().filter(|kind| needs_you(kind).is_some()).count() == 6);
    }

    fn code_of(code: i32) -> rdkafka::types::RDKafkaRespErr {
        use rdkafka::types::RDKafkaRespErr as R;
        match code {
            76 => R::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
            43 => R::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
            42 => R::RD_KAFKA_RESP_ERR_INVALID_REQUEST,
            _ => R::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
        }
    }
}
