//! The release and its commit.

/// The release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The start of the commit's hash; empty if the build did not know it.
pub const COMMIT: &str = env!("RECALL_BRIDGE_BUILT_FROM");

/// The release and the commit, as `--version` prints them.
pub const FULL: &str = env!("RECALL_BRIDGE_VERSION");
