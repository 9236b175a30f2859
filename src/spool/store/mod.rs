//! The files of a spool and all its SQL: made, locked, opened, read and changed here.

pub(super) mod access;
pub(super) mod check;
pub(super) mod dedup;
mod entries;
pub(super) mod errors;
pub(super) mod files;
pub(super) mod lock;
pub(super) mod open;
pub(super) mod quarantine;
pub(super) mod reader;
mod row;
pub(super) mod rows;
pub(super) mod schema;
pub(super) mod state;
pub(super) mod waiting;
pub(super) mod wal;
