//! A peer that comes when everything has been announced: it has heard of nothing, and catches up in one exchange.

use std::time::Instant;

use peerage::{Config, Registry};

use crate::{
    peer::{Executor, Peer},
    report::{Outcome, Progress, Report, say},
    scenario::Market,
    watch::Watch,
};

impl Market {
    /// Starts a late joiner, which knows one of the peers, and waits until it knows every package that has not been
    /// withdrawn.
    pub(crate) async fn join_late(&mut self, config: &Config, report: &mut Report) {
        const OPERATION: &str = "catch up, joining late";
        let mut progress = Progress::start(OPERATION, 1);
        let begun = Instant::now();
        let failure = self.catch_up(config).await.err();
        let outcome = Outcome { took: begun.elapsed(), source: None, failure };
        progress.advance([&outcome]);
        progress.end();
        report.add(OPERATION, outcome);
        if let Some(late) = self.peers.last()
            && let Ok(metadata) = late.handle.metadata().await
        {
            let moved = metadata.counters.reconciliation;
            say(&format!(
                "  {} packages in {} comparison(s) of catalogues: {} bytes moved, {} bytes of heads\n",
                metadata.known_packages,
                moved.sessions,
                moved.bytes_in + moved.bytes_out,
                metadata.catalogue_bytes,
            ));
        }
    }

    async fn catch_up(&mut self, config: &Config) -> Result<(), String> {
        let address = self.watches.first().and_then(|watch| watch.seen.address.clone());
        let address = address.ok_or("nobody to join")?;
        let listen = "/ip4/127.0.0.1/tcp/0".parse().map_err(|error| format!("{error}"))?;
        let config = config.clone().with_listen([listen]).with_bootstrap([address]);
        let (peer, mut watch): (Peer, Watch) =
            Peer::start(Executor::Futures, config).map_err(|error| error.to_string())?;
        let gone: Vec<_> =
            self.watches.iter().flat_map(|watch| watch.seen.withdrawn.keys()).collect();
        let live: Vec<_> = self
            .listings
            .iter()
            .map(|listing| &listing.id)
            .filter(|id| !gone.contains(id))
            .collect();
        let knows_all =
            watch.until(|seen| live.iter().all(|id| seen.heads.contains_key(*id))).await;
        let known = live.iter().filter(|id| watch.seen.heads.contains_key(**id)).count();
        self.peers.push(peer);
        self.watches.push(watch);
        if knows_all { Ok(()) } else { Err(format!("{known} of {} packages came", live.len())) }
    }
}
