//! Is what a reading has found what this spool holds under these numbers?

use super::found::Found;
use crate::spool::Seq;

/// What the spool holds from a number on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// These events, in sequence, the [`print()`](super::found::print) of each. None: the spool has not
    /// given out this number, or not any more.
    Events(Vec<u32>),
    /// A damaged row that ends before this number: there is nothing to compare with.
    Damaged(Seq),
}

/// Compares from `from` on; `held` is asked what the spool holds from a number on, below another.
/// The first number under which the topic holds another recall than the spool, or a recall where the
/// spool holds none, is [disowned](Found::disown).
///
/// # Errors
/// Those of `held`.
pub fn compare<E>(
    found: &mut Found,
    mut from: Seq,
    mut held: impl FnMut(Seq, Seq) -> Result<Held, E>,
) -> Result<(), E> {
    let below = found.highest().map_or(0, |highest| highest + 1);
    while from < below {
        match held(from, below)? {
            Held::Events(prints) if !prints.is_empty() => {
                for print in prints {
                    if !found.compare(from, print) {
                        return Ok(());
                    }
                    from += 1;
                }
            }
            Held::Damaged(until) => from = until.max(from + 1),
            Held::Events(_) => {
                found.disown(from);
                return Ok(());
            }
        }
    }
    Ok(())
}
