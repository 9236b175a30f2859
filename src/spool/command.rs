//! Requests to the writer.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::mpsc::SyncSender;

use super::error::SpoolError;
use super::group::Group;
use super::quarantine::{QuarantineEntry, QuarantineId};
use super::terms::{Advance, Appended, Identity, Seq};

/// A request of the publisher or the operator. The requester waits for the reply.
#[derive(Debug)]
pub(super) enum WriterRequest {
    Begin { advance: Advance, unused: bool, reply: SyncSender<Result<bool, SpoolError>> },
    Quarantine { events: Range<Seq>, entry: Box<QuarantineEntry>, reply: SyncSender<Result<(), SpoolError>> },
    Renew { identity: Identity, reply: SyncSender<Result<(), SpoolError>> },
    Replay { id: Option<QuarantineId>, group: Box<Group>, reply: SyncSender<Result<Option<Appended>, SpoolError>> },
    TakeOut { ids: BTreeSet<QuarantineId>, group: Box<Group>, reply: SyncSender<Result<Option<Seq>, SpoolError>> },
}
