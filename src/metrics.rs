//! The numbers of a node for Prometheus, in the OpenMetrics format: see
//! [`NodeBuilder::with_metrics`](crate::NodeBuilder::with_metrics). With the feature `prometheus`.
//!
//! They are those of [`RegistryMetadata`] and its [`Counters`](crate::Counters), whose documentation says what each of
//! them means. Counters begin at zero with each node.
//!
//! | metric | type | labels |
//! |--|--|--|
//! | `peerage_node_info` | info | `peer_id`, `owner`, `network`, `mode` |
//! | `peerage_uptime_seconds` | gauge | |
//! | `peerage_peers`, `peerage_connection_target` | gauge | |
//! | `peerage_connections` | gauge | `kept_for` |
//! | `peerage_routing_table_peers` | gauge | |
//! | `peerage_own_packages`, `peerage_known_packages` | gauge | |
//! | `peerage_catalogue_bytes` | gauge | |
//! | `peerage_records` | gauge | |
//! | `peerage_record_bytes` | gauge | |
//! | `peerage_calls_total` | counter | `operation`, `outcome` |
//! | `peerage_reads_total` | counter | `operation`, `source` |
//! | `peerage_queries_started_total`, `peerage_queries_finished_total` | counter | `kind` |
//! | `peerage_queries_running`, `peerage_queries_waiting` | gauge | |
//! | `peerage_announcements_sent_total` | counter | |
//! | `peerage_announcements_heard_total` | counter | `verdict` |
//! | `peerage_announcements_queued` | gauge | |
//! | `peerage_records_offered_total` | counter | `outcome` |
//! | `peerage_peers_connected_total`, `peerage_peers_disconnected_total`, `peerage_peers_blocked_total` | counter | |
//! | `peerage_peers_let_go_total`, `peerage_goodbyes_total` | counter | `reason` |
//! | `peerage_newcomers_turned_away_total` | counter | |
//! | `peerage_messages_total`, `peerage_traffic_bytes_total` | counter | `protocol`, `direction` |
//! | `peerage_reconciliation_sessions_total`, `peerage_reconciliation_failed_total` | counter | |
//! | `peerage_reconciliation_bytes_total` | counter | `direction` |
//! | `peerage_reconciliation_heads_fetched_total` | counter | |
//!
//! Several nodes of one process are told apart by a label: give each a
//! [sub-registry](prometheus_client::registry::Registry::sub_registry_with_label) of its own.

use std::{
    fmt::Error,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use crate::{
    config::DhtMode,
    counters::{PeerCounters, TrafficCounters},
    registry::RegistryMetadata,
};

/// The version of the library that the interface is made for.
pub use prometheus_client;

/// What a node has shown last: nothing before it is built. All clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Option<RegistryMetadata>>>);

impl Shown {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.sub_registry_with_prefix("peerage").register_collector(Box::new(self.clone()));
    }

    pub(crate) fn set(&self, metadata: RegistryMetadata) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(metadata);
    }
}

impl Collector for Shown {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        // Copied out, so that a node never waits for somebody who encodes.
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        shown.map_or(Ok(()), |metadata| Page(encoder).write(&metadata))
    }
}

/// A page of metrics that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn write(mut self, metadata: &RegistryMetadata) -> Result<(), Error> {
        self.write_gauges(metadata)?;
        let counters = &metadata.counters;

        let calls = counters.calls.outcomes().into_iter().flat_map(|(operation, outcomes)| {
            let each = outcomes.each().into_iter();
            each.map(move |(outcome, times)| {
                ([("operation", operation), ("outcome", outcome)], times)
            })
        });
        self.counters("calls", "Calls that have ended, by what they asked for", None, calls)?;
        let reads = counters.calls.sources().into_iter().flat_map(|(operation, sources)| {
            let each = sources.each().into_iter();
            each.map(move |(source, times)| ([("operation", operation), ("source", source)], times))
        });
        self.counters("reads", "Reads that were answered, by where from", None, reads)?;

        let queries = counters.queries.each();
        let started = queries.iter().map(|(kind, tasks)| ([("kind", *kind)], tasks.started));
        self.counters("queries_started", "DHT queries handed to libp2p", None, started)?;
        let finished = queries.iter().map(|(kind, tasks)| ([("kind", *kind)], tasks.finished));
        self.counters("queries_finished", "DHT queries that have ended", None, finished)?;

        let announcements = &counters.announcements;
        let help = "Announcements handed to at least one subscribed peer";
        self.counter("announcements_sent", help, announcements.sent)?;
        let heard = [
            ([("verdict", "accepted")], announcements.accepted),
            ([("verdict", "ignored")], announcements.ignored),
            ([("verdict", "rejected")], announcements.rejected),
        ];
        self.counters("announcements_heard", "Announcements heard from peers", None, heard)?;

        let offered = [
            ([("outcome", "stored")], counters.records.stored),
            ([("outcome", "refused")], counters.records.refused),
        ];
        self.counters("records_offered", "Records that peers have put here", None, offered)?;

        self.write_peers(&counters.peers)?;
        self.write_traffic(&counters.traffic)?;

        let reconciliation = &counters.reconciliation;
        let help = "Comparisons of catalogues that were begun";
        self.counter("reconciliation_sessions", help, reconciliation.sessions)?;
        let help = "Comparisons of catalogues that did not come to their end";
        self.counter("reconciliation_failed", help, reconciliation.failed)?;
        let bytes = [
            ([("direction", "in")], reconciliation.bytes_in),
            ([("direction", "out")], reconciliation.bytes_out),
        ];
        let help = "Bytes that comparisons of catalogues took";
        self.counters("reconciliation", help, Some(&Unit::Bytes), bytes)?;
        let help = "Heads fetched because they were missing";
        self.counter("reconciliation_heads_fetched", help, reconciliation.heads_fetched)
    }

    fn write_peers(&mut self, peers: &PeerCounters) -> Result<(), Error> {
        self.counter("peers_connected", "Peers with which a connection stood", peers.connected)?;
        self.counter("peers_disconnected", "Peers that went", peers.disconnected)?;
        self.counter("peers_blocked", "Peers that were refused for a while", peers.blocked)?;
        let reason = |(reason, times)| ([("reason", reason)], times);
        let let_go = peers.let_go.each().map(reason);
        self.counters("peers_let_go", "Peers that this node has let go", None, let_go)?;
        let goodbyes = peers.goodbyes.each().map(reason);
        self.counters("goodbyes", "Goodbyes that peers have said", None, goodbyes)?;
        let help = "Connections of others refused for want of room";
        self.counter("newcomers_turned_away", help, peers.turned_away)
    }

    fn write_traffic(&mut self, traffic: &TrafficCounters) -> Result<(), Error> {
        let protocols = traffic.each();
        let labelled = |protocol, each: [(&'static str, u64); 2]| {
            let labels = |way| [("protocol", protocol), ("direction", way)];
            each.map(|(way, times)| (labels(way), times))
        };
        let messages = protocols.iter().flat_map(|(name, of)| labelled(*name, of.messages()));
        self.counters("messages", "Messages from peers and to them", None, messages)?;
        let bytes = protocols.iter().flat_map(|(name, of)| labelled(*name, of.bytes()));
        let help = "Bytes that streams with peers have carried";
        self.counters("traffic", help, Some(&Unit::Bytes), bytes)
    }

    fn write_gauges(&mut self, metadata: &RegistryMetadata) -> Result<(), Error> {
        let info = [
            ("peer_id", metadata.peer_id.to_string()),
            ("owner", metadata.owner.to_string()),
            ("network", metadata.network.to_string()),
            ("mode", mode(metadata.mode).to_owned()),
        ];
        self.describe("node", "Who the node is", None, MetricType::Info)?.encode_info(&info)?;
        let uptime = metadata.uptime.as_secs();
        let counters = &metadata.counters;
        let (queries, announcements) = (&counters.queries, &counters.announcements);
        let [seconds, bytes] = [Some(&Unit::Seconds), Some(&Unit::Bytes)];
        for (name, help, unit, value) in [
            ("uptime", "Since the node was started", seconds, uptime),
            ("peers", "Connected peers", None, metadata.peers.into()),
            ("connection_target", "Peers that stay", None, metadata.connection_target.into()),
            ("routing_table_peers", "Peers it can ask", None, metadata.routing_table.into()),
            ("own_packages", "Packages that it publishes", None, metadata.own_packages.into()),
            ("known_packages", "Packages of others", None, metadata.known_packages.into()),
            (
                "catalogue",
                "The size of all heads listed, own ones included",
                bytes,
                metadata.catalogue_bytes,
            ),
            ("records", "Records held, own ones included", None, metadata.records.into()),
            ("record", "The size of those held for others", bytes, metadata.record_bytes),
            ("queries_running", "DHT queries that run", None, queries.running),
            ("queries_waiting", "DHT queries that wait", None, queries.waiting),
            ("announcements_queued", "Those nobody has heard", None, announcements.queued),
        ] {
            self.describe(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        let help = "Connected peers, by what for";
        let mut connections = self.describe("connections", help, None, MetricType::Gauge)?;
        for (kept_for, peers) in metadata.connections.each() {
            let labels = [("kept_for", kept_for)];
            let mut member = connections.encode_family(&labels)?;
            member.encode_gauge(&peers)?;
        }
        Ok(())
    }

    fn describe<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let mut metric = self.describe(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// One counter for each set of labels.
    fn counters<Labels: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) -> Result<(), Error> {
        let mut metric = self.describe(name, help, unit, MetricType::Counter)?;
        for (labels, value) in values {
            let mut member = metric.encode_family(&labels)?;
            member.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }
}

fn mode(mode: DhtMode) -> &'static str {
    match mode {
        DhtMode::Server => "server",
        DhtMode::Client => "client",
    }
}
