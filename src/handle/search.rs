//! Searches that ask connected peers too, as their callers follow them.

use std::{
    cmp::Reverse,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{Stream, StreamExt, channel::mpsc, stream::FusedStream};

use crate::{
    engine::index::relevance,
    error::{Error, Result},
    package::{Package, Query, Sort},
    search::{Finding, Hit, SearchReport},
    ticket::{Cancels, Ticket},
};

/// A search among peers, under way: what is found, as it comes.
///
/// First come the packages that this node knows itself, best first, then those of each peer that answers, as they
/// arrive. Each is the newest release of a head that was verified here: a peer can leave packages out, it cannot make any
/// up. A package comes once, and again only if a peer has a newer head of it. The stream ends when every peer that was
/// asked has answered or can answer no more, at the deadline at the latest; then [`report`](Self::report) says how much of
/// the network that was. An error ends it as well.
///
/// Comes from [`Handle::search_peers`](crate::Handle::search_peers). Dropping it ends the search.
///
/// ```no_run
/// use futures::StreamExt;
/// use peerage::{Handle, Query};
///
/// async fn print(handle: &Handle) -> peerage::Result<()> {
///     let mut search = handle.search_peers(Query::new().with_text("http server")).await?;
///     while let Some(package) = search.next().await {
///         println!("{}", package?.id);
///     }
///     if let Some(report) = search.report() && !report.is_complete() {
///         println!("{} of {} peers answered", report.answered.len(), report.asked.len());
///     }
///     Ok(())
/// }
/// ```
#[must_use = "a search does nothing unless it is polled, and ends when it is dropped"]
#[derive(Debug)]
pub struct Search {
    query: Query,
    findings: mpsc::UnboundedReceiver<Finding>,
    state: State,
    _node: CancelSearch,
}

#[derive(Debug)]
enum State {
    Running,
    Ended(Option<SearchReport>),
}

impl Search {
    pub(crate) fn new(
        query: Query,
        findings: mpsc::UnboundedReceiver<Finding>,
        node: CancelSearch,
    ) -> Self {
        Self { query, findings, state: State::Running, _node: node }
    }

    /// How much of the network was reached. None before the stream has ended, and where it ended with an error.
    #[must_use]
    pub fn report(&self) -> Option<&SearchReport> {
        match &self.state {
            State::Running => None,
            State::Ended(report) => report.as_ref(),
        }
    }

    /// Waits for the end. Answers with everything that was found, each package once with its newest head, in the
    /// query's order and no more than its limit, and with how much of the network that is.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::ShuttingDown`].
    pub async fn finish(mut self) -> Result<(Vec<Package>, SearchReport)> {
        let mut found: Vec<Hit> = Vec::new();
        while let Some(hit) = poll_fn(|cx| self.poll_hit(cx)).await {
            let hit = hit?;
            match found.iter_mut().find(|known| is_same(&known.package, &hit.package)) {
                Some(known) => *known = hit,
                None => found.push(hit),
            }
        }
        self.query.sort_found(&mut found);
        let cut = found.len() > self.query.limit;
        let found = found.into_iter().take(self.query.limit).map(|hit| hit.package).collect();
        match &mut self.state {
            State::Ended(Some(report)) => {
                report.truncated |= cut;
                Ok((found, std::mem::take(report)))
            }
            State::Ended(None) | State::Running => Err(Error::ShuttingDown),
        }
    }

    fn poll_hit(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Hit>>> {
        if let State::Ended(_) = self.state {
            return Poll::Ready(None);
        }
        let (item, state) = match ready!(self.findings.poll_next_unpin(cx)) {
            Some(Finding::Hit(hit)) => return Poll::Ready(Some(Ok(*hit))),
            Some(Finding::Ended(report)) => (None, State::Ended(Some(report))),
            Some(Finding::Failed(error)) => (Some(Err(error)), State::Ended(None)),
            // The node is gone.
            None => (Some(Err(Error::ShuttingDown)), State::Ended(None)),
        };
        self.state = state;
        Poll::Ready(item)
    }
}

impl Query {
    /// Puts packages of any origin in the order that is wanted.
    fn sort_found(&self, found: &mut [Hit]) {
        let name = |hit: &Hit| (hit.package.id.name().clone(), hit.package.owner);
        match self.sort {
            Sort::Relevance => found.sort_by_cached_key(|hit| {
                (Reverse(relevance(self, &hit.package.manifest)), name(hit))
            }),
            Sort::Name => found.sort_by_cached_key(name),
            Sort::Updated => found.sort_by_cached_key(|hit| (Reverse(hit.issued), name(hit))),
        }
        found.sort_by_key(|hit| hit.package.deprecated.is_some());
    }
}

fn is_same(one: &Package, other: &Package) -> bool {
    one.owner == other.owner && one.id.name() == other.id.name()
}

impl Stream for Search {
    type Item = Result<Package>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_hit(cx).map(|hit| hit.map(|hit| hit.map(|hit| hit.package)))
    }
}

impl FusedStream for Search {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }
}

/// Ends the search in the node when its caller drops it. One that has ended is not there any more.
#[derive(Debug)]
pub(crate) struct CancelSearch {
    pub(crate) cancels: Cancels,
    pub(crate) ticket: Ticket,
}

impl Drop for CancelSearch {
    fn drop(&mut self) {
        self.cancels.push(self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::{executor::block_on, task::AtomicWaker};
    use libp2p::{PeerId, identity::Keypair};

    use super::*;
    use crate::{
        counters::CallEnd,
        package::{Manifest, PackageId, Source},
        search::Findings,
    };

    fn hit(owner: PeerId, name: &str, sequence: u64, issued: u64) -> Hit {
        let manifest = Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap());
        let id = PackageId::owned(owner, manifest.name.clone());
        let source = Source::Network;
        let (yanked, yank_reason, deprecated) = (false, None, None);
        let package =
            Package { id, owner, manifest, yanked, yank_reason, deprecated, sequence, source };
        Hit { package, issued }
    }

    fn finished(query: Query, hits: Vec<Hit>) -> (Vec<String>, bool) {
        let (findings, found) = Findings::channel();
        let cancels = Cancels::new(Arc::new(AtomicWaker::new()));
        let search = Search::new(query, found, CancelSearch { cancels, ticket: Ticket(1) });
        hits.into_iter().for_each(|hit| findings.hit(hit));
        assert_eq!(findings.end(SearchReport::default()), CallEnd::Answered);
        let (packages, report) = block_on(search.finish()).unwrap();
        let names = packages
            .iter()
            .map(|package| format!("{} {}", package.manifest.name, package.sequence));
        (names.collect(), report.truncated)
    }

    #[test]
    fn what_is_deprecated_comes_last_in_every_order() {
        let owner = Keypair::generate_ed25519().public().to_peer_id();
        for sort in [Sort::Relevance, Sort::Name, Sort::Updated] {
            let mut old = hit(owner, "tool", 1, 90);
            old.package.deprecated = Some(crate::package::Deprecation::new("use another"));
            let hits = vec![old, hit(owner, "tool-b", 1, 10), hit(owner, "unlike-tool", 1, 20)];
            let query = Query::new().with_text("tool").with_sort(sort);
            let names = finished(query, hits).0;
            assert_eq!(names.last().map(String::as_str), Some("tool 1"), "{sort:?}");
        }
    }

    #[test]
    fn what_came_from_anywhere_is_in_the_order_that_is_wanted_each_package_once_and_newest() {
        let owner = Keypair::generate_ed25519().public().to_peer_id();
        let hits = || {
            vec![
                hit(owner, "tool-b", 1, 10),
                hit(owner, "a", 1, 40),
                hit(owner, "tool", 1, 30),
                hit(owner, "tool-b", 2, 50),
            ]
        };
        let query = Query::new().with_text("tool");
        let orders = [
            (Sort::Updated, ["tool-b 2", "a 1", "tool 1"]),
            (Sort::Name, ["a 1", "tool 1", "tool-b 2"]),
        ];
        for (sort, expected) in orders {
            let (names, truncated) = finished(query.clone().with_sort(sort), hits());
            assert_eq!((names, truncated), (expected.map(str::to_owned).to_vec(), false));
        }
        let (names, truncated) = finished(query.with_sort(Sort::Relevance).with_limit(1), hits());
        assert_eq!((names, truncated), (vec!["tool 1".to_owned()], true));
    }
}
