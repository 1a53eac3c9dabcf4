//! What was not found a moment ago, and for how long it is not asked for again.

use std::time::Duration;

use crate::{
    config::Config,
    engine::{interface::Now, recent::Recent},
    freshness::Freshness,
    record::{Head, RecordKey},
};

/// For how long at the most nothing is asked again of which peers hold copies that do not hold by this node's clock.
const UNTIMELY: Duration = Duration::from_secs(2);

/// Records that nobody had, each for [`Config::absence_ttl`].
#[derive(Debug)]
pub(super) struct Absences(Recent<RecordKey>);

impl Absences {
    pub(super) fn new(config: &Config) -> Self {
        Self(Recent::new(config.absence_ttl, config.limits.cache_records))
    }

    /// Nobody has it.
    pub(super) fn note(&mut self, now: Now, key: RecordKey) {
        self.0.insert(key, now.mono);
    }

    /// Somebody has a copy that does not hold by this node's clock. It may be there as soon as a clock is right, here or
    /// there. Nothing that peers say of the time decides it.
    pub(super) fn note_untimely(&mut self, now: Now, key: RecordKey) {
        self.0.insert_for(key, now.mono, UNTIMELY);
    }

    /// Whether a reader need not ask. Who wants to hear more than one replica hears it anew.
    pub(super) fn suffices(&self, now: Now, key: &RecordKey, freshness: Freshness) -> bool {
        freshness == Freshness::First && self.0.contains(key, now.mono)
    }

    pub(super) fn forget(&mut self, key: &RecordKey) {
        self.0.remove(key);
    }

    /// A package is there, and whoever claims its name.
    pub(super) fn forget_package(&mut self, head: &Head) {
        self.forget(&RecordKey::head(&head.network, &head.owner, &head.name));
        self.forget(&RecordKey::claims(&head.network, &head.name));
    }

    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }
}
