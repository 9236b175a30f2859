//! Looks after the threads that nobody can replace: stuck beyond its bound, a component is counted and
//! logged, once, and systemd is no longer told that the process is well.
//!
//! All times are of the monotonic clock. The publisher's and the bypass's threads are replaced where they
//! are stuck, see [`crate::publisher`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::ops::metrics::Metrics;
use crate::pulse::Pulse;

const TICK: Duration = Duration::from_millis(250);

/// One thread that is looked after.
#[derive(Debug)]
pub struct Component {
    /// A label value of `component_stuck_total{component}`.
    pub name: &'static str,
    /// Where it tells what it is in.
    pub pulse: Pulse,
    /// Whether the process does its work without it, so that it is not to be ended.
    pub optional: bool,
}

/// Whether all components get on. The thread that looks ends with the last clone.
#[derive(Debug, Clone)]
pub struct Health(Arc<AtomicBool>);

impl Health {
    /// Whether none of those that are needed is stuck.
    pub fn is_good(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Starts the thread.
///
/// # Errors
/// There are no threads left.
pub fn start(components: Vec<Component>, metrics: Arc<Metrics>) -> std::io::Result<Health> {
    let good = Arc::new(AtomicBool::new(true));
    let told = Arc::downgrade(&good);
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || look(&components, &metrics, &told))?;
    Ok(Health(good))
}

fn look(components: &[Component], metrics: &Metrics, told: &Weak<AtomicBool>) {
    let mut stuck = vec![false; components.len()];
    while let Some(good) = told.upgrade() {
        for (component, stuck) in components.iter().zip(&mut stuck) {
            let name = component.name;
            match (component.pulse.stuck_for(), *stuck) {
                (Some(time), false) => {
                    metrics.count_stuck(name);
                    let seconds = time.as_secs();
                    tracing::error!(
                        event = "component_stuck",
                        component = name,
                        seconds,
                        "a component does not get on"
                    );
                }
                (None, true) => {
                    tracing::info!(event = "component_works", component = name, "a component gets on again");
                }
                _ => {}
            }
            *stuck = component.pulse.stuck_for().is_some();
        }
        good.store(
            components.iter().zip(&stuck).all(|(component, stuck)| component.optional || !stuck),
            Ordering::Release,
        );
        drop(good);
        std::thread::sleep(TICK);
    }
}
