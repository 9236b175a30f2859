//! What was promised, and whether it was kept.

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
    /// In rows that the disk has damaged.
    pub damaged: BTreeSet<Id>,
    /// Spools that were replaced by a copy: what only they held is lost with them.
    pub discarded: Vec<Stored>,
    /// Not known to be committed when the topic was deleted: may be in the old one and in the new one.
    pub in_doubt: BTreeSet<Id>,
    /// Published to a topic that had been made anew, and hidden below offsets of the old one.
    pub excused: BTreeSet<Id>,
    /// The first violation that was found.
    pub violation: Option<String>,
}

/// Where a record is: topic of the name, partition, offset.
type Place = (usize, usize, usize);

impl Ledger {
    pub fn next_id(&mut self) -> Id {
        self.ids += 1;
        self.ids
    }
}

impl World {
    /// Committed records = accepted records, once, in order per key, without a gap in `bridge_seq`.
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
                // Of a damaged row, one copy may publish what the other one cannot read.
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

/// The number of topics of the name that these records are in.
fn topics<T>(found: &[(Place, T)]) -> usize {
    found.iter().map(|((topic, ..), _)| *topic).collect::<BTreeSet<_>>().len()
}

/// Recalls of an account that one spool accepted one after the other are in this order in the topic.
/// Where the account has moved to another partition, there is none; and what is damaged in one spool may
/// be published later by a copy that has it whole.
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
