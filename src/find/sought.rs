//! Whether something is what is searched for.

use uuid::Uuid;

use super::sighting::{FindPlace, Sighting};
use crate::clock;
use crate::events::{self, recall::event_id, stored};
use crate::published::shown;
use crate::quarantine::{EntryKind, kind};
use crate::record::Record;
use crate::record::header::{ID, SUBJECT};
use crate::refused::{RefusedEntry, RefusedView};
use crate::spool::StoredEntry;
use crate::webhook;

/// MsgKeys of a webhook that are shown.
const KEYS_SHOWN: usize = 5;

/// An account, a MsgKey or an event id.
#[derive(Debug, Clone)]
pub struct Sought<'k> {
    key: &'k str,
    /// The key as texts of records are shown.
    cut: String,
}

impl<'k> Sought<'k> {
    /// Searches for this text.
    pub fn new(key: &'k str) -> Self {
        Self { key, cut: shown(key.as_bytes()) }
    }

    /// The text itself.
    pub fn key(&self) -> &'k str {
        self.key
    }

    /// Whether a record matches whose texts are [`shown`].
    pub fn is_one_of(&self, account: &str, msg_key: &str, event_id: &str) -> bool {
        [account, msg_key, event_id].contains(&self.cut.as_str())
    }

    /// Whether a record matches.
    pub fn matches(&self, record: &Record<'_>) -> bool {
        let wanted = self.key.as_bytes();
        record.key == wanted || record.headers().any(|(name, value)| (name == SUBJECT || name == ID) && value == wanted)
    }

    /// An unpublished event with its `bridge_spool` and `bridge_seq`, if it matches.
    pub fn event(&self, event: &[u8], name: Option<(Uuid, u64)>) -> Option<Sighting> {
        // An event id is not stored; accounts and keys are, as they are.
        if self.key.parse::<Uuid>().is_err() && memchr::memmem::find(event, self.key.as_bytes()).is_none() {
            return None;
        }
        let mut buffer = Vec::new();
        let record = stored::record(event, &mut buffer).ok().filter(|record| self.matches(record))?;
        Some(of_record(FindPlace::Spool, record.timestamp_ms, &record, name))
    }

    /// An entry of the quarantine, if it matches.
    pub fn entry(&self, entry: &StoredEntry) -> Option<Sighting> {
        let mut sighting = match kind(entry) {
            EntryKind::Record => {
                let record = Record::decode(&entry.body).ok().filter(|record| self.matches(record))?;
                of_record(FindPlace::Quarantine, entry.at_ms, &record, entry.name)
            }
            EntryKind::Delivery => {
                let (account, keys) = (events::account(&entry.body), events::keys(&entry.body));
                let app = webhook::glance(entry.query.as_bytes()).sdk_app_id;
                let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
                self.webhook(FindPlace::Quarantine, clock::iso8601(entry.at_ms), app, account.as_deref(), &keys)?
            }
            EntryKind::Damaged | EntryKind::Other => return None,
        };
        sighting.id = Some(entry.id);
        sighting.reason = Some(shown(format!("{}: {}", entry.reason.label(), entry.detail).as_bytes()));
        sighting.command = Some(format!("recall-bridge quarantine show {}", entry.id));
        Some(sighting)
    }

    /// An entry of the refused journal, if it matches.
    pub fn refusal(&self, entry: &RefusedEntry) -> Option<Sighting> {
        let keys: Vec<&str> = entry.keys.iter().map(String::as_str).collect();
        let mut sighting =
            self.webhook(FindPlace::Refused, clock::iso8601(entry.at_ms), entry.app, entry.account.as_deref(), &keys)?;
        sighting.id = i64::try_from(entry.id).ok();
        sighting.reason = Some(format!("{}: {}", entry.outcome, entry.reason));
        sighting.command = Some(format!("recall-bridge explain --refused {}", entry.id));
        Some(sighting)
    }

    /// An entry of the refused journal as a command sees it, if it matches.
    pub fn refused(&self, entry: &RefusedView) -> Option<Sighting> {
        let keys: Vec<&str> = entry.msg_keys.iter().map(String::as_str).collect();
        let (at, app) = (entry.at.clone(), entry.app);
        let mut sighting = self.webhook(FindPlace::Refused, at, app, entry.account.as_deref(), &keys)?;
        sighting.id = i64::try_from(entry.id).ok();
        sighting.reason = Some(format!("{}: {}", entry.outcome, entry.reason));
        sighting.command = Some(format!("recall-bridge explain --refused {}", entry.id));
        Some(sighting)
    }

    /// A webhook, if it matches. A MsgKey or an event id matches one of its keys, and only this one is shown.
    fn webhook(
        &self,
        place: FindPlace,
        at: String,
        app: Option<u64>,
        account: Option<&str>,
        keys: &[&str],
    ) -> Option<Sighting> {
        let account = account?;
        let id_of = |key: &str| app.map(|app| event_id(app, account, key).to_string());
        let is_wanted = |key: &&&str| **key == self.key || id_of(key).is_some_and(|id| id == self.key);
        let hit = keys.iter().find(is_wanted).copied();
        if hit.is_none() && account != self.key {
            return None;
        }
        let mut sighting = Sighting::new(place, at);
        sighting.account = Some(shown(account.as_bytes()));
        sighting.event_id = hit.or(if keys.len() == 1 { keys.first().copied() } else { None }).and_then(id_of);
        let several = || keys.iter().take(KEYS_SHOWN).map(|key| shown(key.as_bytes())).collect::<Vec<_>>().join(" ");
        sighting.msg_key = Some(hit.map_or_else(several, |key| shown(key.as_bytes())));
        Some(sighting)
    }
}

fn of_record(place: FindPlace, at_ms: i64, record: &Record<'_>, name: Option<(Uuid, u64)>) -> Sighting {
    let header = |wanted| record.headers().find(|(name, _)| *name == wanted).map(|(_, value)| shown(value));
    let mut sighting = Sighting::new(place, clock::iso8601(at_ms));
    sighting.account = Some(shown(record.key));
    (sighting.msg_key, sighting.event_id) = (header(SUBJECT), header(ID));
    (sighting.bridge_spool, sighting.bridge_seq) = (name.map(|(spool, _)| spool), name.map(|(_, seq)| seq));
    sighting
}
