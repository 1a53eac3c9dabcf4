//! What a session does with each answer, and asks next.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use libp2p::PeerId;

use super::{Course, Fetch, LONGEST_PAUSE, Offer, Running, SessionResult, Talk};
use crate::{
    coverage::Coverage,
    engine::{
        context::Context,
        deadlines::Deadline,
        discovery::{
            Discovery,
            neighbours::add_new,
            reconcile::{Failure, Fetching, Session, Step, Taken},
        },
        effects::Effects,
        interface::{Now, Unanswered},
        questions::Purpose,
    },
    exchange::{MAX_OFFERED, Request, Response},
    package::Digest,
    record::{Head, Rejected, Signed},
};

/// A peer has answered as no honest one does.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Misconduct;

/// What a response to a fetch has brought. The session rests until it is [told](Discovery::delivered) what became of it.
#[derive(Debug)]
pub(in crate::engine) struct Delivery {
    talk: Talk,
    fetch: Fetch,
    heads: Vec<Vec<u8>>,
    /// Of what is sound or can be excused, in the order in which it came.
    digests: Vec<Digest>,
    /// What has replaced some of it, as far as that is listed here. A comparison of a slice need not have found it: a
    /// newer release may lack the keyword by which the package was covered, and a withdrawal has none.
    newer: BTreeSet<Digest>,
    /// Whether all of it is sound, or can be excused.
    sound: bool,
}

impl Delivery {
    /// The records that have come, which nobody has verified yet.
    pub(in crate::engine) fn take_heads(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.heads)
    }
}

impl Discovery {
    /// The peer has answered the session's question, or will not. What it has delivered is to be taken in before the
    /// session goes on.
    pub(in crate::engine) fn session_answered(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
        answer: Result<Response, Unanswered>,
    ) -> Result<Option<Delivery>, Misconduct> {
        let now = cx.now();
        let Some(running) = self.session.take_if(|running| running.talk.peer == peer) else {
            return Ok(None);
        };
        let Running { talk, course, timer } = running;
        out.wheel.cancel(timer);
        if talk.patience(now) <= now.mono {
            self.waited_for(now, talk);
            self.session_failed(cx, out, &peer, "it takes too long");
            return Ok(None);
        }
        match (course, answer) {
            (Course::Comparing(session), Ok(Response::Compared { message })) => {
                self.comparison_answered(cx, out, talk, session, &message)?;
            }
            (Course::Fetching(fetch), Ok(Response::Heads { heads })) => {
                return Ok(Some(self.delivery(out, now, talk, fetch, heads)));
            }
            (Course::Offering(offer), Ok(Response::Noted)) => {
                self.resume(out, now, talk, Course::Offering(offer));
                self.offer_on(cx, out);
            }
            (_, Ok(Response::Declined { retry_after_secs })) => {
                self.leave_alone(now, &peer, Duration::from_secs(retry_after_secs.into()));
                self.session_failed(cx, out, &peer, "it has no time");
            }
            (_, Ok(_)) => {
                self.session_failed(cx, out, &peer, "it answers something else");
                return Err(Misconduct);
            }
            (_, Err(_)) => {
                self.waited_for(now, talk);
                self.session_failed(cx, out, &peer, "it does not answer");
            }
        }
        Ok(None)
    }

    fn comparison_answered(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        talk: Talk,
        mut session: Box<Session>,
        message: &[u8],
    ) -> Result<(), Misconduct> {
        let now = cx.now();
        match session.take(message) {
            Step::Ask(message) => {
                self.resume(out, now, talk, Course::Comparing(session));
                self.compare_on(cx, out, &talk.peer, message);
            }
            Step::Done { need, have, complete } => {
                let offer = Offer { have: have.into(), more: !complete };
                self.fetch_first(cx, out, talk, need, offer);
            }
            Step::Failed(failure) => {
                self.session_failed(cx, out, &talk.peer, &failure.to_string());
                // A catalogue that changes all the time is nobody's fault.
                if failure != Failure::Endless {
                    return Err(Misconduct);
                }
            }
        }
        Ok(())
    }

    /// The session goes on, and waits for the next answer.
    fn resume(&mut self, out: &mut Effects, now: Now, talk: Talk, course: Course) {
        let timer = out.wheel.insert(talk.patience(now), Deadline::Session);
        self.session = Some(Running { talk, course, timer });
    }

    /// The peer has said itself for how long it is not to be asked.
    fn leave_alone(&mut self, now: Now, peer: &PeerId, pause: Duration) {
        if let Some(neighbour) = self.neighbours.get_mut(peer) {
            neighbour.not_before = now.mono.saturating_add(pause.min(LONGEST_PAUSE));
        }
    }

    /// Asks the next question of a comparison.
    fn compare_on(&self, cx: &Context, out: &mut Effects, peer: &PeerId, message: Vec<u8>) {
        let theirs = self.neighbours.get(peer).and_then(|neighbour| neighbour.hello());
        let slice =
            theirs.map_or(Coverage::None, |hello| cx.config.coverage.intersection(&hello.coverage));
        out.ask(cx, *peer, Purpose::Reconciling, &Request::Compare { slice, message });
    }

    /// The comparison is over: what is missing here comes first.
    fn fetch_first(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        mut talk: Talk,
        need: Vec<Digest>,
        offer: Offer,
    ) {
        let now = cx.now();
        if !need.is_empty() || !offer.have.is_empty() {
            talk.outcome = SessionResult::Differs;
        }
        let fetch = Fetch { fetching: Fetching::new(need), offer };
        self.resume(out, now, talk, Course::Fetching(fetch));
        self.fetch_on(cx, out);
    }

    /// Asks for the next heads that are missing, or goes on to the offer.
    pub(super) fn fetch_on(&mut self, cx: &Context, out: &mut Effects) {
        let now = cx.now();
        let (catalogue, vain) = (&self.catalogue, &self.vain);
        let Some(Running { talk, course, .. }) = &mut self.session else { return };
        let Course::Fetching(Fetch { fetching, offer }) = course else { return };
        let peer = talk.peer;
        let is_allowed = self.allowances.left(now.mono, &peer) > 0;
        let is_wanted = |digest: &Digest| {
            catalogue.by_digest(digest, now.unix).is_none()
                && !vain.contains(&vain_key(&peer, digest), now.mono)
        };
        if is_allowed && let Some(digests) = fetching.batch(is_wanted) {
            return out.ask(cx, peer, Purpose::Reconciling, &Request::Fetch { digests });
        }
        // Who has delivered too much has its turn again another time.
        let (have, more) = (std::mem::take(&mut offer.have), offer.more && is_allowed);
        *course = Course::Offering(Offer { have, more });
        self.offer_on(cx, out);
    }

    fn delivery(
        &mut self,
        out: &mut Effects,
        now: Now,
        talk: Talk,
        fetch: Fetch,
        heads: Vec<Vec<u8>>,
    ) -> Delivery {
        self.allowances.spend(now.mono, talk.peer, heads.len());
        out.counters.reconciliation.heads_fetched += heads.len() as u64;
        let digests = Vec::with_capacity(heads.len());
        Delivery { talk, fetch, heads, digests, newer: BTreeSet::new(), sound: true }
    }

    /// Takes note of what became of one of the heads that have come.
    pub(in crate::engine) fn note_fetched(
        &self,
        now: Now,
        delivery: &mut Delivery,
        bytes: &[u8],
        taken: Result<Signed<Head>, Rejected>,
    ) {
        match taken {
            Ok(head) => {
                delivery.digests.push(head.digest());
                delivery.newer.extend(self.newer_than(now, &head));
            }
            // Something newer was seen, or its time has just come.
            Err(rejected) if rejected.is_excusable() => {
                let Some(digest) = Signed::<Head>::claimed_digest(bytes) else { return };
                delivery.digests.push(digest);
                // Whatever it is, nothing comes of it but what the peer is told of.
                let claimed = Signed::<Head>::reopened(&Arc::from(bytes), digest);
                let newer = claimed.ok().and_then(|head| self.newer_than(now, &head));
                delivery.newer.extend(newer);
            }
            Err(_) => delivery.sound = false,
        }
    }

    /// All that a response has brought was taken in, or refused: the session goes on.
    pub(in crate::engine) fn delivered(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        delivery: Delivery,
    ) -> Result<(), Misconduct> {
        let now = cx.now();
        let Delivery { mut talk, mut fetch, digests, newer, sound, .. } = delivery;
        if !newer.is_empty() {
            add_new(&mut fetch.offer.have, newer, usize::MAX);
        }
        match fetch.fetching.take(digests) {
            Taken::Delivered(digests) if sound => {
                if self.note_vain(now, &talk.peer, &digests) < digests.len() {
                    talk.outcome = SessionResult::Learnt;
                }
            }
            Taken::Nothing if sound => {}
            taken => {
                let why = "it sends what it was not asked for";
                self.session_failed(cx, out, &talk.peer, why);
                return match taken {
                    Taken::Unasked(_) => Err(Misconduct),
                    // Each head that is not sound was held against it as it came.
                    Taken::Delivered(_) | Taken::Nothing => Ok(()),
                };
            }
        }
        self.resume(out, now, talk, Course::Fetching(fetch));
        self.fetch_on(cx, out);
        Ok(())
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

    /// Tells the peer of the next heads that it lacks, or ends the session.
    fn offer_on(&mut self, cx: &Context, out: &mut Effects) {
        let now = cx.now();
        let Some(Running { talk, course: Course::Offering(offer), .. }) = &mut self.session else {
            return;
        };
        let (peer, more) = (talk.peer, offer.more);
        // The first offer is enough for it to ask; a comparison of its own finds the rest.
        let mut digests: Vec<Digest> = std::mem::take(&mut offer.have).into();
        digests.truncate(MAX_OFFERED);
        if !digests.is_empty() {
            return out.ask(cx, peer, Purpose::Reconciling, &Request::Offer { digests });
        }
        let Some(ended) = self.session.take() else { return };
        out.wheel.cancel(ended.timer);
        self.compared(now, &peer);
        match ended.talk.outcome {
            SessionResult::Same => self.doubt(out, now, peer),
            // Another one at once would find the same.
            SessionResult::Differs => {}
            SessionResult::Learnt if more => self.neighbours.enqueue(peer),
            SessionResult::Learnt => {}
        }
        self.next_session(cx, out);
    }
}

/// Under which it is remembered that a peer has sent a head in vain. Others may send it all the same, so that nobody can
/// have it forgotten by claiming to have it.
fn vain_key(peer: &PeerId, digest: &Digest) -> Digest {
    Digest::of([&*peer.to_bytes(), digest.as_bytes()].concat())
}
