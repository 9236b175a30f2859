//! What this process published last: the records with their places, and the accounts with the most of them. In a fixed
//! amount of memory, for the page and the search.

mod accounts;
mod ring;
mod text;

pub use accounts::AccountVolume;
pub use ring::{PublishedRecord, PublishedRing};
pub use text::shown;
