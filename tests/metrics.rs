//! The numbers of a node in a Prometheus registry are those that it tells its application.
#![cfg(feature = "prometheus")]
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod support;

use std::collections::BTreeMap;

use futures::executor::block_on;
use peerage::{
    Config, Error, Node, Registry, RegistryMetadata,
    identity::Keypair,
    metrics::prometheus_client::{encoding::text::encode, registry::Registry as Metrics},
};
use support::{Executor, Peer, bare, loopback, manifest, owned, within};

/// Each sample of the text by its name and labels.
fn samples(registry: &Metrics) -> BTreeMap<String, u64> {
    let mut text = String::new();
    encode(&mut text, registry).expect("text");
    assert!(text.ends_with("# EOF\n"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a whole number"))
    };
    let samples: Vec<(String, u64)> = lines.map(sample).collect();
    let by_name: BTreeMap<_, _> = samples.iter().cloned().collect();
    assert_eq!(by_name.len(), samples.len(), "a sample that stands there twice");
    by_name
}

/// What the samples must be by what the node says of itself.
fn expected(about: &RegistryMetadata) -> BTreeMap<String, u64> {
    let counters = &about.counters;
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    let mut add = |name: &str, value: u64| {
        all.insert(format!("peerage_{name}"), value);
    };
    let peer = about.peer_id;
    add(
        &format!(
            "node_info{{peer_id=\"{peer}\",owner=\"{peer}\",network=\"{}\",mode=\"server\"}}",
            about.network
        ),
        1,
    );
    add("uptime_seconds", about.uptime.as_secs());
    add("peers", about.peers.into());
    add("connection_target", about.connection_target.into());
    for (kept_for, peers) in about.connections.each() {
        add(&format!("connections{{kept_for=\"{kept_for}\"}}"), peers.into());
    }
    add("routing_table_peers", about.routing_table.into());
    add("own_packages", about.own_packages.into());
    add("known_packages", about.known_packages.into());
    add("catalogue_bytes", about.catalogue_bytes);
    add("records", about.records.into());
    add("record_bytes", about.record_bytes);
    for (operation, outcomes) in counters.calls.outcomes() {
        for (outcome, times) in outcomes.each() {
            let labels = format!("operation=\"{operation}\",outcome=\"{outcome}\"");
            add(&format!("calls_total{{{labels}}}"), times);
        }
    }
    for (operation, sources) in counters.calls.sources() {
        for (source, times) in sources.each() {
            let labels = format!("operation=\"{operation}\",source=\"{source}\"");
            add(&format!("reads_total{{{labels}}}"), times);
        }
    }
    for (kind, tasks) in counters.queries.each() {
        add(&format!("queries_started_total{{kind=\"{kind}\"}}"), tasks.started);
        add(&format!("queries_finished_total{{kind=\"{kind}\"}}"), tasks.finished);
    }
    add("queries_running", counters.queries.running);
    add("queries_waiting", counters.queries.waiting);
    let announcements = &counters.announcements;
    add("announcements_sent_total", announcements.sent);
    add("announcements_queued", announcements.queued);
    add("announcements_heard_total{verdict=\"accepted\"}", announcements.accepted);
    add("announcements_heard_total{verdict=\"ignored\"}", announcements.ignored);
    add("announcements_heard_total{verdict=\"rejected\"}", announcements.rejected);
    add("records_offered_total{outcome=\"stored\"}", counters.records.stored);
    add("records_offered_total{outcome=\"refused\"}", counters.records.refused);
    add("peers_connected_total", counters.peers.connected);
    add("peers_disconnected_total", counters.peers.disconnected);
    add("peers_blocked_total", counters.peers.blocked);
    for (reason, times) in counters.peers.let_go.each() {
        add(&format!("peers_let_go_total{{reason=\"{reason}\"}}"), times);
    }
    for (reason, times) in counters.peers.goodbyes.each() {
        add(&format!("goodbyes_total{{reason=\"{reason}\"}}"), times);
    }
    add("newcomers_turned_away_total", counters.peers.turned_away);
    for (protocol, of) in counters.traffic.each() {
        let labels = |way| format!("{{protocol=\"{protocol}\",direction=\"{way}\"}}");
        for ((way, messages), (_, bytes)) in of.messages().into_iter().zip(of.bytes()) {
            add(&format!("messages_total{}", labels(way)), messages);
            add(&format!("traffic_bytes_total{}", labels(way)), bytes);
        }
    }
    let reconciliation = &counters.reconciliation;
    add("reconciliation_sessions_total", reconciliation.sessions);
    add("reconciliation_failed_total", reconciliation.failed);
    add("reconciliation_bytes_total{direction=\"in\"}", reconciliation.bytes_in);
    add("reconciliation_bytes_total{direction=\"out\"}", reconciliation.bytes_out);
    add("reconciliation_heads_fetched_total", reconciliation.heads_fetched);
    all
}

fn node(registry: &mut Metrics, config: Config) -> Peer {
    let builder = Node::builder(Keypair::generate_ed25519(), config);
    let (node, handle) = builder.with_metrics(registry).build().expect("a node");
    Peer::run(Executor::Smol, node, handle)
}

#[test]
fn a_scrape_after_a_scenario_finds_what_metadata_says() {
    block_on(async {
        let mut registry = Metrics::default();
        let mut other = Peer::start(Executor::Smol, loopback());
        let address = other.address().await;
        let peer = node(&mut registry, loopback().with_bootstrap([address]));
        within("bootstrap", peer.handle.bootstrap()).await.expect("joined");
        other.handle.register(manifest("theirs", "1.0.0")).await.expect("registered");
        peer.handle.register(manifest("ours", "1.0.0")).await.expect("registered");
        let theirs = owned(other.id(), "theirs");
        peer.handle.get_package(theirs.clone()).await.expect("found");
        peer.handle.list_versions(theirs).await.expect("found");
        peer.handle.get_package(bare("ours")).await.expect("its own");
        let missing = peer.handle.get_package(owned(other.id(), "missing")).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");

        // What peers do meanwhile shows in both, or at the next look in both.
        let looks = async {
            loop {
                let about = peer.handle.metadata().await.expect("metadata");
                if samples(&registry) == expected(&about) {
                    break about;
                }
            }
        };
        let about = within("a scrape that says the same", looks).await;
        let get = about.counters.calls.get;
        assert_eq!((get.outcomes.answered, get.outcomes.not_found), (2, 1));
        assert_eq!(get.sources.own, 1);
        assert_eq!(about.own_packages, 1);
        assert!(about.counters.traffic.dht.messages_out > 0);
        assert_eq!(about.connections.application, 1, "it is a bootstrap peer");
    });
}

#[test]
fn a_scrape_is_brought_up_to_date_by_the_heartbeat_alone_and_outlives_the_node() {
    block_on(async {
        let mut registry = Metrics::default();
        let peer = node(&mut registry, loopback());
        peer.handle.register(manifest("ours", "1.0.0")).await.expect("registered");
        for _ in 0..3 {
            peer.handle.get_package(bare("ours")).await.expect("its own");
        }
        let name = "peerage_reads_total{operation=\"get\",source=\"own\"}";
        let seen = async {
            while samples(&registry)[name] != 3 {
                async_io::Timer::after(std::time::Duration::from_millis(20)).await;
            }
        };
        within("the next heartbeat", seen).await;
        peer.handle.get_package(bare("ours")).await.expect("its own");
        peer.handle.shutdown().await.expect("stopped");
        within("the end", peer.ended).await.expect("ended");
        assert_eq!(samples(&registry)[name], 4);
    });
}

#[test]
fn nodes_of_one_process_are_told_apart_by_a_label() {
    let mut registry = Metrics::default();
    let mut kept = Vec::new();
    for number in ["1", "2"] {
        let label = ("node".into(), number.into());
        let part = registry.sub_registry_with_label(label);
        let builder = Node::builder(Keypair::generate_ed25519(), loopback());
        kept.push(builder.with_metrics(part).build().expect("a node"));
    }
    let samples = samples(&registry);
    for number in ["1", "2"] {
        assert_eq!(samples[&format!("peerage_peers{{node=\"{number}\"}}")], 0);
    }
}

#[test]
fn a_node_that_could_not_be_built_shows_nothing() {
    let mut registry = Metrics::default();
    let config = Config::new().with_command_capacity(0);
    let built =
        Node::builder(Keypair::generate_ed25519(), config).with_metrics(&mut registry).build();
    assert!(built.is_err());
    assert!(samples(&registry).is_empty());
}
