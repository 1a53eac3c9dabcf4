//! What a node says of itself, for a terminal.

use std::fmt::{Result, Write};

use peerage::{CallCounters, Counters, RegistryMetadata};

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
    let (own, known) = (about.own_packages, about.known_packages);
    let bytes = about.catalogue_bytes;
    writeln!(out, "packages  {own} own, {known} of others known ({bytes} bytes)")?;
    let (records, bytes) = (about.records, about.record_bytes);
    writeln!(out, "records   {records} ({bytes} bytes for others)")?;
    write_calls(out, &about.counters.calls)?;
    write_work(out, &about.counters)
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
        assert!(!out.contains("owner") && !out.contains("clock"), "{out}");
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
