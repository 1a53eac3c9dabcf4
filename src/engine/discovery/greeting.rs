//! What connected peers tell each other of themselves, signed: asked when they connect, and again where it is in doubt.

use std::time::Duration;

use libp2p::PeerId;

use crate::{
    Digest,
    engine::{
        Context, Deadline, Discovery, Effects, Engine, Now, Unanswered,
        neighbours::Greeting,
        questions::{Purpose, Question},
    },
    exchange::{Request, Response},
    record::{Hello, Location, Signed},
};

/// Catalogues that seemed to be the same although the peer had said that they are not are compared again after this
/// time, so often at the most: one of them may have been a moment old.
const DOUBT: Duration = Duration::from_secs(5);
const MAX_DOUBTS: u8 = 3;

/// What a node can do, in its hello: it answers searches, and says why it has refused records.
const FEATURE_SEARCH: u64 = 1;
pub(in crate::engine) const FEATURE_EXPLAINS: u64 = 1 << 1;

impl Discovery {
    /// Asks a peer what it is, and tells it what this node is.
    pub(in crate::engine) fn greet(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        now: Now,
        peer: PeerId,
    ) {
        if let Some(hello) = self.own_hello(cx, now) {
            out.ask(cx, peer, Purpose::Greeting, &Request::Hello(hello));
        }
    }

    /// What this node says of itself, signed anew each time: peers read this node's clock off it.
    pub(in crate::engine) fn own_hello(&self, cx: &Context, now: Now) -> Option<Vec<u8>> {
        let mut hello = Hello::new(cx.config.network.clone(), cx.local, now.unix);
        hello.location = cx.config.location.map(Location::from);
        hello.coverage = cx.config.coverage.clone();
        let shown = self.catalogue.len().saturating_sub(self.catalogue.hidden());
        hello.packages = u64::try_from(shown).unwrap_or(u64::MAX);
        hello.digest = Digest::from_bytes(self.catalogue.digest_sum());
        hello.features = FEATURE_SEARCH | FEATURE_EXPLAINS;
        Signed::sign(&cx.keypair, hello).ok().map(|hello| hello.bytes().to_vec())
    }

    /// Whether a connected peer has said what it is, and its clock is near enough to compare catalogues with it.
    fn is_known(&self, peer: &PeerId) -> bool {
        self.neighbours.get(peer).is_some_and(|neighbour| neighbour.hello().is_some())
    }

    /// Nothing was found that differs, and yet a session was held because something does.
    pub(in crate::engine) fn doubt(&mut self, out: &mut Effects, now: Now, peer: PeerId) {
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        if neighbour.doubts < MAX_DOUBTS && neighbour.doubt.is_none() {
            neighbour.doubts += 1;
            let later = now.mono.saturating_add(DOUBT);
            neighbour.doubt = Some(out.wheel.insert(later, Deadline::Greet(Box::new(peer))));
        }
    }

    /// Asks a peer again what it has, some time after it was doubted.
    pub(in crate::engine) fn greet_again(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        now: Now,
        peer: PeerId,
    ) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.doubt = None;
            if !cx.closed {
                self.greet(cx, out, now, peer);
            }
        }
    }
}

impl Engine {
    /// A peer has said what it is: asked for it, or asking. False if it has not said it as it should. What its clock
    /// shows is no fault: whoever has a wrong one is to hear of it, here or there.
    ///
    /// `took` is how long it has been on its way; where that is not known, half of the shortest round trip so far.
    pub(in crate::engine) fn meet(
        &mut self,
        now: Now,
        peer: PeerId,
        bytes: &[u8],
        took: Option<Duration>,
    ) -> bool {
        let network = &self.cx.config.network;
        match Signed::verify_hello_of_any_time(network, &peer, bytes) {
            Ok(hello) => {
                let Some(neighbour) = self.discovery.neighbours.get_mut(&peer) else { return true };
                let hello = Box::new(Hello::clone(&hello));
                let sent = hello.issued;
                neighbour.greeting = match hello.is_of(now.unix) {
                    true => Greeting::Known(hello),
                    false => Greeting::Apart(hello),
                };
                let took = took.or(neighbour.round_trip.map(|time| time / 2));
                self.read_clock(now, peer, sent, took.unwrap_or_default());
                true
            }
            Err(rejected) => {
                tracing::debug!(%peer, %rejected, "a hello that is none");
                if !rejected.is_excusable() {
                    self.standing.reputations.invalid(peer);
                }
                false
            }
        }
    }

    /// The answer to a greeting.
    pub(in crate::engine) fn greeted(
        &mut self,
        now: Now,
        question: Question,
        answer: Result<Response, Unanswered>,
    ) {
        let peer = question.peer;
        match answer {
            Ok(Response::Hello(bytes)) => {
                let took = now.mono.saturating_sub(question.asked);
                let was_known = self.discovery.is_known(&peer);
                if !self.meet(now, peer, &bytes, Some(took / 2)) {
                    return;
                }
                let Some(neighbour) = self.discovery.neighbours.get_mut(&peer) else { return };
                neighbour.round_trip =
                    Some(neighbour.round_trip.map_or(took, |before| before.min(took)));
                let is_greeted = question.purpose == Purpose::Greeting || !was_known;
                if !is_greeted || !self.discovery.is_known(&peer) {
                    return;
                }
                self.discovery.neighbours.enqueue(peer);
                self.discovery.next_session(&self.cx, &mut self.out, now);
            }
            Err(Unanswered::Unsupported) => {
                if let Some(neighbour) = self.discovery.neighbours.get_mut(&peer) {
                    neighbour.greeting = Greeting::Silent;
                }
            }
            Ok(_) | Err(Unanswered::Gone | Unanswered::TimedOut | Unanswered::Failed) => {}
        }
    }
}
