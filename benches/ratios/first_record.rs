//! One lookup after the other in a network of which each record is at a part only: until the caller has the
//! answer.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use peerage::{Config, Registry as _};

use crate::{
    client::Client,
    dispatch::Outcome,
    network::{Held, Network},
    raw::RawClient,
    report::{Each, Report, Target},
};

const SERVERS: usize = 96;
/// Lookups of a round. Both sides ask for the same.
const LOOKUPS: usize = 100;
const ROUNDS: usize = 11;
/// Longer than the answers take that a lookup did not wait for.
const UNDER_WAY: Duration = Duration::from_millis(2);

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let names = ["first-record/whole-query", "first-record/first-value"];
    if !names.iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    let network = Network::new(SERVERS, LOOKUPS * (ROUNDS + 1))?;
    // What was read in one row is asked for again in the other.
    let config = Config::new().with_cache_ttl(Duration::from_millis(1));
    let client = RefCell::new(Client::join(&network, config)?);
    let raw = RefCell::new(RawClient::join(&network)?);
    let ours = |held: &Held| package(&mut client.borrow_mut(), held);
    let first = |held: &Held| {
        let mut raw = raw.borrow_mut();
        raw.rest(UNDER_WAY);
        raw.first_values(std::slice::from_ref(&held.key))
    };
    let whole = |held: &Held| {
        let mut raw = raw.borrow_mut();
        raw.rest(UNDER_WAY);
        raw.whole_query(&held.key)
    };

    let [whole_query, first_value] = names;
    rounds(report, whole_query, Target::AtMost(0.2), &network, ours, whole);
    rounds(report, first_value, Target::AtMost(1.1), &network, ours, first);
    Ok(())
}

/// Measures both sides, each round with other keys.
fn rounds(
    report: &Report,
    name: &str,
    target: Target,
    network: &Network,
    mut ours: impl FnMut(&Held) -> Duration,
    mut peer: impl FnMut(&Held) -> Duration,
) {
    let (our_round, peer_round) = (Cell::new(0), Cell::new(0));
    let each = |round: &Cell<usize>, lookup: &mut dyn FnMut(&Held) -> Duration| {
        let keys = network.held().iter().skip(round.replace(round.get() + 1) * LOOKUPS);
        let total = keys.take(LOOKUPS).map(lookup).sum();
        Each { total, operations: LOOKUPS as u64 }
    };
    report.row(
        name,
        target,
        ROUNDS,
        || each(&our_round, &mut ours),
        || each(&peer_round, &mut peer),
    );
}

/// From the call to the answer.
fn package(client: &mut Client, held: &Held) -> Duration {
    client.rest(UNDER_WAY);
    let (handle, package) = (client.handle.clone(), held.package.clone());
    let start = Instant::now();
    let answer = client.run(handle.get_package(package));
    let time = start.elapsed();
    assert!(answer.is_ok_and(|package| package.id.name() == held.package.name()));
    time
}
