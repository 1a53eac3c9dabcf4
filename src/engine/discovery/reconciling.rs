//! How the catalogue catches up with those of connected peers: greeted, compared, and fetched what differs.
//!
//! One session is held at a time, so that nothing is fetched from two peers at once. It asks one peer one question after
//! the other: what differs ([`reconcile`](crate::engine::reconcile)), then the heads that are missing here, and last it offers
//! the peer what is missing there, which the peer fetches when it comes to it. Nobody sends heads unasked, and each is
//! verified as any other.
//!
//! A session is held with a peer when it was dialed, when it has offered something, and in turn with one of those
//! connected every `Config::reconcile_interval`. Whatever a peer answers, it costs a bounded time and a bounded number of
//! bytes: a session that makes no progress for [`PATIENCE`] ends, and so does one that goes on for [`LONGEST`]. Where it
//! was waited for and nothing has come of it, the peer is left alone for [ten times](PAUSE_AFTER_WAITING) as long. What it
//! has sent in vain, since there is no room for it or something newer was seen, it is not asked for again for [`VAIN`];
//! and in an hour it is asked for no more than a whole catalogue ([`allowances`]).

use std::{collections::VecDeque, time::Duration};

use libp2p::PeerId;

use crate::{
    buckets::Buckets,
    config::Limits,
    engine::{
        context::Context,
        deadlines::Deadline,
        discovery::{
            Discovery,
            neighbours::{Greeting, shares_with},
            reconcile::{Fetching, MAX_FOUND, Session},
        },
        effects::Effects,
        interface::Now,
        questions::Purpose,
        wheel,
    },
    exchange::{MAX_OFFERED, Request},
    package::Digest,
};

mod steps;

pub(in crate::engine) use steps::{Delivery, Misconduct};

/// How long a session waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a session may take in all: ten thousand heads over a slow line.
const LONGEST: Duration = Duration::from_secs(600);

/// The longest that a peer can have itself left alone for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Who has had a session wait for nothing is left alone for so many times as long: the time in which there could be
/// sessions with others is not its own.
const PAUSE_AFTER_WAITING: u32 = 10;

/// Heads that each peer may deliver: as many in an hour as a catalogue holds, all of them at once if need be.
///
/// What a peer offers costs it nothing to make up under names of its own, and this node a signature to verify. Whoever
/// joins late takes a whole catalogue from one peer at once, which is within this; who offers new heads without an
/// end comes to as many in an hour.
pub(super) fn allowances(limits: &Limits) -> Buckets<PeerId> {
    let heads = u32::try_from(limits.catalogue_packages.max(1)).unwrap_or(u32::MAX);
    let each = Duration::from_secs(3600) / heads;
    Buckets::new(heads, each, limits.recent_peers())
}

/// For how long a head is not fetched again from a peer that has sent it in vain, and how many are remembered.
pub(super) const VAIN: Duration = Duration::from_secs(3600);
pub(crate) const REMEMBERED_IN_VAIN: usize = MAX_FOUND;

/// The session that is under way.
#[derive(Debug)]
pub(super) struct Running {
    talk: Talk,
    course: Course,
    /// When it is given up.
    timer: wheel::Key,
}

/// With whom a session is held, for how long at the most, and what has come of it so far.
#[derive(Debug, Clone, Copy)]
struct Talk {
    peer: PeerId,
    ends: Duration,
    outcome: SessionResult,
}

impl Talk {
    /// Until when the next answer is waited for.
    fn patience(&self, now: Now) -> Duration {
        now.mono.saturating_add(PATIENCE).min(self.ends)
    }
}

/// What a session has come to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionResult {
    /// Nothing that differs.
    Same,
    /// Something differs.
    Differs,
    /// Something that differed has been taken in.
    Learnt,
}

/// What a session is doing.
#[derive(Debug)]
enum Course {
    Comparing(Box<Session>),
    Fetching(Fetch),
    Offering(Offer),
}

/// What the peer has, and is asked for.
#[derive(Debug)]
struct Fetch {
    fetching: Fetching,
    /// What follows once all of it has come.
    offer: Offer,
}

/// What the peer lacks, and is offered last.
#[derive(Debug)]
struct Offer {
    have: VecDeque<Digest>,
    /// Whether another session would find more.
    more: bool,
}

impl Effects {
    /// Sets the time for the next session that nobody has asked for.
    pub(in crate::engine) fn reconcile_later(&mut self, cx: &Context) {
        let pause = cx.config.reconcile_interval;
        let pause = self.jitter(pause);
        self.wheel.insert(cx.now().mono.saturating_add(pause), Deadline::Reconcile);
    }
}

impl Discovery {
    /// It is time for a session: with the one of those connected with whom the last is the longest ago. Who has not said
    /// what it is, is asked first.
    pub(in crate::engine) fn reconcile_in_turn(&mut self, cx: &Context, out: &mut Effects) {
        let now = cx.now();
        out.reconcile_later(cx);
        let coverage = &cx.config.coverage;
        let is_of_use = |greeting: &Greeting| match greeting {
            Greeting::Due | Greeting::Apart(_) => true,
            Greeting::Known(hello) => shares_with(coverage, hello),
            Greeting::Silent => false,
        };
        let next = self
            .neighbours
            .iter()
            .filter(|(_, neighbour)| is_of_use(&neighbour.greeting))
            .filter(|(_, neighbour)| neighbour.not_before <= now.mono)
            .min_by_key(|(_, neighbour)| neighbour.compared)
            .map(|(peer, _)| *peer);
        if let Some(peer) = next {
            // That was its turn, whether or not it answers: else who never does would have everybody's.
            self.compared(now, &peer);
            self.greet(cx, out, peer);
        }
    }

    /// With whom a session is under way.
    pub(in crate::engine) fn session_peer(&self) -> Option<PeerId> {
        Some(self.session.as_ref()?.talk.peer)
    }

    /// Begins the next session, unless one is under way.
    pub(super) fn next_session(&mut self, cx: &Context, out: &mut Effects) {
        while self.session.is_none() && self.restoring.is_over() && !cx.closed {
            let Some(peer) = self.neighbours.dequeue() else { return };
            self.begin_session(cx, out, peer);
        }
    }

    fn begin_session(&mut self, cx: &Context, out: &mut Effects, peer: PeerId) {
        let now = cx.now();
        let coverage = cx.config.coverage.clone();
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        if neighbour.not_before > now.mono || self.allowances.left(now.mono, &peer) == 0 {
            return;
        }
        let offered = neighbour.take_offered();
        if !offered.is_empty() {
            // Of more than an offer can hold, a comparison finds the rest.
            let more = offered.len() >= MAX_OFFERED;
            let fetching = Fetching::new(offered);
            let fetch = Fetch { fetching, offer: Offer { have: VecDeque::new(), more } };
            self.run_session(out, now, peer, Course::Fetching(fetch));
            return self.fetch_on(cx, out);
        }
        let Some(hello) = neighbour.hello() else { return };
        if !shares_with(&coverage, hello) {
            return;
        }
        let slice = coverage.intersection(&hello.coverage);
        let is_same = slice == coverage
            && slice == hello.coverage
            && *hello.digest.as_bytes() == self.catalogue.digest_sum();
        let theirs = hello.packages;
        if is_same {
            neighbour.doubts = 0;
            return self.compared(now, &peer);
        }
        let items = self.listed(now, &slice);
        let mut salt = [0; 8];
        out.entropy.fill(&mut salt);
        let (session, message) = Session::open(items, theirs, u64::from_le_bytes(salt));
        self.run_session(out, now, peer, Course::Comparing(Box::new(session)));
        out.ask(cx, peer, Purpose::Reconciling, &Request::Compare { slice, message });
    }

    fn run_session(&mut self, out: &mut Effects, now: Now, peer: PeerId, course: Course) {
        let timer = out.wheel.insert(now.mono.saturating_add(PATIENCE), Deadline::Session);
        let ends = now.mono.saturating_add(LONGEST);
        out.counters.reconciliation.sessions += 1;
        let outcome = match course {
            Course::Comparing(_) => SessionResult::Same,
            Course::Fetching(_) | Course::Offering(_) => SessionResult::Differs,
        };
        self.session = Some(Running { talk: Talk { peer, ends, outcome }, course, timer });
    }

    /// The session has waited in vain.
    pub(in crate::engine) fn session_timed_out(&mut self, cx: &Context, out: &mut Effects) {
        if let Some(running) = self.session.take() {
            self.waited_for(cx.now(), running.talk);
            self.session_failed(cx, out, &running.talk.peer, "it does not answer in time");
        }
    }

    /// A peer has gone, and with it a session that was under way.
    pub(in crate::engine) fn neighbour_lost(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: &PeerId,
    ) {
        let gone = self.neighbours.disconnected(peer);
        if let Some(doubt) = gone.and_then(|neighbour| neighbour.doubt) {
            out.wheel.cancel(doubt);
        }
        if let Some(running) = self.session.take_if(|running| running.talk.peer == *peer) {
            out.wheel.cancel(running.timer);
            self.session_failed(cx, out, peer, "it has gone");
        }
    }

    /// A session has ended because its peer did not answer, or not soon enough.
    fn waited_for(&mut self, now: Now, talk: Talk) {
        if talk.outcome == SessionResult::Learnt {
            return;
        }
        let Some(neighbour) = self.neighbours.get_mut(&talk.peer) else { return };
        let took = now.mono.saturating_sub(talk.ends.saturating_sub(LONGEST));
        let pause = took.saturating_mul(PAUSE_AFTER_WAITING).min(LONGEST_PAUSE);
        neighbour.not_before = neighbour.not_before.max(now.mono.saturating_add(pause));
    }

    fn session_failed(&mut self, cx: &Context, out: &mut Effects, peer: &PeerId, why: &str) {
        tracing::debug!(%peer, why, "catalogues not compared");
        out.counters.reconciliation.failed += 1;
        out.questions.drop_all(Purpose::Reconciling);
        self.compared(cx.now(), peer);
        self.next_session(cx, out);
    }

    fn compared(&mut self, now: Now, peer: &PeerId) {
        if let Some(neighbour) = self.neighbours.get_mut(peer) {
            neighbour.compared = Some(now.mono);
        }
    }
}
