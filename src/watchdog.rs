//! Watches the threads that cannot be replaced. A stuck component is counted and logged once, and systemd's
//! watchdog is no longer fed.
//!
//! All times are measured by the monotonic clock. Stuck threads of the publisher and of direct publishing are
//! replaced, see [`crate::publisher`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::ops::metrics::Metrics;
use crate::pulse::Pulse;

const TICK: Duration = Duration::from_millis(250);

/// One watched thread.
#[derive(Debug)]
pub struct Component {
    /// A label value of `component_stuck_total{component}`.
    pub name: &'static str,
    /// The thread registers its current call here.
    pub pulse: Pulse,
    /// Whether the process can work without it, so that it is not restarted for it.
    pub optional: bool,
}

/// Whether any required component is stuck. The watchdog's thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Health(Arc<AtomicBool>);

impl Health {
    /// Whether all required components make progress.
    pub fn is_good(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Starts the watchdog's thread.
///
/// # Errors
/// The system refuses a new thread.
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
                    tracing::error!(event = "component_stuck", component = name, seconds, "component is stuck");
                }
                (None, true) => {
                    tracing::info!(event = "component_works", component = name, "component works again");
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
