//! Lowers the priority of background threads.
//!
//! Acknowledgements come first: the sender waits 2 s and does not repeat a webhook. Publishing and scrapes can
//! wait.

/// The priority of a background thread, as in nice(2).
const NICE: i32 = 10;

/// Lowers the priority of this thread. Threads that it starts inherit it (Linux).
pub fn give_way(component: &'static str) {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(event = "priority_kept", component, %error, "cannot lower the priority of the component");
    }
}
