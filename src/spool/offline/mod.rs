//! Operations of commands on a spool, with or without a running node.

pub(super) mod inspect;
pub(super) mod verify;
