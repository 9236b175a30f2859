//! What commands do with a spool from outside, whether or not a bridge works on it.

pub(super) mod inspect;
pub(super) mod verify;
