//! What the peers do: publish, hear, find, resolve, list, search, yank and withdraw.

use std::{collections::BTreeSet, time::Instant};

use futures::{
    StreamExt,
    future::join_all,
    stream::{self, select_all},
};
use peerage::{PackageId, Query};

use crate::{
    calls::{self, Job},
    listing::{Listing, by_keyword},
    needs::Needs,
    peer::Peer,
    report::{Outcome, Progress, Report},
    watch::{PATIENCE, Seen, Watch},
};

/// Calls of one peer that are under way at once.
const IN_FLIGHT: usize = 32;

/// Of so many packages, one has its newest release yanked, and the one after it is withdrawn.
const CHANGE_EACH: usize = 8;

/// The peers, what they tell, and what they publish.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) peers: Vec<Peer>,
    pub(crate) watches: Vec<Watch>,
    pub(crate) listings: Vec<Listing>,
}

impl Market {
    /// The whole story.
    pub(crate) async fn run(&mut self, report: &mut Report) {
        let all = |_: &Listing| true;
        run("publish", self.at_home(all, calls::publish), report).await;
        self.hear("hear an announcement", all, announced, report).await;

        run("find by owner and name", self.elsewhere(all, calls::find), report).await;
        run("resolve a bare name", self.elsewhere(all, calls::resolve), report).await;
        run("read each release", self.elsewhere(all, calls::read_releases), report).await;
        run("list versions", self.elsewhere(all, calls::list_versions), report).await;
        run("search by text", self.elsewhere(all, calls::search_text), report).await;
        let keywords = by_keyword(&self.listings, Query::MAX_LIMIT);
        run("search by keyword", self.everywhere(&keywords, calls::search_keyword), report).await;

        self.resolve_needs(report).await;

        let yanked = self.choose(0);
        let is_yanked = |listing: &Listing| yanked.contains(&listing.id);
        run("yank", self.at_home(is_yanked, calls::yank), report).await;
        self.listings.iter_mut().filter(|one| is_yanked(one)).for_each(Listing::yank_newest);
        self.hear("hear of a yank", is_yanked, announced, report).await;
        run("see a yank", self.elsewhere(is_yanked, calls::see_yanked), report).await;

        let withdrawn = self.choose(1);
        let is_withdrawn = |listing: &Listing| withdrawn.contains(&listing.id);
        run("withdraw", self.at_home(is_withdrawn, calls::withdraw), report).await;
        self.hear("hear of a withdrawal", is_withdrawn, gone, report).await;
        run("see a withdrawal", self.elsewhere(is_withdrawn, calls::see_withdrawn), report).await;
        run("be refused a revival", self.at_home(is_withdrawn, calls::revive), report).await;
    }

    /// Every peer resolves the dependencies of what the others have published.
    async fn resolve_needs(&self, report: &mut Report) {
        const OPERATION: &str = "resolve a dependency";
        let needs = Needs::of(&self.listings);
        let of_peer = |(index, peer)| {
            let foreign = needs.published.iter().filter(|need| need.is_foreign_to(index));
            foreign.map(|need| calls::resolve_need(peer, need)).collect()
        };
        run(OPERATION, self.peers.iter().enumerate().map(of_peer).collect(), report).await;
        let (resolved, published) = (needs.resolvable(), needs.published.len());
        let took = report.median(OPERATION).as_secs_f64() * 1e3;
        report.note(format!(
            "dependencies: {resolved} of {published} resolved by their requirements, each by peers that publish \
             neither package; one took {took:.2} ms. {} match no release that is published, {} more are on packages \
             that are not",
            published - resolved,
            needs.elsewhere,
        ));
    }

    fn choose(&self, first: usize) -> BTreeSet<PackageId> {
        let chosen = self.listings.iter().skip(first).step_by(CHANGE_EACH);
        chosen.map(|listing| listing.id.clone()).collect()
    }

    /// Work for the publisher of each of these packages.
    fn at_home<'a>(
        &'a self,
        wanted: impl Fn(&Listing) -> bool,
        job: impl Fn(&'a Peer, &'a Listing) -> Job<'a>,
    ) -> Vec<Vec<Job<'a>>> {
        self.jobs(|peer, listing| peer == listing.publisher && wanted(listing), job)
    }

    /// Work for every other peer.
    fn elsewhere<'a>(
        &'a self,
        wanted: impl Fn(&Listing) -> bool,
        job: impl Fn(&'a Peer, &'a Listing) -> Job<'a>,
    ) -> Vec<Vec<Job<'a>>> {
        self.jobs(|peer, listing| peer != listing.publisher && wanted(listing), job)
    }

    fn jobs<'a>(
        &'a self,
        wanted: impl Fn(usize, &Listing) -> bool,
        job: impl Fn(&'a Peer, &'a Listing) -> Job<'a>,
    ) -> Vec<Vec<Job<'a>>> {
        let of_peer = |(index, peer): (usize, &'a Peer)| {
            let listings = self.listings.iter().filter(|listing| wanted(index, listing));
            listings.map(|listing| job(peer, listing)).collect()
        };
        self.peers.iter().enumerate().map(of_peer).collect()
    }

    /// Work for every peer, one job for each of these.
    fn everywhere<'a, T>(
        &'a self,
        subjects: &'a [T],
        job: impl Fn(&'a Peer, &'a T) -> Job<'a>,
    ) -> Vec<Vec<Job<'a>>> {
        let of_peer = |peer| subjects.iter().map(|subject| job(peer, subject)).collect();
        self.peers.iter().map(of_peer).collect()
    }

    /// Waits until every other peer has told that it heard of these packages; counted from the call that
    /// changed them.
    async fn hear(
        &mut self,
        operation: &'static str,
        wanted: impl Fn(&Listing) -> bool,
        heard: impl Fn(&Seen, &Listing) -> Option<Instant>,
        report: &mut Report,
    ) {
        let (wanted, heard) = (&wanted, &heard);
        let listings = &self.listings;
        let due =
            |peer: usize| listings.iter().filter(move |one| one.publisher != peer && wanted(one));
        let total = (0..self.peers.len()).map(|peer| due(peer).count()).sum();
        let mut progress = Progress::start(operation, total);
        let waits = self.watches.iter_mut().enumerate().map(|(peer, watch)| async move {
            watch.until(|seen| due(peer).all(|listing| heard(seen, listing).is_some())).await;
            let outcome = |listing: &Listing| {
                let begun = listing.head.get().map(|head| head.begun);
                match (begun, heard(&watch.seen, listing)) {
                    (Some(begun), Some(heard)) => Outcome {
                        took: heard.saturating_duration_since(begun),
                        ..Outcome::default()
                    },
                    _ => Outcome {
                        took: PATIENCE,
                        failure: Some(format!("{}: nothing was heard", listing.id)),
                        ..Outcome::default()
                    },
                }
            };
            due(peer).map(outcome).collect::<Vec<_>>()
        });
        for outcome in join_all(waits).await.into_iter().flatten() {
            progress.advance([&outcome]);
            report.add(operation, outcome);
        }
        progress.end();
    }
}

/// When a peer heard of the package as it now is.
fn announced(seen: &Seen, listing: &Listing) -> Option<Instant> {
    let wanted = listing.head.get()?.sequence;
    seen.heads.get(&listing.id).filter(|(sequence, _)| *sequence >= wanted).map(|(_, heard)| *heard)
}

/// When a peer heard that the package is withdrawn.
fn gone(seen: &Seen, listing: &Listing) -> Option<Instant> {
    seen.withdrawn.get(&listing.id).copied()
}

/// Does the work of all peers at once, and of each peer so many pieces at a time.
async fn run(operation: &'static str, work: Vec<Vec<Job<'_>>>, report: &mut Report) {
    let mut progress = Progress::start(operation, work.iter().map(Vec::len).sum());
    let of_peer = |jobs| stream::iter(jobs).buffer_unordered(IN_FLIGHT);
    let mut done = select_all(work.into_iter().map(of_peer));
    while let Some(outcomes) = done.next().await {
        progress.advance(&outcomes);
        for outcome in outcomes {
            report.add(operation, outcome);
        }
    }
    progress.end();
}
