//! Errors that a client reports in callbacks while a call fails: often the cause of a timeout.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::errors::kind;

/// One error that librdkafka reported.
#[derive(Debug, Clone)]
pub(in crate::publisher) struct ClientError {
    /// A label value of `kafka_errors_total{kind}`.
    pub(in crate::publisher) kind: &'static str,
    /// librdkafka's text, on one line.
    pub(in crate::publisher) reason: String,
    weight: u8,
}

impl ClientError {
    pub(in crate::publisher) fn new(error: &KafkaError, reason: &str) -> Self {
        let code = error.rdkafka_error_code();
        let mut kind = code.map_or("other", kind);
        // With TLS 1.3, a broker rejects a certificate after the handshake. librdkafka then reports only a broken
        // connection, with this alert.
        if kind == "transport" && reason.contains("SSL") && reason.contains("alert") {
            kind = "authentication";
        }
        let weight = match (kind, code) {
            ("authentication", _) => 2,
            // It follows from an earlier, more specific error.
            (_, Some(RDKafkaErrorCode::AllBrokersDown)) => 0,
            _ => 1,
        };
        let mut reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        // librdkafka has one text for all these causes.
        if reason.contains("broker certificate could not be verified") {
            reason += "; it may also have expired, or name another host";
        }
        Self { kind, reason, weight }
    }

    /// The broker assigns no producer id. Temporary reasons are of the kind `transport`.
    pub(in crate::publisher) fn no_producer_id(reason: &str) -> Self {
        let passing = ["coordinator", "in progress", "available", "timed out", "retriable", "transport"];
        let lower = reason.to_lowercase();
        let kind = if passing.iter().any(|word| lower.contains(word)) { "transport" } else { "unsupported" };
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { kind, reason, weight: if kind == "unsupported" { 2 } else { 1 } }
    }

    /// Whether this error is at least as specific as an earlier one.
    pub(in crate::publisher) fn outweighs(&self, before: &Self) -> bool {
        self.weight >= before.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specific_error_outweighs_a_general_one() {
        let client_error = |code, reason: &str| ClientError::new(&KafkaError::Global(code), reason);
        let refused = client_error(RDKafkaErrorCode::Authentication, "SASL authentication\n error");
        let broken = client_error(RDKafkaErrorCode::BrokerTransportFailure, "Disconnected");
        let down = client_error(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        assert_eq!((refused.kind, refused.reason.as_str()), ("authentication", "SASL authentication error"));
        assert_eq!((broken.kind, down.kind), ("transport", "transport"));
        assert!(refused.outweighs(&broken) && refused.outweighs(&refused) && broken.outweighs(&down));
        assert!(!broken.outweighs(&refused) && !down.outweighs(&refused) && !down.outweighs(&broken));
    }

    #[test]
    fn an_alert_after_the_handshake_is_an_authentication_error() {
        let reason = "SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116";
        let client_error = ClientError::new(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), reason);
        assert_eq!(client_error.kind, "authentication");
    }
}
