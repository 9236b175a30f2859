//! The network between the bridges and Kafka: it loses, holds, repeats and delays requests.

use crate::faults::Kind;
use crate::kafka::{Answer, Kafka, Refused, Request};
use crate::say;
use crate::world::{Stop, World};

/// How many times the client sends a request before it gives up.
const ATTEMPTS: usize = 8;

impl World {
    /// Sends a request as the client library does, until a response arrives or the client gives up. The inner error is
    /// a response that reports an error.
    pub fn request(&mut self, node: usize, request: &Request) -> Result<Result<Answer, Refused>, Stop> {
        for _ in 0..ATTEMPTS {
            self.turbulence(node)?;
            if self.chaos(held_kind(request), 8) {
                self.held.push(request.clone());
                continue;
            }
            if self.chaos(Kind::RequestLost, 12) {
                continue;
            }
            let answer = self.kafka.handle(request);
            say!(self, "bridge {node}:   {request:?} -> {answer:?}");
            self.count_answer(request, answer);
            if matches!(answer, Err(Refused::Concurrent)) {
                // The client repeats the request, and the coordinator writes the markers in the meantime.
                if self.calm || self.random.one_in(2) {
                    self.write_markers();
                }
                continue;
            }
            if matches!(answer, Err(Refused::Away)) || self.chaos(Kind::AnswerLost, 12) {
                continue;
            }
            if self.chaos(Kind::GivenUp, 15) {
                self.held.push(request.clone());
                return Ok(Err(Refused::Away));
            }
            self.turbulence(node)?;
            return Ok(answer);
        }
        if !self.calm && self.random.one_in(2) {
            self.held.push(request.clone());
        }
        Ok(Err(Refused::Away))
    }

    fn count_answer(&mut self, request: &Request, answer: Result<Answer, Refused>) {
        match (answer, request) {
            (Err(Refused::Fenced), _) => self.counts.count(Kind::Fenced),
            (Err(Refused::NotInTransaction), _) => self.counts.count(Kind::NotOpen),
            (Err(Refused::OutOfOrder), _) => self.counts.count(Kind::OutOfOrder),
            (Ok(Answer::Offset(at)), Request::Produce { partition, records, .. }) => {
                let log = self.kafka.partitions.as_ref().and_then(|all| all.get(*partition));
                if log.is_some_and(|log| at + records.len() < log.high()) {
                    self.counts.count(Kind::Repeated);
                }
            }
            _ => {}
        }
    }

    /// Delivers a held request long after it was sent.
    pub fn deliver_late(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let request = self.held.swap_remove(self.random.below(self.held.len()));
        let name = match &request {
            Request::Init { name }
            | Request::Add { name, .. }
            | Request::Produce { name, .. }
            | Request::End { name, .. } => *name,
        };
        let before = self.kafka.transactions.get(&name).cloned();
        let high = |kafka: &Kafka| {
            kafka.partitions.iter().flatten().map(super::kafka::partition::Partition::high).sum::<usize>()
        };
        let length = high(&self.kafka);
        let answer = self.kafka.handle(&request);
        say!(self, "late: {request:?} -> {answer:?}");
        let after = self.kafka.transactions.get(&name);
        let changed = after.map(|at| (&at.state, at.epoch)) != before.as_ref().map(|at| (&at.state, at.epoch));
        let kind = match &request {
            Request::Init { .. } if changed => Kind::LateInit,
            Request::Add { .. } if changed => Kind::LateAdd,
            Request::End { .. } if changed => Kind::LateEnd,
            Request::Produce { .. } if high(&self.kafka) > length => Kind::LateProduce,
            _ => Kind::LateRefused,
        };
        self.counts.count(kind);
    }
}

fn held_kind(request: &Request) -> Kind {
    match request {
        Request::Init { .. } => Kind::HeldInit,
        Request::Add { .. } => Kind::HeldAdd,
        Request::Produce { .. } => Kind::HeldProduce,
        Request::End { .. } => Kind::HeldEnd,
    }
}
