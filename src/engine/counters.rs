//! What has been done so far, and what the node says of itself.
//!
//! Calls are counted where they are answered: to answer one yields a value that says how it ended, which the compiler
//! wants used. What others know better they count themselves: the table of queries, the outbox, the store, and the
//! callers who are answered without the node.

use std::time::Duration;

use super::Engine;
use crate::{
    counters::{Counters, EndedCall},
    engine::command::Command,
    error::Error,
    registry::RegistryMetadata,
};

impl Counters {
    /// A call has ended, if one has.
    pub(super) fn count(&mut self, ended: impl Into<Option<EndedCall>>) {
        if let Some(ended) = ended.into() {
            self.calls.count(ended, 1);
        }
    }
}

impl Engine {
    /// Answers with an error whatever was asked.
    pub(crate) fn refuse(&mut self, command: Command, error: Error) {
        self.out.count(command.refuse(error));
    }

    /// Everything that is counted, wherever.
    pub(crate) fn counters(&self) -> Counters {
        let mut counters = self.out.counters;
        self.reading.count_in(&mut counters);
        let announcements = &mut counters.announcements;
        (announcements.sent, announcements.queued) = self.publishing.announcements_counted();
        counters.records = self.cx.store.counters();
        counters
    }

    pub(crate) fn metadata(&self) -> RegistryMetadata {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let now = self.cx.now();
        RegistryMetadata {
            peer_id: self.cx.local,
            owner: self.cx.owner,
            network: self.cx.config.network.clone(),
            mode: self.cx.config.mode,
            addresses: self.peers.addresses().to_vec(),
            location: self.cx.config.location,
            uptime: Duration::from_secs(
                self.cx.now().mono.saturating_sub(self.cx.started).as_secs(),
            ),
            clock: self.cx.peer_clocks.offset(now),
            peers: count(self.peers.len()),
            connections: self.kept_connections(),
            connection_target: self.cx.config.limits.granted_target(),
            routing_table: count(self.peers.routing_table_len()),
            own_packages: count(self.publishing.live_len()),
            known_packages: count(self.discovery.known_packages()),
            catalogue_bytes: u64::try_from(self.discovery.bytes()).unwrap_or(u64::MAX),
            coverage: self.discovery.coverage().clone(),
            records: count(self.cx.store.len()),
            record_bytes: self.cx.store.bytes_held(),
            storage: self.storage_report(),
            counters: self.counters(),
        }
    }
}
