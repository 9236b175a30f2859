//! Which threads give way where processors are short.
//!
//! Acknowledging goes first: the sender waits 2 s and does not repeat. Kafka has time, and so have scrapes.

/// How far a thread gives way, as nice(2).
const NICE: i32 = 10;

/// Lowers the priority of this thread. Threads that it starts inherit it (Linux).
pub fn give_way(component: &'static str) {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::debug!(event = "priority_kept", component, %error, "the component keeps its priority");
    }
}
