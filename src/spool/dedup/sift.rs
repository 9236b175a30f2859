//! Removes duplicates from a group.

use super::window::{Known, Window};
use crate::spool::error::AppendError;
use crate::spool::frame;
use crate::spool::group::{Decision, Group};
use crate::spool::terms::{Durable, Seq};

/// Webhooks of a group whose result differs from the result of the commit.
#[derive(Debug, Default)]
pub(in crate::spool) struct Duplicates {
    answers: Vec<DuplicateResult>,
    /// Duplicate events of webhooks that also have new events.
    partly: u64,
    /// Bytes of removed payload.
    pub(in crate::spool) bytes: u64,
}

/// A webhook without any new event.
#[derive(Debug)]
struct DuplicateResult {
    worker: usize,
    /// Its index among the worker's webhooks of the group.
    place: usize,
    events: u64,
    /// Why it is refused. None: it is a duplicate.
    refusal: Option<AppendError>,
    /// It duplicates another webhook of the same group: if the commit fails, both fail.
    shares_commit: bool,
}

/// Adds the events of a group to the current commit, and removes duplicates. `full` is the response to a webhook for
/// which the spool has no space.
pub(in crate::spool) fn sift(group: &mut Group, window: &mut Window, full: impl Fn() -> AppendError) -> Duplicates {
    let mut known = Vec::with_capacity(group.ids.len());
    let mut ids = group.ids.iter();
    for entry in &group.entries {
        let look = |id| if entry.probe { window.find(id) } else { window.note(id) };
        known.extend(ids.by_ref().take(entry.ids as usize).copied().map(look));
    }
    if known.iter().all(|known| *known == Known::New) && group.entries.iter().all(|entry| !entry.probe) {
        return Duplicates::default();
    }
    take_out(group, &known, full)
}

/// The rare case of [`sift`].
fn take_out(group: &mut Group, known: &[Known], full: impl Fn() -> AppendError) -> Duplicates {
    let mut duplicates = Duplicates::default();
    let mut places = vec![0; group.deliveries.len()];
    let (mut keep_event, mut keep_id) = (Vec::new(), Vec::with_capacity(known.len()));
    let mut rest = known;
    for entry in &group.entries {
        let worker = entry.worker as usize;
        let place = places[worker];
        places[worker] += 1;
        let (of_entry, behind) = rest.split_at(entry.ids as usize);
        rest = behind;
        let is_new = of_entry.iter().map(|known| *known == Known::New && !entry.probe);
        keep_id.extend(is_new.clone());
        if !entry.probe {
            keep_event.extend(is_new);
        }
        let is_duplicate = !of_entry.is_empty() && !of_entry.contains(&Known::New);
        let refusal = match (is_duplicate, entry.probe) {
            (true, _) => None,
            (false, true) => Some(full()),
            (false, false) => {
                duplicates.partly += of_entry.iter().filter(|known| **known != Known::New).count() as u64;
                continue;
            }
        };
        let shares_commit = is_duplicate && of_entry.contains(&Known::Pending);
        duplicates.answers.push(DuplicateResult {
            worker,
            place,
            events: u64::from(entry.ids),
            refusal,
            shares_commit,
        });
    }
    let bytes = group.payload.len();
    frame::retain(&mut group.payload, |place| keep_event[place]);
    let mut keep = keep_id.into_iter();
    group.ids.retain(|_| keep.next().unwrap_or(true));
    group.events -= keep_event.iter().filter(|keep| !**keep).count() as u64;
    duplicates.bytes = (bytes - group.payload.len()) as u64;
    duplicates
}

impl Duplicates {
    /// Duplicate events of webhooks that are acknowledged.
    pub(in crate::spool) fn acknowledged(&self, committed: bool) -> u64 {
        let ok = self.answers(committed).filter(|answer| answer.refusal.is_none());
        let events: u64 = ok.map(|answer| answer.events).sum();
        if committed { self.partly + events } else { events }
    }

    /// The results of one worker's webhooks, by index. All durable events have sequence numbers below `until`.
    pub(in crate::spool) fn of(&self, worker: usize, committed: bool, until: Seq) -> Vec<(usize, Decision)> {
        let of_worker = self.answers(committed).filter(|answer| answer.worker == worker);
        let duplicate = Durable { duplicate: true, until };
        of_worker.map(|answer| (answer.place, answer.refusal.clone().map_or(Ok(duplicate), Err))).collect()
    }

    fn answers(&self, committed: bool) -> impl Iterator<Item = &DuplicateResult> {
        self.answers.iter().filter(move |answer| committed || !answer.shares_commit)
    }
}
