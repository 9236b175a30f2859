//! Actions of operators and faults of disks: stops, copies of a spool, restored spools, corrupted rows.

use recall_bridge::spool::Seq;

use crate::disk::{Disk, Stored};
use crate::faults::Kind;
use crate::kafka::Id;
use crate::node::Node;
use crate::say;
use crate::world::World;

/// The maximum of copies that run beside one spool. With two copies, about one schedule in 100,000 publishes a recall
/// twice (docs/architecture.md, "Limits of the promise").
const COPIES_MAX: usize = 1;

impl World {
    /// Executes a random action of an operator, or a fault, on a node.
    pub fn operate(&mut self, node: usize) {
        if self.nodes[node].busy {
            return;
        }
        match self.random.below(5) {
            0 if self.enabled[Kind::CleanStop as usize] => self.stop_cleanly(node),
            1 if self.chaos(Kind::Restored, 2) => self.restore(node),
            2 if self.chaos(Kind::CopyStarted, 2) => self.start_copy(),
            3 if self.chaos(Kind::Damaged, 3) => self.damage(node),
            _ if self.chaos(Kind::Crashed, 4) && self.nodes[node].process.is_some() => self.crash(node),
            _ => {}
        }
    }

    pub fn copy(&mut self, node: usize) {
        if self.copies.len() < 3 {
            say!(self, "bridge {node}: its spool is copied");
            self.copies.push((node, self.nodes[node].disk.stored.clone()));
        }
    }

    fn restore(&mut self, node: usize) {
        let of_node = |(_, (of, _)): &(usize, &(usize, Stored))| *of == node;
        let Some(at) = self.copies.iter().enumerate().filter(of_node).map(|(at, _)| at).next_back() else { return };
        if self.nodes[node].process.is_some() {
            self.crash(node);
        }
        let copy = self.copies[at].1.clone();
        say!(self, "bridge {node}: its spool is replaced by a copy, {} of {}", copy.published_end, copy.next_seq());
        let old = std::mem::replace(&mut self.nodes[node].disk, Disk::of(copy));
        self.ledger.discarded.push(old.stored);
    }

    fn start_copy(&mut self) {
        if self.copies.is_empty() || self.nodes.len() > COPIES_MAX {
            return;
        }
        let (of, copy) = self.copies[self.random.below(self.copies.len())].clone();
        say!(
            self,
            "bridge {}: a copy of that of bridge {of}, {} of {}",
            self.nodes.len(),
            copy.published_end,
            copy.next_seq()
        );
        self.nodes.push(Node::new(Disk::of(copy)));
    }

    fn damage(&mut self, node: usize) {
        let disk = &mut self.nodes[node].disk;
        let published_end = disk.published_end;
        if let Some(row) = disk.stored.rows.iter_mut().rev().find(|row| row.until > published_end && !row.damaged) {
            row.damaged = true;
            let (first, until) = (row.first, row.until);
            let ids: Vec<Id> = (first..until).map(|seq: Seq| disk.stored.event(seq).id).collect();
            self.ledger.damaged.extend(ids);
            say!(self, "bridge {node}: the row {first}..{until} is damaged");
        }
    }
}
