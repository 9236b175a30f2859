//! What Kafka's errors mean for the bridge.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The label values of `kafka_errors_total{kind}`, see [`kind`].
pub const KINDS: [&str; 9] =
    ["transport", "timeout", "authentication", "authorization", "unknown_topic", "fenced", "fatal", "refused", "other"];

/// A failed step, as it is logged and shown in `/status`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {text}")]
pub struct Trouble {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// What was being done.
    pub doing: &'static str,
    /// What Kafka or librdkafka said.
    pub text: String,
}

impl Trouble {
    /// From an error of the client library.
    pub fn new(doing: &'static str, error: &KafkaError) -> Self {
        let kind = error.rdkafka_error_code().map_or("other", kind);
        let fatal = matches!(error, KafkaError::Transaction(inner) if inner.is_fatal());
        let kind = if fatal && kind == "other" { "fatal" } else { kind };
        Self { kind, doing, text: error.to_string() }
    }

    /// A wait that reached its bound.
    pub fn timeout(doing: &'static str, text: String) -> Self {
        Self { kind: "timeout", doing, text }
    }
}

/// The kind of an error code.
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
        E::Fatal => "fatal",
        code if is_refusal(code) => "refused",
        _ => "other",
    }
}

/// Whether the broker, or the client on its behalf, will never take this record.
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

/// The reason under which a refused record is kept.
pub fn refusal_reason(code: RDKafkaErrorCode) -> &'static str {
    use RDKafkaErrorCode as E;
    match code {
        E::MessageSizeTooLarge | E::MessageBatchTooLarge | E::InvalidMessageSize => "kafka_too_large",
        E::InvalidTimestamp => "kafka_invalid_timestamp",
        E::PolicyViolation => "kafka_policy",
        _ => "kafka_invalid",
    }
}
