//! What a Prometheus registry is shown.
//!
//! The engine's own numbers are the only ones. Its metadata is copied to where a scrape, on whichever thread, finds
//! it: so often that it is fresh enough, and so seldom that it costs nothing. Without the feature `prometheus` nothing
//! of this is left.

use std::time::Duration;

use crate::engine::Engine;

/// What a node shows, if anybody wants to see it.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    #[cfg(feature = "prometheus")]
    shown: Option<crate::metrics::Shown>,
    #[cfg(feature = "prometheus")]
    due: Duration,
}

#[cfg(feature = "prometheus")]
impl Metrics {
    /// Shows them in this registry.
    pub(super) fn register(&mut self, registry: &mut prometheus_client::registry::Registry) {
        self.shown.get_or_insert_default().register(registry);
    }

    /// Brings what is shown up to date.
    pub(super) fn show(&mut self, engine: &Engine) {
        if let Some(shown) = &self.shown {
            shown.set(engine.metadata());
        }
    }

    /// Whether it is time to show them again: once in a heartbeat, for a node that is polled at all is polled that often.
    pub(super) fn is_due(&mut self, now: Duration, heartbeat: Duration) -> bool {
        let is_due = self.shown.is_some() && self.due <= now;
        if is_due {
            self.due = now.saturating_add(heartbeat);
        }
        is_due
    }
}

#[cfg(not(feature = "prometheus"))]
impl Metrics {
    pub(super) fn show(&mut self, _: &Engine) {}

    pub(super) fn is_due(&mut self, _: Duration, _: Duration) -> bool {
        false
    }
}
