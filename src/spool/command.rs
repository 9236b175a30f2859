//! What other threads ask of the writer.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::mpsc::SyncSender;

use super::error::SpoolError;
use super::group::Group;
use super::quarantine::{QuarantineEntry, QuarantineId};
use super::terms::{Advance, Identity, Seq};

/// What the publisher, or the operator, asks of the writer; who asks waits for the reply.
#[derive(Debug)]
pub(super) enum Command {
    Begin { advance: Advance, unused: bool, reply: SyncSender<Result<bool, SpoolError>> },
    Quarantine { events: Range<Seq>, entry: Box<QuarantineEntry>, reply: SyncSender<Result<(), SpoolError>> },
    Renew { identity: Identity, reply: SyncSender<Result<(), SpoolError>> },
    TakeOut { ids: BTreeSet<QuarantineId>, group: Box<Group>, reply: SyncSender<Result<Option<Seq>, SpoolError>> },
}
