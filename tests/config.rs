//! What the guide says of the configuration is so, and what cannot be meant is refused by its name.
#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::{collections::BTreeMap, time::Duration};

use peerage::{Config, Error};
use serde_json::{Map, Value, json};

const CONFIGURATION: &str = include_str!("../src/guide/configuration.md");
const LIMITS: &str = include_str!("../src/guide/limits.md");

/// The tables of the guide that document a field in each row: field to default.
fn documented() -> BTreeMap<String, Value> {
    let mut defaults = BTreeMap::new();
    let mut inside = false;
    for line in CONFIGURATION.lines().chain(LIMITS.lines()) {
        if line.starts_with("| field | default |") {
            inside = true;
        } else if !line.starts_with('|') {
            inside = false;
        } else if inside && !line.starts_with("|--") {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [field, default, meaning] = cells[..] else { panic!("three cells: {line}") };
            assert!(meaning.len() > 10, "`{field}` is not explained");
            let default = match default {
                "none" => Value::Null,
                literal => serde_json::from_str(literal.trim_matches('`')).expect(line),
            };
            assert_eq!(
                defaults.insert(field.trim_matches('`').to_owned(), default),
                None,
                "{line}"
            );
        }
    }
    // It exists with that feature alone.
    if !cfg!(feature = "mdns") {
        defaults.remove("mdns").expect("it is documented");
    }
    defaults
}

/// The fields of a value, those of nested structures by their paths.
fn fields(value: &Value) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    for (field, value) in value.as_object().expect("a structure") {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                let inner = fields(value).into_iter();
                flat.extend(inner.map(|(path, value)| (format!("{field}.{path}"), value)));
            }
            _ => {
                flat.insert(field.clone(), value.clone());
            }
        }
    }
    flat
}

/// A configuration as a file would give it, with one field set.
fn with(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |inner, field| {
        let mut outer = Map::new();
        outer.insert(field.to_owned(), inner);
        Value::Object(outer)
    })
}

fn read(value: Value) -> serde_json::Result<Config> {
    serde_json::from_value(value)
}

/// The field that a configuration is refused for.
fn refused_for(config: &Config) -> String {
    match config.validate() {
        Err(Error::Invalid { field, reason, .. }) => {
            assert!(!reason.is_empty());
            field.into_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_guide_documents_every_field_and_no_other() {
    let default = serde_json::to_value(Config::default()).expect("written");
    let real: Vec<String> = fields(&default).into_keys().collect();
    let documented: Vec<String> = documented().into_keys().collect();
    assert_eq!(documented, real);
}

#[test]
fn each_default_is_as_the_guide_says() {
    for (field, value) in documented() {
        let config = read(with(&field, value.clone())).expect(&field);
        assert_eq!(config, Config::default(), "the default of `{field}` is not {value}");
    }
}

#[test]
fn the_defaults_are_valid() {
    assert_eq!(Config::default().validate(), Ok(()));
    assert_eq!(read(json!({})).expect("everything may be left out"), Config::default());
}

#[test]
fn durations_read_and_write_as_words() {
    let text = "query_timeout = '1m 30s'\nrecord_ttl = '7days'\n[transport]\ndial_timeout = '3s'";
    let config: Config = toml::from_str(text).expect("read");
    assert_eq!(config.query_timeout, Duration::from_secs(90));
    assert_eq!(config.record_ttl, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(config.transport.dial_timeout(), Duration::from_secs(3));

    let written = toml::to_string(&config).expect("written");
    assert!(written.contains("query_timeout = \"1m 30s\""), "{written}");
    assert_eq!(toml::from_str::<Config>(&written).expect("read again"), config);
}

#[test]
fn a_configuration_survives_being_written_and_read() {
    let owner = peerage::identity::Keypair::generate_ed25519().public().to_peer_id();
    let config = Config::new()
        .with_network("plugins".parse().expect("a name"))
        .with_listen(["/ip4/127.0.0.1/tcp/4001".parse().expect("an address")])
        .with_external_addresses(["/ip4/192.0.2.1/tcp/4001".parse().expect("an address")])
        .with_bootstrap(["/ip6/::1/tcp/4002".parse().expect("an address")])
        .with_mode(peerage::DhtMode::Client)
        .with_announcements_topic("news")
        .with_location(peerage::GeoLocation::new(48.86, 2.35).expect("a place"))
        .with_pin("tiny-http".parse().expect("a name"), owner)
        .with_pin_on_first_use(true)
        .with_sweep_granularity(Duration::from_millis(25))
        .with_limits(peerage::Limits::new().with_connections(9));
    let json = serde_json::to_string(&config).expect("written");
    assert_eq!(serde_json::from_str::<Config>(&json).expect("read"), config);
    let toml = toml::to_string(&config).expect("written");
    assert_eq!(toml::from_str::<Config>(&toml).expect("read"), config);
}

#[test]
fn an_unknown_field_is_refused_by_its_name_wherever_it_stands() {
    for path in ["querytimeout", "limits.pines", "transport.dialtimeout", "transport.tcp.delay"] {
        let error = read(with(path, json!(1))).expect_err(path).to_string();
        let field = path.rsplit('.').next().expect("a field");
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn a_value_of_another_kind_is_refused() {
    for (path, value) in [
        ("query_timeout", json!(30)),
        ("query_timeout", json!("30 parsecs")),
        ("network", json!("No Such Network")),
        ("listen", json!(["localhost:80"])),
        ("mode", json!("servant")),
        ("location", json!({"latitude": 91.0, "longitude": 0.0})),
        ("pins", json!({"Tiny HTTP": "12D3KooW"})),
        ("command_capacity", json!(-1)),
        ("coverage", json!("some")),
    ] {
        assert!(read(with(path, value.clone())).is_err(), "{path} = {value}");
    }
}

#[test]
fn an_invalid_value_names_its_field() {
    let long = "t".repeat(129);
    for (path, value) in [
        ("query_timeout", json!("0s")),
        ("announce_timeout", json!("0s")),
        ("sweep_granularity", json!("999us")),
        ("cache_ttl", json!("0s")),
        ("republish_interval", json!("0s")),
        ("republish_interval", json!("48h")),
        ("record_ttl", json!("59s")),
        ("record_ttl", json!("31days")),
        ("command_capacity", json!(0)),
        ("announcements_topic", json!("")),
        ("announcements_topic", json!("a\nb")),
        ("announcements_topic", json!(long)),
        ("transport.dial_timeout", json!("0s")),
        ("transport.upgrade_timeout", json!("25h")),
        ("transport.ping_interval", json!("0s")),
        ("transport.ping_timeout", json!("25h")),
        ("transport.tcp.host_timeout", json!("4s")),
        ("limits.waiting_calls", json!(0)),
        ("limits.running_queries", json!(0)),
        ("limits.commands_per_poll", json!(0)),
        ("limits.network_events_per_poll", json!(0)),
        ("limits.store_records", json!(0)),
        ("limits.store_records_per_owner", json!(0)),
        ("limits.store_bytes", json!(8191)),
        ("limits.store_records_per_peer", json!(0)),
        ("limits.requests_per_second", json!(0)),
        ("limits.request_burst", json!(0)),
        ("limits.announcements_per_second", json!(0)),
        ("limits.announcement_burst", json!(0)),
        ("limits.remembered_sequences", json!(0)),
        ("limits.connections", json!(0)),
        ("limits.connection_target", json!(0)),
        ("limits.connections_per_peer", json!(0)),
        ("limits.pending_connections", json!(0)),
        ("limits.connections_per_ip", json!(0)),
        ("limits.routing_peers_per_ip", json!(0)),
        ("limits.routing_peers_per_subnet", json!(0)),
        ("limits.addresses_per_peer", json!(0)),
        ("limits.streams_per_connection", json!(0)),
        ("limits.streams_per_connection", json!(4097)),
        ("coverage", json!([])),
        ("coverage", json!(["Web"])),
    ] {
        let config = read(with(path, value.clone())).expect("readable");
        assert_eq!(refused_for(&config), path, "{value}");
    }
}

#[test]
fn what_can_be_done_without_may_be_bounded_at_nothing() {
    for bound in [
        "own_packages",
        "cache_records",
        "catalogue_packages",
        "catalogue_bytes",
        "queued_announcements",
        "topics",
        "remembered_peers",
        "blocked_peers",
        "pins",
    ] {
        let config = read(with(&format!("limits.{bound}"), json!(0))).expect("readable");
        assert_eq!(config.validate(), Ok(()), "{bound}");
    }
}

#[test]
fn a_node_is_not_built_of_a_configuration_that_is_refused() {
    let config = Config::new().with_command_capacity(0);
    let keypair = peerage::identity::Keypair::generate_ed25519();
    let error = peerage::Node::new(keypair, config).expect_err("refused");
    assert!(matches!(error, Error::Invalid { ref field, .. } if field == "command_capacity"));
}
