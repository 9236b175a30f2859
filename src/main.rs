//! The command line of recall-bridge.
fn main() {}
