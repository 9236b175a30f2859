//! Checks that a bridge searches the offsets where its records are.

use recall_bridge::publisher::machine::Action;
use recall_bridge::spool::{NextOffsets, Seq};

use crate::faults::Kind;
use crate::node::{index, offset};
use crate::world::World;

impl World {
    /// Checks the machine after it listed the offsets: every record whose outcome is unknown must be at or above the
    /// next offsets. The exception is a record below the next offsets of an earlier topic, if nothing shows that the
    /// topic was recreated.
    pub fn look(&mut self, node: usize, before: &NextOffsets) {
        let incarnation = self.kafka.incarnation();
        let Some(partitions) = &self.kafka.partitions else { return };
        let process = self.nodes[node].process.as_ref().expect("a running bridge");
        if matches!(process.machine.next(), Action::Begin { unused: true, .. }) && self.nodes[node].disk.next_seq() > 1
        {
            // `Begin` returns `Used`, and then the machine lists the offsets again.
            return;
        }
        let high = |at: &i32| usize::try_from(*at).ok().and_then(|at| partitions.get(at)).map(|log| offset(log.high()));
        let betrayed = before.iter().any(|(at, position)| high(at).is_none_or(|high| *position > high));
        let low = |at: &i32| usize::try_from(*at).ok().and_then(|at| partitions.get(at)).map(|log| offset(log.low));
        if before.iter().any(|(at, position)| low(at).is_some_and(|low| *position < low)) {
            self.counts.count(Kind::OutOfRange);
        }
        if betrayed {
            self.counts.count(Kind::BeyondEnd);
        }
        let identities = &self.nodes[node].disk.stored.identities;
        for (at, log) in partitions.iter().enumerate() {
            let from = process.machine.next_offsets().get(&index(at)).copied().unwrap_or(0);
            let older = process.origins.get(&index(at)).is_some_and(|origin| *origin != incarnation);
            if older && !betrayed {
                self.counts.count(Kind::Hidden);
            }
            for (_, record) in log.all_committed().take_while(|(place, _)| offset(*place) < from) {
                let own = identities.iter().position(|identity| identity.uuid == record.spool).is_some_and(|own| {
                    let seq = identities[own].first_seq + record.seq - 1;
                    let end = identities.get(own + 1).map_or(Seq::MAX, |next| next.first_seq);
                    (process.machine.published_end()..end).contains(&seq)
                });
                if own && older && !betrayed {
                    self.ledger.excused.insert(record.id);
                } else if own && !self.ledger.excused.contains(&record.id) {
                    self.ledger.violation = Some(format!(
                        "OVERLOOKED: bridge {node} reads partition {at} from {from}, and {record:?} lies before"
                    ));
                }
            }
        }
        let origins = (0..partitions.len()).map(|at| (index(at), incarnation)).collect();
        self.process(node).origins = origins;
    }

    /// Stores the topic to which the machine's next offsets belong.
    pub fn follow_origins(&mut self, node: usize, before: &NextOffsets, next: &NextOffsets) {
        let process = self.nodes[node].process.as_mut().expect("a running bridge");
        if next.iter().any(|(at, next)| before.get(at).is_some_and(|known| next < known)) {
            process.origins = before.keys().map(|&at| (at, process.into)).collect();
        }
        for (at, next) in next {
            if process.machine.next_offsets().get(at) == Some(next) {
                process.origins.insert(*at, process.into);
            }
        }
    }
}
