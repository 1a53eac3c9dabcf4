//! Searches that ask connected peers: who is asked, what is believed of the answers, and what is told of their extent.

use std::collections::{BTreeMap, HashMap};

use libp2p::PeerId;

use crate::{
    counters::{CallKind, EndedCall},
    engine::{
        calls::Begin,
        context::Context,
        deadlines::Deadline,
        discovery::{Discovery, index},
        effects::Effects,
        interface::{Now, Unanswered},
        packages,
        questions::Purpose,
        wheel,
    },
    error::{Error, Result},
    exchange::{self, Request, Response},
    package::{Package, PackageName, Query, SearchResults, Source},
    record::{Head, HeadState, Rank, Rejected, Signed},
    search::{Findings, Hit, SearchReport},
    ticket::Ticket,
};

/// The most peers that one search asks.
pub(in crate::engine) const MAX_ASKED: usize = 16;

/// So many hidden packages at the most are passed over by one search.
const MAX_HIDDEN: usize = 4096;

/// What it costs to see whether one is hidden, in entries of the index.
const LOOKED_IF_HIDDEN: usize = 8;

/// Searches that callers wait for, by their tickets. Bounded by `Limits::waiting_calls`, with the other calls.
pub(in crate::engine) type Searches = HashMap<Ticket, PeerSearch>;

/// A search that waits for peers.
#[derive(Debug)]
pub(in crate::engine) struct PeerSearch {
    query: Query,
    findings: Findings,
    /// The rank of the head that was told of each package.
    told: BTreeMap<(PackageName, PeerId), Rank>,
    /// How many packages each peer that has not finished has delivered so far.
    delivered: HashMap<PeerId, usize>,
    report: SearchReport,
    timer: wheel::Key,
}

/// What this node knows itself.
pub(super) struct LocalHits {
    /// As far as they are wanted, in the order that is wanted.
    pub(super) hits: Vec<(Signed<Head>, Package)>,
    /// How many match.
    pub(super) total: usize,
    /// Not everything was looked at that might match.
    pub(super) truncated: bool,
    /// What it took: entries of the index that were looked at.
    pub(super) looked: usize,
}

impl LocalHits {
    /// Whether anything that may match is neither here nor on the pages before.
    pub(super) fn is_cut(&self, query: &Query) -> bool {
        self.truncated || self.total > query.offset.saturating_add(self.hits.len())
    }
}

impl PeerSearch {
    /// Whether a package is what was searched for.
    fn wants(&self, head: &Head, package: &Package) -> bool {
        let releases = match &head.state {
            HeadState::Live { releases, .. } => releases.as_slice(),
            HeadState::Withdrawn { .. } => &[],
        };
        let current = releases.iter().filter(|release| !release.yanked);
        let versions = current.map(|release| &release.version);
        self.query.accepts(&package.manifest, &package.owner, versions)
            && index::relevance(&self.query, &package.manifest).is_some()
    }

    /// Tells the caller of a package, unless this head of it or a newer one was told.
    fn tell(&mut self, head: &Signed<Head>, package: Package) {
        let key = (head.name.clone(), head.owner);
        if self.told.get(&key).is_none_or(|told| *told < head.rank()) {
            self.told.insert(key, head.rank());
            self.findings.hit(Hit { package, issued: head.validity.issued });
        }
    }

    /// How many packages a peer may still deliver: as many as it has been asked for.
    fn rest(&self, peer: &PeerId) -> usize {
        let delivered = self.delivered.get(peer).copied();
        delivered.map_or(0, |delivered| self.query.limit.saturating_sub(delivered))
    }

    /// What a peer is asked that has delivered so much.
    fn request(&self, delivered: usize) -> Request {
        let rest = self.query.limit.saturating_sub(delivered).max(1);
        Request::Search(exchange::Search::of(&self.query, delivered, rest))
    }

    /// A peer has no more to say.
    fn over(&mut self, peer: PeerId, how: Over) {
        if self.delivered.remove(&peer).is_some() {
            match how {
                Over::Answered => self.report.answered.push(peer),
                Over::Declined => self.report.declined.push(peer),
                Over::TimedOut => self.report.timed_out.push(peer),
                Over::Failed => self.report.failed.push(peer),
            }
        }
    }
}

/// The packages that a peer has delivered to a search. They are to be taken in before it goes on.
#[derive(Debug)]
pub(in crate::engine) struct Delivered {
    heads: Vec<Vec<u8>>,
    /// How many came. Those beyond what was asked for are not looked at.
    count: usize,
    /// How many the peer might still deliver when they came.
    rest: usize,
    /// Whether the peer has more.
    more: bool,
}

impl Delivered {
    /// The records that were asked for, which nobody has verified yet.
    pub(in crate::engine) fn take_heads(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.heads)
    }
}

/// How a peer's part in a search ended.
#[derive(Debug, Clone, Copy)]
enum Over {
    Answered,
    Declined,
    TimedOut,
    Failed,
}

impl Discovery {
    pub(in crate::engine) fn search(&self, cx: &Context, query: &Query) -> Result<SearchResults> {
        query.validate()?;
        let found = self.find(cx, query);
        Ok(SearchResults {
            truncated: found.is_cut(query),
            total: found.total,
            packages: found.hits.into_iter().map(|(_, package)| package).collect(),
        })
    }

    /// What this node knows itself. What has expired, is no longer believed, or is older than what was seen since, is
    /// left out, as whoever asks for it by name is not told of it either.
    pub(super) fn find(&self, cx: &Context, query: &Query) -> LocalHits {
        let index::Found { mut total, hits, truncated, looked } = self.indexed(cx.now(), query);
        let indexed = hits.len();
        let hits = hits.into_iter().filter_map(|hit| self.shown(cx, &hit));
        let hits: Vec<(Signed<Head>, Package)> = hits.collect();
        total -= indexed - hits.len();
        // Of what an earlier life knew, some may still be to be read.
        let truncated = truncated || !self.restoring.is_over();
        LocalHits { hits, total, truncated, looked }
    }

    /// The packages of the index that a query wants. Hidden ones are in the index as well: they take nobody's place on a
    /// page, and are counted on none, so that pages follow each other as if they were not there.
    fn indexed(&self, now: Now, query: &Query) -> index::Found {
        let hidden = self.catalogue.hidden();
        if hidden == 0 {
            return self.index.search(query);
        }
        let more = hidden.min(MAX_HIDDEN);
        let mut found = self.index.search_from_first(query, more);
        let (seen, matching) = (found.hits.len(), found.total);
        found.looked += seen.saturating_mul(LOOKED_IF_HIDDEN);
        found.hits.retain(|hit| self.catalogue.get(&hit.name, &hit.owner, now.unix).is_some());
        found.total -= seen - found.hits.len();
        found.hits.drain(..query.offset.min(found.hits.len()));
        // With so many hidden, some that are not may come after all that were seen.
        found.truncated |= found.hits.len() < query.limit && seen < matching;
        found.hits.truncate(query.limit);
        found
    }

    /// What a package that was found says, unless nobody is told of it.
    fn shown(&self, cx: &Context, hit: &index::Hit) -> Option<(Signed<Head>, Package)> {
        let listed = self.catalogue.get(&hit.name, &hit.owner, cx.now().unix)?;
        let source = if listed.is_own { Source::Own } else { Source::Cache };
        let head = listed.head()?;
        if cx.store.is_revoked(&head) || !listed.is_own && cx.store.is_overtaken(&head) {
            return None;
        }
        let package = packages::newest(&head, source)?;
        Some((head, package))
    }

    /// A caller searches what this node knows and what these peers know; so many others are not asked.
    pub(in crate::engine) fn search_peers(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        begin: Begin,
        query: Query,
        findings: Findings,
        (targets, unasked): (Vec<PeerId>, u32),
    ) {
        let known = self.find(cx, &query);
        let mut search = PeerSearch {
            findings,
            told: BTreeMap::new(),
            delivered: targets.iter().map(|peer| (*peer, 0)).collect(),
            report: SearchReport {
                asked: targets.clone(),
                unasked,
                truncated: known.is_cut(&query),
                ..SearchReport::default()
            },
            timer: out.wheel.insert(begin.deadline, Deadline::Search(begin.ticket)),
            query,
        };
        for (head, package) in known.hits {
            search.tell(&head, package);
        }
        let request = search.request(0);
        self.searches.insert(begin.ticket, search);
        for peer in targets {
            out.ask(cx, peer, Purpose::Searching(begin.ticket), &request);
        }
        self.end_search_if_over(out, begin.ticket);
    }

    /// A peer has answered a search, or will not. What it has delivered is to be taken in before the search goes on.
    pub(in crate::engine) fn search_answered(
        &mut self,
        out: &mut Effects,
        ticket: Ticket,
        peer: PeerId,
        answer: Result<Response, Unanswered>,
    ) -> Option<Delivered> {
        let search = self.searches.get_mut(&ticket)?;
        let over = match answer {
            Ok(Response::Hits { mut heads, more, .. }) => {
                let (count, rest) = (heads.len(), search.rest(&peer));
                heads.truncate(rest);
                return Some(Delivered { heads, count, rest, more });
            }
            Ok(Response::Declined { .. }) | Err(Unanswered::Unsupported) => Over::Declined,
            Err(Unanswered::TimedOut) => Over::TimedOut,
            Ok(_) | Err(Unanswered::Gone | Unanswered::Failed) => Over::Failed,
        };
        search.over(peer, over);
        self.end_search_if_over(out, ticket);
        None
    }

    /// What a peer has delivered was taken in, or refused: the caller is told of what is searched for, and the peer is
    /// asked for the next page, if there is one.
    pub(in crate::engine) fn search_delivered(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        (ticket, peer): (Ticket, PeerId),
        delivered: &Delivered,
        taken: Vec<Result<Signed<Head>, Rejected>>,
    ) {
        let Delivered { count, rest, more, .. } = *delivered;
        let Some(search) = self.searches.get_mut(&ticket) else { return };
        // Of what can be excused, something newer was seen, or its time has just come.
        let is_sound =
            taken.iter().filter_map(|taken| taken.as_ref().err()).all(Rejected::is_excusable);
        for head in taken.into_iter().flatten() {
            // What does not match was not asked for.
            if let Some(package) = packages::newest(&head, Source::Network)
                && search.wants(&head, &package)
            {
                search.tell(&head, package);
            }
        }
        if !is_sound {
            search.over(peer, Over::Failed);
            return self.end_search_if_over(out, ticket);
        }
        let so_far = search.delivered.entry(peer).or_default();
        *so_far += count;
        let so_far = *so_far;
        if more && so_far < search.query.limit && count > 0 {
            let request = search.request(so_far);
            return out.ask(cx, peer, Purpose::Searching(ticket), &request);
        }
        search.report.truncated |= more || count > rest;
        search.over(peer, Over::Answered);
        self.end_search_if_over(out, ticket);
    }

    /// How many callers wait for a search.
    pub(in crate::engine) fn searches_len(&self) -> usize {
        self.searches.len()
    }

    fn end_search_if_over(&mut self, out: &mut Effects, ticket: Ticket) {
        if self.searches.get(&ticket).is_some_and(|search| search.delivered.is_empty()) {
            self.end_search(out, ticket);
        }
    }

    /// Ends a search with what has come by now: all that was asked have answered, or its time is up.
    pub(in crate::engine) fn end_search(&mut self, out: &mut Effects, ticket: Ticket) {
        let Some(mut search) = self.drop_search(out, ticket) else { return };
        let silent: Vec<PeerId> = search.delivered.keys().copied().collect();
        silent.into_iter().for_each(|peer| search.over(peer, Over::TimedOut));
        let end = search.findings.end(search.report);
        out.count(EndedCall(CallKind::Search, end));
        out.answered = true;
    }

    /// The caller has gone away, or is told something else.
    pub(in crate::engine) fn drop_search(
        &mut self,
        out: &mut Effects,
        ticket: Ticket,
    ) -> Option<PeerSearch> {
        let search = self.searches.remove(&ticket)?;
        out.wheel.cancel(search.timer);
        out.questions.drop_all(Purpose::Searching(ticket));
        Some(search)
    }

    /// Answers everybody who searches with an error.
    pub(in crate::engine) fn fail_searches(&mut self, out: &mut Effects, error: &Error) {
        for (_, search) in std::mem::take(&mut self.searches) {
            let end = search.findings.fail(error.clone());
            out.count(EndedCall(CallKind::Search, end));
        }
    }
}
