//! Many lookups at once, until the last answer: through the node's window, and handed straight to Kademlia, once by
//! a program that waits for what comes, and once by one that finishes each query with its first copy, as the node does.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use peerage::{Config, Registry as _};

use crate::{
    client::Client,
    dispatch::Outcome,
    network::{Held, Network},
    raw::RawClient,
    report::{Report, Target},
};

const SERVERS: usize = 20;
const LOOKUPS: usize = 4_000;
/// One of Kademlia's takes seconds; left alone, a minute.
const ROUNDS: usize = 3;

pub(crate) fn rows(report: &mut Report) -> Outcome<()> {
    let [straight, finishing] = ["lookups/straight-to-kad", "lookups/finishing-each"];
    if !report.wants(straight) && !report.wants(finishing) {
        return Ok(());
    }
    let network = Network::new(SERVERS, LOOKUPS)?;
    let config = Config::new()
        .with_command_capacity(LOOKUPS)
        // Every record is taken into the cache as ever, and is out of it before the next round asks again.
        .with_cache_ttl(Duration::from_millis(1));
    let client = RefCell::new(Client::join(&network, config)?);
    let mut raw = RawClient::join(&network)?;
    let keys: Vec<_> = network.held().iter().map(|held| held.key.clone()).collect();
    let ours = || all(&mut client.borrow_mut(), network.held());
    report.row(finishing, Target::AtLeast(4.0), ROUNDS, ours, || raw.first_values(&keys));
    drop(raw);
    let mut raw = Some(RawClient::join(&network)?);
    report.once(straight, Target::AtLeast(4.0), ours, || {
        let (time, lost) = raw.take().map(|raw| raw.left_alone(&keys)).unwrap_or_default();
        eprintln!("      {straight}: Kademlia gave {lost} of {LOOKUPS} up");
        time
    });
    Ok(())
}

/// From handing over the first call to receiving the last answer.
fn all(client: &mut Client, wanted: &[Held]) -> Duration {
    let handle = &client.handle.clone();
    let mut calls: FuturesUnordered<_> = wanted
        .iter()
        .map(|held| async move { (held, handle.get_package(held.package.clone()).await) })
        .collect();
    let start = Instant::now();
    client.run(async {
        while let Some((held, answer)) = calls.next().await {
            assert!(answer.is_ok_and(|package| package.id.name() == held.package.name()));
        }
    });
    start.elapsed()
}
