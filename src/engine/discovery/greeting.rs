//! What connected peers tell each other of themselves, signed: asked when they connect, and again where it is in doubt.

use std::time::Duration;

use libp2p::PeerId;

use crate::{
    engine::{
        context::Context,
        deadlines::Deadline,
        discovery::{Discovery, neighbours::Greeting},
        effects::Effects,
        interface::{Now, Unanswered},
        peer_clocks::ClockReading,
        questions::Purpose,
    },
    exchange::{Request, Response},
    package::Digest,
    record::{Hello, Location, Rejected, Signed},
};

/// Catalogues that seemed to be the same although the peer had said that they are not are compared again after this
/// time, so often at the most: one of them may have been a moment old.
const DOUBT: Duration = Duration::from_secs(5);
const MAX_DOUBTS: u8 = 3;

/// What a node can do, in its hello: it answers searches, and says why it has refused records.
const FEATURE_SEARCH: u64 = 1;
pub(super) const FEATURE_EXPLAINS: u64 = 1 << 1;

impl Discovery {
    /// Asks a peer what it is, and tells it what this node is.
    pub(in crate::engine) fn greet(&mut self, cx: &Context, out: &mut Effects, peer: PeerId) {
        if let Some(hello) = self.own_hello(cx) {
            out.ask(cx, peer, Purpose::Greeting, &Request::Hello(hello));
        }
    }

    /// What this node says of itself, signed anew each time: peers read this node's clock off it.
    pub(in crate::engine) fn own_hello(&self, cx: &Context) -> Option<Vec<u8>> {
        let mut hello = Hello::new(cx.config.network.clone(), cx.local, cx.now().unix);
        hello.location = cx.config.location.map(Location::from);
        hello.coverage = cx.config.coverage.clone();
        let shown = self.catalogue.len().saturating_sub(self.catalogue.hidden());
        hello.packages = u64::try_from(shown).unwrap_or(u64::MAX);
        hello.digest = Digest::from_bytes(self.catalogue.digest_sum());
        hello.features = FEATURE_SEARCH | FEATURE_EXPLAINS;
        Signed::sign(&cx.keypair, hello).ok().map(|hello| hello.bytes().to_vec())
    }

    /// Whether a connected peer has said what it is, and its clock is near enough to compare catalogues with it.
    pub(in crate::engine) fn is_known(&self, peer: &PeerId) -> bool {
        self.neighbours.get(peer).is_some_and(|neighbour| neighbour.hello().is_some())
    }

    /// A peer has said what it is: asked for it, or asking. What its clock shows is no fault: whoever has a wrong one is
    /// to hear of it, here or there. Nothing is read off the clock of one that has gone.
    ///
    /// `took` is how long it has been on its way; where that is not known, half of the shortest round trip so far.
    pub(in crate::engine) fn meet(
        &mut self,
        cx: &Context,
        peer: PeerId,
        bytes: &[u8],
        took: Option<Duration>,
    ) -> Result<Option<ClockReading>, Rejected> {
        let verified = Signed::verify_hello_of_any_time(&cx.config.network, &peer, bytes);
        let hello = verified.inspect_err(|rejected| {
            tracing::debug!(%peer, %rejected, "a hello that is none");
        })?;
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return Ok(None) };
        let hello = Box::new(Hello::clone(&hello));
        let sent = hello.issued;
        neighbour.greeting = match hello.is_of(cx.now().unix) {
            true => Greeting::Known(hello),
            false => Greeting::Apart(hello),
        };
        let took = took.or(neighbour.round_trip.map(|time| time / 2));
        Ok(Some(ClockReading { sent, took: took.unwrap_or_default() }))
    }

    /// The hello in the answer to a greeting, if it has one.
    pub(in crate::engine) fn hello_in(
        &mut self,
        peer: &PeerId,
        answer: Result<Response, Unanswered>,
    ) -> Option<Vec<u8>> {
        match answer {
            Ok(Response::Hello(bytes)) => return Some(bytes),
            Err(Unanswered::Unsupported) => {
                if let Some(neighbour) = self.neighbours.get_mut(peer) {
                    neighbour.greeting = Greeting::Silent;
                }
            }
            Ok(_) | Err(Unanswered::Gone | Unanswered::TimedOut | Unanswered::Failed) => {}
        }
        None
    }

    /// A greeting and its answer have taken so long.
    pub(in crate::engine) fn measured(&mut self, peer: &PeerId, took: Duration) {
        if let Some(neighbour) = self.neighbours.get_mut(peer) {
            let shortest = neighbour.round_trip.map_or(took, |before| before.min(took));
            neighbour.round_trip = Some(shortest);
        }
    }

    /// A peer has answered a greeting: the catalogue is compared with it, unless their clocks are too far apart.
    pub(in crate::engine) fn compare_with(
        &mut self,
        cx: &Context,
        out: &mut Effects,
        peer: PeerId,
    ) {
        if self.is_known(&peer) {
            self.neighbours.enqueue(peer);
            self.next_session(cx, out);
        }
    }

    /// Nothing was found that differs, and yet a session was held because something does.
    pub(super) fn doubt(&mut self, out: &mut Effects, now: Now, peer: PeerId) {
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return };
        if neighbour.doubts < MAX_DOUBTS && neighbour.doubt.is_none() {
            neighbour.doubts += 1;
            let later = now.mono.saturating_add(DOUBT);
            neighbour.doubt = Some(out.wheel.insert(later, Deadline::Greet(Box::new(peer))));
        }
    }

    /// Asks a peer again what it has, some time after it was doubted.
    pub(in crate::engine) fn greet_again(&mut self, cx: &Context, out: &mut Effects, peer: PeerId) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.doubt = None;
            if !cx.closed {
                self.greet(cx, out, peer);
            }
        }
    }
}
