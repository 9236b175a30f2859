//! Where a recall is: unpublished in the spool, in quarantine, refused, or published.
//!
//! [`Finder`] searches by account, MsgKey or event id. It knows no HTTP: the page and commands use it. Each place is
//! searched within a limit, and the report says where a limit was reached.

mod search;
mod sighting;
mod sought;
mod text;

pub use search::{FindError, Finder, KEY_MAX_BYTES};
pub use sighting::{FindPlace, FindReport, Sighting};
pub use sought::Sought;
pub use text::{kcat, shell_quoted};
