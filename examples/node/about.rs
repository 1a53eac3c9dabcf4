//! What a node says of itself, for a terminal.

use std::fmt::{Result, Write};

use peerage::{
    CallCounters, Counters, PeerCounters, ProtocolCounters, RegistryMetadata, TrafficCounters,
    storage::StorageReport,
};

pub(crate) fn write(out: &mut String, about: &RegistryMetadata) -> Result {
    writeln!(out, "peer      {}", about.peer_id)?;
    if about.owner != about.peer_id {
        writeln!(out, "owner     {}", about.owner)?;
    }
    let uptime = about.uptime.as_secs();
    writeln!(out, "network   {} ({:?}), for {uptime} s", about.network, about.mode)?;
    for address in &about.addresses {
        writeln!(out, "address   {address}")?;
    }
    if let Some(offset) = about.clock {
        writeln!(out, "clock     {offset}")?;
    }
    let (connected, seats) = (about.peers, about.routing_table);
    writeln!(out, "peers     {connected} connected, {seats} in the routing table")?;
    let kept: Vec<_> = about.connections.each().map(|(what, peers)| (what, peers.into())).into();
    let (kept, target) = (listed(&kept), about.connection_target);
    let kept = if kept.is_empty() { "none".to_owned() } else { kept };
    writeln!(out, "kept for  {kept}; the target is {target}")?;
    let (own, known) = (about.own_packages, about.known_packages);
    let bytes = about.catalogue_bytes;
    writeln!(out, "packages  {own} own, {known} of others known ({bytes} bytes)")?;
    let (records, bytes) = (about.records, about.record_bytes);
    writeln!(out, "records   {records} ({bytes} bytes for others)")?;
    if let Some(StorageReport { bytes, unsaved, commits, failures, .. }) = about.storage {
        let commits = format!("{commits} commits, {failures} failed");
        writeln!(out, "storage   {bytes} bytes, {unsaved} rows not yet written; {commits}")?;
    }
    write_calls(out, &about.counters.calls)?;
    write_work(out, &about.counters)?;
    write_leaving(out, &about.counters.peers)?;
    write_traffic(out, &about.counters.traffic)
}

/// Why peers went and were not let in: what never happened is left out.
fn write_leaving(out: &mut String, peers: &PeerCounters) -> Result {
    for (label, each) in
        [("let go", &peers.let_go.each()[..]), ("goodbyes", &peers.goodbyes.each()[..])]
    {
        let each = listed(each);
        if !each.is_empty() {
            writeln!(out, "{label:<9} {each}")?;
        }
    }
    if peers.turned_away > 0 {
        writeln!(out, "no room   {} newcomers turned away", peers.turned_away)?;
    }
    Ok(())
}

/// What has come and gone by each protocol that was spoken.
fn write_traffic(out: &mut String, traffic: &TrafficCounters) -> Result {
    for (protocol, of) in traffic.each() {
        if of == ProtocolCounters::default() {
            continue;
        }
        let ProtocolCounters { messages_in, messages_out, bytes_in, bytes_out, .. } = of;
        let came = format!("in {messages_in} messages, {bytes_in} bytes");
        let went = format!("out {messages_out} messages, {bytes_out} bytes");
        writeln!(out, "traffic   {protocol}: {came}; {went}")?;
    }
    Ok(())
}

/// What was called, and how it ended: what never happened is left out.
fn write_calls(out: &mut String, calls: &CallCounters) -> Result {
    let sources = calls.sources();
    for (operation, outcomes) in calls.outcomes() {
        if outcomes.total() == 0 {
            continue;
        }
        let ended = listed(&outcomes.each());
        let from = sources.iter().find(|(read, _)| *read == operation);
        let from = from.map(|(_, sources)| listed(&sources.each())).unwrap_or_default();
        let from = if from.is_empty() { from } else { format!(" (from: {from})") };
        writeln!(out, "calls     {operation}: {ended}{from}")?;
    }
    Ok(())
}

fn write_work(out: &mut String, counters: &Counters) -> Result {
    let queries = &counters.queries;
    let started: Vec<_> =
        queries.each().into_iter().map(|(kind, tasks)| (kind, tasks.started)).collect();
    let (running, waiting) = (queries.running, queries.waiting);
    let started = if running + waiting + started.iter().map(|(_, times)| times).sum::<u64>() == 0 {
        "none".to_owned()
    } else {
        format!("{} begun; {running} running, {waiting} waiting", listed(&started))
    };
    writeln!(out, "queries   {started}")?;
    let heard = &counters.announcements;
    let (sent, queued) = (heard.sent, heard.queued);
    let (accepted, ignored, rejected) = (heard.accepted, heard.ignored, heard.rejected);
    writeln!(out, "news      {sent} sent, {queued} queued")?;
    writeln!(out, "          heard: {accepted} accepted, {ignored} ignored, {rejected} rejected")?;
    let compared = &counters.reconciliation;
    let (sessions, heads) = (compared.sessions, compared.heads_fetched);
    let bytes = compared.bytes_in + compared.bytes_out;
    writeln!(out, "compared  {sessions} catalogues: {heads} packages fetched, {bytes} bytes")?;
    let (stored, refused) = (counters.records.stored, counters.records.refused);
    let blocked = counters.peers.blocked;
    writeln!(out, "offers    {stored} stored, {refused} refused; {blocked} peers blocked")
}

fn listed(each: &[(&str, u64)]) -> String {
    let some = each.iter().filter(|(_, times)| *times > 0);
    let some: Vec<String> = some.map(|(name, times)| format!("{times} {name}")).collect();
    some.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    const PEER: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    fn about(counters: &Counters) -> RegistryMetadata {
        let about = json!({
            "peer_id": PEER,
            "owner": PEER,
            "network": "test",
            "mode": "server",
            "addresses": ["/ip4/127.0.0.1/tcp/4001"],
            "location": null,
            "uptime": "1m 1s",
            "peers": 2,
            "connections": {
                "in_use": 0,
                "application": 1,
                "mesh": 0,
                "neighbour": 1,
                "distance": 0,
                "catalogue": 0,
                "grace": 0,
                "nothing": 0,
            },
            "connection_target": 48,
            "routing_table": 3,
            "own_packages": 1,
            "known_packages": 4,
            "catalogue_bytes": 2048,
            "coverage": "all",
            "records": 7,
            "record_bytes": 4096,
            "counters": counters,
        });
        from_value(about).unwrap()
    }

    fn written(counters: &Counters) -> String {
        let mut out = String::new();
        write(&mut out, &about(counters)).unwrap();
        out
    }

    #[test]
    fn what_never_happened_takes_no_line() {
        let out = written(&Counters::default());
        assert!(!out.contains("calls "), "{out}");
        assert!(out.contains("queries   none\n"), "{out}");
        assert!(out.contains("network   test (Server), for 61 s\n"), "{out}");
        assert!(out.contains("peers     2 connected, 3 in the routing table\n"), "{out}");
        assert!(out.contains("kept for  1 application, 1 neighbour; the target is 48\n"), "{out}");
        assert!(!out.contains("owner") && !out.contains("clock"), "{out}");
        for label in ["let go", "goodbyes", "no room", "traffic"] {
            assert!(!out.contains(label), "{out}");
        }
    }

    #[test]
    fn what_is_kept_on_disk_is_shown() {
        let mut about = about(&Counters::default());
        let storage = json!({
            "bytes": 4096,
            "unsaved": 2,
            "is_restored": true,
            "is_failing": false,
            "commits": 7,
            "rows": 20,
            "failures": 1,
        });
        about.storage = Some(from_value(storage).unwrap());
        let mut out = String::new();
        write(&mut out, &about).unwrap();
        let line = "storage   4096 bytes, 2 rows not yet written; 7 commits, 1 failed\n";
        assert!(out.contains(line), "{out}");
    }

    #[test]
    fn what_peers_say_of_the_clock_is_shown() {
        let mut about = about(&Counters::default());
        about.clock = Some(from_value(json!({"seconds": -600, "peers": 3})).unwrap());
        let mut out = String::new();
        write(&mut out, &about).unwrap();
        assert!(out.contains("clock     10 min behind 3 peers\n"), "{out}");
    }

    #[test]
    fn what_happened_to_connections_is_told_with_its_reasons_and_what_they_carried() {
        let mut counters = Counters::default();
        let peers = &mut counters.peers;
        (peers.let_go.above_target, peers.let_go.flood) = (3, 1);
        (peers.goodbyes.no_room, peers.turned_away) = (2, 9);
        let dht = &mut counters.traffic.dht;
        (dht.messages_in, dht.bytes_in, dht.messages_out, dht.bytes_out) = (5, 600, 4, 300);
        counters.traffic.other.bytes_in = 7;
        let out = written(&counters);
        for line in [
            "let go    3 above_target, 1 flood\n",
            "goodbyes  2 no_room\n",
            "no room   9 newcomers turned away\n",
            "traffic   dht: in 5 messages, 600 bytes; out 4 messages, 300 bytes\n",
            "traffic   other: in 0 messages, 7 bytes; out 0 messages, 0 bytes\n",
        ] {
            assert!(out.contains(line), "{out}");
        }
        assert!(!out.contains("gossip"), "{out}");
    }

    #[test]
    fn calls_are_listed_by_how_they_ended_and_where_from() {
        let mut counters = Counters::default();
        let get = &mut counters.calls.get;
        (get.outcomes.answered, get.outcomes.not_found) = (5, 1);
        (get.sources.cache, get.sources.network) = (3, 2);
        counters.calls.register.answered = 1;
        counters.queries.lookups.started = 2;
        counters.queries.running = 1;
        let out = written(&counters);
        let line = "calls     get: 5 answered, 1 not_found (from: 3 cache, 2 network)\n";
        assert!(out.contains(line), "{out}");
        assert!(out.contains("calls     register: 1 answered\n"), "{out}");
        assert!(out.contains("queries   2 lookup begun; 1 running, 0 waiting\n"), "{out}");
    }
}
