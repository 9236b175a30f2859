//! The guarantees, and the checks that compare the topic with them.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::disk::Stored;
use crate::kafka::Id;
use crate::kafka::Record;
use crate::world::World;

#[derive(Debug, Default)]
pub struct Ledger {
    ids: Id,
    pub quarantined: BTreeSet<Id>,
    pub quarantined_names: BTreeSet<(Uuid, u64)>,
    /// Recalls in rows that the disk corrupted.
    pub damaged: BTreeSet<Id>,
    /// Spools that a copy replaced. The events that only they contained are lost with them.
    pub discarded: Vec<Stored>,
    /// Recalls whose outcome was unknown when the topic was deleted: the old and the new topic may both contain them.
    pub in_doubt: BTreeSet<Id>,
    /// Recalls that were published to a recreated topic, below the next offsets of the old topic.
    pub excused: BTreeSet<Id>,
    /// The first violation that a check found.
    pub violation: Option<String>,
}

/// The place of a record: topic (index among the topics of this name), partition, offset.
type Place = (usize, usize, usize);

impl Ledger {
    pub fn next_id(&mut self) -> Id {
        self.ids += 1;
        self.ids
    }
}

impl World {
    /// Checks that the topic contains every accepted record once, in order per key, without a gap in `bridge_seq`.
    pub fn check(&mut self) -> Result<(), String> {
        let mut places: BTreeMap<Id, Vec<(Place, Record)>> = BTreeMap::new();
        let mut names: BTreeMap<(Uuid, u64), Vec<(Place, Id)>> = BTreeMap::new();
        for (topic, partitions) in self.kafka.deleted.iter().chain(&self.kafka.partitions).enumerate() {
            for (at, partition) in partitions.iter().enumerate() {
                for (offset, record) in partition.all_committed() {
                    if record.id != Id::MAX {
                        let place = (topic, at, offset);
                        places.entry(record.id).or_default().push((place, *record));
                        names.entry((record.spool, record.seq)).or_default().push((place, record.id));
                    }
                }
            }
        }
        self.check_presence(&places)?;
        self.check_names(&names)?;
        let disks = self.nodes.iter().map(|node| &node.disk.stored).chain(&self.ledger.discarded);
        for stored in disks {
            check_order(stored, &places, &self.ledger.damaged)?;
        }
        Ok(())
    }

    fn check_presence(&self, places: &BTreeMap<Id, Vec<(Place, Record)>>) -> Result<(), String> {
        let ledger = &self.ledger;
        for node in &self.nodes {
            for (seq, event) in (1..).zip(&node.disk.stored.events) {
                let put_aside = ledger.quarantined.contains(&event.id) || ledger.damaged.contains(&event.id);
                if !places.contains_key(&event.id) && !put_aside {
                    return Err(format!("LOST: {} (number {seq}) was accepted and is not in the topic", event.id));
                }
                // A copy may publish events of a corrupted row that the other node cannot read.
                let quarantined = ledger.quarantined.contains(&event.id) && !ledger.damaged.contains(&event.id);
                if places.contains_key(&event.id) && quarantined {
                    return Err(format!("{} is in the topic and in quarantine", event.id));
                }
            }
        }
        for (id, found) in places {
            let across = topics(found) == found.len() && ledger.in_doubt.contains(id);
            if found.len() > 1 && !across && !ledger.excused.contains(id) {
                return Err(format!("DOUBLED: {id} is in the topic {} times: {found:?}", found.len()));
            }
        }
        Ok(())
    }

    fn check_names(&self, names: &BTreeMap<(Uuid, u64), Vec<(Place, Id)>>) -> Result<(), String> {
        let mut explained = self.ledger.quarantined_names.clone();
        for stored in &self.ledger.discarded {
            explained.extend((1..stored.next_seq()).map(|seq| stored.name(seq)));
        }
        let mut highest: BTreeMap<Uuid, u64> = BTreeMap::new();
        for ((spool, seq), found) in names {
            let excused = found.iter().any(|(_, id)| self.ledger.excused.contains(id));
            if topics(found) < found.len() && !excused {
                return Err(format!("NUMBER TWICE: {spool} {seq}: {found:?}"));
            }
            for missing in highest.get(spool).map_or(1, |last| last + 1)..*seq {
                if !explained.contains(&(*spool, missing)) {
                    return Err(format!("GAP: {spool} has {seq} and not {missing}"));
                }
            }
            highest.insert(*spool, *seq);
        }
        Ok(())
    }
}

/// Returns the number of topics of this name that contain these records.
fn topics<T>(found: &[(Place, T)]) -> usize {
    found.iter().map(|((topic, ..), _)| *topic).collect::<BTreeSet<_>>().len()
}

/// Checks that the recalls of an account are in the topic in the order in which one spool accepted them. No order
/// exists between two partitions of an account. A copy may later publish events that are corrupted in one spool.
fn check_order(
    stored: &Stored,
    places: &BTreeMap<Id, Vec<(Place, Record)>>,
    damaged: &BTreeSet<Id>,
) -> Result<(), String> {
    let mut last: BTreeMap<(u8, usize), (usize, usize, Id)> = BTreeMap::new();
    for event in stored.events.iter().filter(|event| !damaged.contains(&event.id)) {
        let Some([((topic, partition, offset), record)]) = places.get(&event.id).map(Vec::as_slice) else { continue };
        if record.key != event.key {
            return Err(format!("{} has another account", event.id));
        }
        let place = (*topic, *offset, event.id);
        if let Some(before) = last.insert((event.key, *partition), place)
            && before > place
        {
            return Err(format!("REORDERED: {before:?} before {place:?} (topic, offset, recall)"));
        }
    }
    Ok(())
}
