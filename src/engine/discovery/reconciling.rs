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

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use libp2p::PeerId;

use crate::{
    Coverage, Digest, Limits,
    buckets::Buckets,
    engine::{
        Context, Deadline, Discovery, Effects, Engine, Now, Unanswered,
        facts::News,
        neighbours::{Greeting, add_new, shares_with},
        questions::{Purpose, Question},
        reconcile::{Failure, Fetching, Item, Items, MAX_FOUND, Session, Step, Taken},
        wheel,
    },
    exchange::{MAX_OFFERED, Request, Response},
    record::{Head, Rejected, Signed},
};

/// How long a session waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a session may take in all: ten thousand heads over a slow line.
const LONGEST: Duration = Duration::from_secs(600);

/// The longest that a peer can have itself left alone for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Who has had a session wait for nothing is left alone for so many times as long: the time in which there could be
/// sessions with others is not its own.
const PAUSE_AFTER_WAITING: u32 = 10;

/// For how long a sorted list of the catalogue is used although the catalogue has changed, for each head in it: so that
/// lists are made for no more than a small part of the time.
const LISTED_FOR: Duration = Duration::from_micros(20);

/// Heads that each peer may deliver: as many in an hour as a catalogue holds, all of them at once if need be.
///
/// What a peer offers costs it nothing to make up under names of its own, and this node a signature to verify. Whoever
/// joins late takes a whole catalogue from one peer at once, which is within this; who offers new heads without an
/// end comes to as many in an hour.
pub(in crate::engine) fn allowances(limits: &Limits) -> Buckets<PeerId> {
    let heads = u32::try_from(limits.catalogue_packages.max(1)).unwrap_or(u32::MAX);
    let each = Duration::from_secs(3600) / heads;
    Buckets::new(heads, each, limits.recent_peers())
}

/// For how long a head is not fetched again from a peer that has sent it in vain, and how many are remembered.
pub(in crate::engine) const VAIN: Duration = Duration::from_secs(3600);
pub(crate) const REMEMBERED_IN_VAIN: usize = MAX_FOUND;

/// The session that is under way.
#[derive(Debug)]
pub(in crate::engine) struct Running {
    peer: PeerId,
    course: Course,
    /// When it is given up.
    timer: wheel::Key,
    ends: Duration,
    outcome: Outcome,
}

/// What a session has come to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
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
    Fetching {
        fetching: Fetching,
        /// What the peer lacks, which it is offered last.
        have: VecDeque<Digest>,
        /// Whether another session would find more.
        more: bool,
    },
    Offering {
        have: VecDeque<Digest>,
        more: bool,
    },
}

/// What a response to a fetch has brought.
#[derive(Debug)]
struct Fetched {
    /// Of what is sound or can be excused, in the order in which it came.
    digests: Vec<Digest>,
    /// What has replaced some of it, as far as that is listed here. A comparison of a slice need not have found it: a
    /// newer release may lack the keyword by which the package was covered, and a withdrawal has none.
    newer: BTreeSet<Digest>,
    /// Whether all of it is sound, or can be excused.
    sound: bool,
}

/// A sorted list of a slice of the catalogue, which a few questions in a row can share.
#[derive(Debug)]
pub(in crate::engine) struct Listing {
    slice: Coverage,
    generation: u64,
    made: Duration,
    items: Arc<Items>,
}

impl Listing {
    fn lasts(&self) -> Duration {
        LISTED_FOR.saturating_mul(u32::try_from(self.items.len()).unwrap_or(u32::MAX))
    }
}

impl Effects {
    /// Sets the time for the next session that nobody has asked for.
    pub(in crate::engine) fn reconcile_later(&mut self, cx: &Context, now: Now) {
        let pause = cx.config.reconcile_interval;
        let pause = self.jitter(pause);
        self.wheel.insert(now.mono.saturating_add(pause), Deadline::Reconcile);
    }
}

impl Discovery {
    /// It is time for a session: with the one of those connected with whom the last is the longest ago. Who has not said
    /// what it is, is asked first.
    pub(in crate::engine) fn reconcile_in_turn(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        now: Now,
    ) {
        out.reconcile_later(cx, now);
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
            self.greet(cx, out, now, peer);
        }
    }

    /// With whom a session is under way.
    pub(in crate::engine) fn session_peer(&self) -> Option<PeerId> {
        Some(self.session.as_ref()?.peer)
    }

    /// Begins the next session, unless one is under way.
    pub(in crate::engine) fn next_session(&mut self, cx: &Context, out: &mut Effects, now: Now) {
        while self.session.is_none() && self.restoring.is_empty() && !cx.closed {
            let Some(peer) = self.neighbours.dequeue() else { return };
            self.begin_session(cx, out, now, peer);
        }
    }

    fn begin_session(&mut self, cx: &Context, out: &mut Effects, now: Now, peer: PeerId) {
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
            let course = Course::Fetching { fetching, have: VecDeque::new(), more };
            self.run_session(out, now, peer, course);
            return self.fetch_on(cx, out, now);
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
            Course::Comparing(_) => Outcome::Same,
            Course::Fetching { .. } | Course::Offering { .. } => Outcome::Differs,
        };
        self.session = Some(Running { peer, course, timer, ends, outcome });
    }

    /// The head that is listed of a package, if it is newer than this one.
    fn newer_than(&self, now: Now, head: &Head) -> Option<Digest> {
        let listed = self.catalogue.get(&head.name, &head.owner, now.unix)?;
        (listed.rank > head.rank()).then_some(listed.digest)
    }

    /// Takes note of those of the heads that this peer has sent which are not listed for that, and tells how many they
    /// are.
    fn note_vain(&mut self, now: Now, peer: &PeerId, digests: &[Digest]) -> usize {
        let catalogue = &self.catalogue;
        let vain = digests.iter().filter(|digest| catalogue.by_digest(digest, now.unix).is_none());
        let mut count = 0;
        for digest in vain {
            self.vain.insert(vain_key(peer, digest), now.mono);
            count += 1;
        }
        count
    }

    /// Asks for the next heads that are missing, or goes on to the offer.
    fn fetch_on(&mut self, cx: &Context, out: &mut Effects, now: Now) {
        let (catalogue, vain) = (&self.catalogue, &self.vain);
        let Some(Running { peer, course: Course::Fetching { fetching, .. }, .. }) =
            &mut self.session
        else {
            return;
        };
        let peer = *peer;
        let is_allowed = self.allowances.left(now.mono, &peer) > 0;
        let is_wanted = |digest: &Digest| {
            catalogue.by_digest(digest, now.unix).is_none()
                && !vain.contains(&vain_key(&peer, digest), now.mono)
        };
        if is_allowed && let Some(digests) = fetching.batch(is_wanted) {
            return out.ask(cx, peer, Purpose::Reconciling, &Request::Fetch { digests });
        }
        if let Some(running) = &mut self.session
            && let Course::Fetching { have, more, .. } = &mut running.course
        {
            // Who has delivered too much has its turn again another time.
            let (have, more) = (std::mem::take(have), *more && is_allowed);
            running.course = Course::Offering { have, more };
        }
        self.offer_on(cx, out, now);
    }

    /// Tells the peer of the next heads that it lacks, or ends the session.
    fn offer_on(&mut self, cx: &Context, out: &mut Effects, now: Now) {
        let Some(Running { peer, course: Course::Offering { have, more }, .. }) = &mut self.session
        else {
            return;
        };
        let (peer, more) = (*peer, *more);
        // The first offer is enough for it to ask; a comparison of its own finds the rest.
        let digests: Vec<Digest> = have.drain(..have.len().min(MAX_OFFERED)).collect();
        if !digests.is_empty() {
            have.clear();
            return out.ask(cx, peer, Purpose::Reconciling, &Request::Offer { digests });
        }
        let Some(ended) = self.session.take() else { return };
        out.wheel.cancel(ended.timer);
        self.compared(now, &peer);
        match ended.outcome {
            Outcome::Same => self.doubt(out, now, peer),
            // Another one at once would find the same.
            Outcome::Differs => {}
            Outcome::Learnt if more => self.neighbours.enqueue(peer),
            Outcome::Learnt => {}
        }
        self.next_session(cx, out, now);
    }

    /// The session has waited in vain.
    pub(in crate::engine) fn session_timed_out(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        now: Now,
    ) {
        if let Some(running) = self.session.take() {
            self.waited_for(now, &running.peer, running.ends, running.outcome);
            self.session_failed(cx, out, now, &running.peer, "it does not answer in time");
        }
    }

    /// A peer has gone, and with it a session that was under way.
    pub(in crate::engine) fn neighbour_lost(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        now: Now,
        peer: &PeerId,
    ) {
        let gone = self.neighbours.disconnected(peer);
        if let Some(doubt) = gone.and_then(|neighbour| neighbour.doubt) {
            out.wheel.cancel(doubt);
        }
        if let Some(running) = self.session.take_if(|running| running.peer == *peer) {
            out.wheel.cancel(running.timer);
            self.session_failed(cx, out, now, peer, "it has gone");
        }
    }

    /// A session has ended because its peer did not answer, or not soon enough.
    fn waited_for(&mut self, now: Now, peer: &PeerId, ends: Duration, outcome: Outcome) {
        if outcome == Outcome::Learnt {
            return;
        }
        let Some(neighbour) = self.neighbours.get_mut(peer) else { return };
        let took = now.mono.saturating_sub(ends.saturating_sub(LONGEST));
        let pause = took.saturating_mul(PAUSE_AFTER_WAITING).min(LONGEST_PAUSE);
        neighbour.not_before = neighbour.not_before.max(now.mono.saturating_add(pause));
    }

    fn session_failed(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        now: Now,
        peer: &PeerId,
        why: &str,
    ) {
        tracing::debug!(%peer, why, "catalogues not compared");
        out.counters.reconciliation.failed += 1;
        out.questions.drop_all(Purpose::Reconciling);
        self.compared(now, peer);
        self.next_session(cx, out, now);
    }

    fn compared(&mut self, now: Now, peer: &PeerId) {
        if let Some(neighbour) = self.neighbours.get_mut(peer) {
            neighbour.compared = Some(now.mono);
        }
    }

    fn slice_with(&self, cx: &Context, peer: &PeerId) -> Coverage {
        let theirs = self.neighbours.get(peer).and_then(|neighbour| neighbour.hello());
        theirs.map_or(Coverage::None, |hello| cx.config.coverage.intersection(&hello.coverage))
    }

    /// The list of a slice that needs not be made anew.
    pub(in crate::engine) fn held_list(&self, now: Now, slice: &Coverage) -> Option<Arc<Items>> {
        let generation = self.catalogue.generation();
        let listing = self.listings.iter().find(|listing| listing.slice == *slice)?;
        let holds = listing.generation == generation
            || now.mono < listing.made.saturating_add(listing.lasts());
        holds.then(|| Arc::clone(&listing.items))
    }

    /// The catalogue's heads of a slice, in order. A list that is a moment old will do: what is no longer there is
    /// absent when it is fetched, and what is new is found next time.
    pub(in crate::engine) fn listed(&mut self, now: Now, slice: &Coverage) -> Arc<Items> {
        self.held_list(now, slice).unwrap_or_else(|| self.make_list(now, slice))
    }

    /// Looks through the whole catalogue for the list of a slice, and keeps it in the place of the oldest.
    pub(in crate::engine) fn make_list(&mut self, now: Now, slice: &Coverage) -> Arc<Items> {
        let generation = self.catalogue.generation();
        let items = self.catalogue.items(slice, now.unix);
        let items: Arc<Items> =
            Arc::new(items.map(|(issued, digest)| Item::new(issued, digest)).collect());
        self.listings.retain(|listing| listing.slice != *slice);
        self.listings.truncate(MAX_LISTINGS - 1);
        let listing =
            Listing { slice: slice.clone(), generation, made: now.mono, items: Arc::clone(&items) };
        self.listings.insert(0, listing);
        items
    }
}

impl Engine {
    /// The peer has answered the session's question, or will not.
    pub(in crate::engine) fn session_answered(
        &mut self,
        now: Now,
        question: Question,
        answer: Result<Response, Unanswered>,
    ) {
        let Some(mut running) = self.discovery.session.take() else { return };
        if running.peer != question.peer {
            self.discovery.session = Some(running);
            return;
        }
        self.out.wheel.cancel(running.timer);
        let peer = running.peer;
        let patience = now.mono.saturating_add(PATIENCE).min(running.ends);
        if patience <= now.mono {
            self.discovery.waited_for(now, &peer, running.ends, running.outcome);
            return self.discovery.session_failed(
                &self.cx,
                &mut self.out,
                now,
                &peer,
                "it takes too long",
            );
        }
        match (running.course, answer) {
            (Course::Comparing(mut session), Ok(Response::Compared { message })) => {
                match session.take(&message) {
                    Step::Ask(message) => {
                        running.course = Course::Comparing(session);
                        running.timer = self.out.wheel.insert(patience, Deadline::Session);
                        let slice = self.discovery.slice_with(&self.cx, &peer);
                        self.discovery.session = Some(running);
                        self.out.ask(
                            &self.cx,
                            peer,
                            Purpose::Reconciling,
                            &Request::Compare { slice, message },
                        );
                    }
                    Step::Done { need, have, complete } => {
                        if !need.is_empty() || !have.is_empty() {
                            running.outcome = Outcome::Differs;
                        }
                        let fetching = Fetching::new(need);
                        let (have, more) = (have.into(), !complete);
                        running.course = Course::Fetching { fetching, have, more };
                        running.timer = self.out.wheel.insert(patience, Deadline::Session);
                        self.discovery.session = Some(running);
                        self.discovery.fetch_on(&self.cx, &mut self.out, now);
                    }
                    Step::Failed(failure) => {
                        // A catalogue that changes all the time is nobody's fault.
                        if failure != Failure::Endless {
                            self.standing.reputations.invalid(peer);
                        }
                        self.discovery.session_failed(
                            &self.cx,
                            &mut self.out,
                            now,
                            &peer,
                            &failure.to_string(),
                        );
                    }
                }
            }
            (Course::Fetching { mut fetching, mut have, more }, Ok(Response::Heads { heads })) => {
                let Fetched { digests, newer, sound } = self.take_fetched(now, peer, &heads);
                if !newer.is_empty() {
                    add_new(&mut have, newer, usize::MAX);
                }
                match fetching.take(digests) {
                    Taken::Delivered(digests) if sound => {
                        if self.discovery.note_vain(now, &peer, &digests) < digests.len() {
                            running.outcome = Outcome::Learnt;
                        }
                    }
                    Taken::Nothing if sound => {}
                    taken => {
                        if let Taken::Unasked(_) = taken {
                            self.standing.reputations.invalid(peer);
                        }
                        return self.discovery.session_failed(
                            &self.cx,
                            &mut self.out,
                            now,
                            &peer,
                            "it sends what it was not asked for",
                        );
                    }
                }
                running.course = Course::Fetching { fetching, have, more };
                running.timer = self.out.wheel.insert(patience, Deadline::Session);
                self.discovery.session = Some(running);
                self.discovery.fetch_on(&self.cx, &mut self.out, now);
            }
            (Course::Offering { have, more }, Ok(Response::Noted)) => {
                running.course = Course::Offering { have, more };
                running.timer = self.out.wheel.insert(patience, Deadline::Session);
                self.discovery.session = Some(running);
                self.discovery.offer_on(&self.cx, &mut self.out, now);
            }
            (_, Ok(Response::Declined { retry_after_secs })) => {
                if let Some(neighbour) = self.discovery.neighbours.get_mut(&peer) {
                    let pause = Duration::from_secs(retry_after_secs.into()).min(LONGEST_PAUSE);
                    neighbour.not_before = now.mono.saturating_add(pause);
                }
                self.discovery.session_failed(
                    &self.cx,
                    &mut self.out,
                    now,
                    &peer,
                    "it has no time",
                );
            }
            (_, Ok(_)) => {
                self.standing.reputations.invalid(peer);
                self.discovery.session_failed(
                    &self.cx,
                    &mut self.out,
                    now,
                    &peer,
                    "it answers something else",
                );
            }
            (_, Err(_)) => {
                self.discovery.waited_for(now, &peer, running.ends, running.outcome);
                self.discovery.session_failed(
                    &self.cx,
                    &mut self.out,
                    now,
                    &peer,
                    "it does not answer",
                );
            }
        }
    }

    /// What was fetched is verified, and taken in. It is not to the peer's credit: the peer has chosen what there is to
    /// be fetched, and may have made it up under names of its own.
    fn take_fetched(&mut self, now: Now, peer: PeerId, heads: &[Vec<u8>]) -> Fetched {
        let mut fetched = Fetched {
            digests: Vec::with_capacity(heads.len()),
            newer: BTreeSet::new(),
            sound: true,
        };
        self.discovery.allowances.spend(now.mono, peer, heads.len());
        for bytes in heads {
            self.out.counters.reconciliation.heads_fetched += 1;
            match self.take_head(now, peer, bytes) {
                Ok(head) => {
                    fetched.digests.push(head.digest());
                    fetched.newer.extend(self.discovery.newer_than(now, &head));
                }
                // Something newer was seen, or its time has just come.
                Err(rejected) if rejected.is_excusable() => {
                    let Some(digest) = Signed::<Head>::claimed_digest(bytes) else { continue };
                    fetched.digests.push(digest);
                    // Whatever it is, nothing comes of it but what the peer is told of.
                    let claimed = Signed::<Head>::reopened(&Arc::from(bytes.as_slice()), digest);
                    fetched.newer.extend(
                        claimed.ok().and_then(|head| self.discovery.newer_than(now, &head)),
                    );
                }
                Err(_) => fetched.sound = false,
            }
        }
        fetched
    }

    /// Verifies a head that a peer has sent because it was asked for something, and takes it in.
    pub(in crate::engine) fn take_head(
        &mut self,
        now: Now,
        peer: PeerId,
        bytes: &[u8],
    ) -> Result<Signed<Head>, Rejected> {
        let head = self.cx.store.verify_announcement(bytes, now.unix).inspect_err(|rejected| {
            if let Rejected::Stale { .. } = rejected {
                self.hear_older(now, bytes);
            }
            if !rejected.is_excusable() {
                self.standing.reputations.invalid(peer);
            }
        })?;
        self.discovery.check_listed(&self.cx, &head)?;
        self.take_news(now, News::Fetched(peer), &head);
        Ok(head)
    }
}

/// Under which it is remembered that a peer has sent a head in vain. Others may send it all the same, so that nobody can
/// have it forgotten by claiming to have it.
fn vain_key(peer: &PeerId, digest: &Digest) -> Digest {
    Digest::of([&*peer.to_bytes(), digest.as_bytes()].concat())
}

/// Lists that are kept at a time: of everything, and of two slices.
const MAX_LISTINGS: usize = 3;
