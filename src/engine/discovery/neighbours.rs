//! What connected peers have said of themselves, and with whom the catalogue is compared next.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

use libp2p::PeerId;

use crate::{
    coverage::Coverage,
    engine::{
        context::Context,
        discovery::{Discovery, greeting::FEATURE_EXPLAINS},
        wheel,
    },
    exchange::MAX_OFFERED,
    package::{Digest, GeoLocation},
    record::Hello,
};

/// What is known of a connected peer.
#[derive(Debug, Default)]
pub(in crate::engine) struct Neighbour {
    pub(in crate::engine) greeting: Greeting,
    /// Heads that it has offered, and that are to be fetched from it.
    offered: VecDeque<Digest>,
    /// When a session with it last ended, or it last had its turn.
    pub(in crate::engine) compared: Option<Duration>,
    /// It is not asked before: it has said so, or has let a session wait.
    pub(in crate::engine) not_before: Duration,
    /// How often a comparison has found nothing although something was to differ.
    pub(in crate::engine) doubts: u8,
    /// Set while it is to be greeted again because of that.
    pub(in crate::engine) doubt: Option<wheel::Key>,
    /// The shortest time that a greeting and its answer have taken.
    pub(in crate::engine) round_trip: Option<Duration>,
}

/// Whether a peer has said what it is.
#[derive(Debug, Default)]
pub(in crate::engine) enum Greeting {
    /// Not yet.
    #[default]
    Due,
    /// It has, when it was last asked or has last asked.
    Known(Box<Hello>),
    /// It has, and its clock or this node's is wrong by so much that they take each other's records for expired or not
    /// issued yet. Catalogues are not compared.
    Apart(Box<Hello>),
    /// It does not speak this protocol.
    Silent,
}

impl Neighbour {
    pub(in crate::engine) fn hello(&self) -> Option<&Hello> {
        match &self.greeting {
            Greeting::Known(hello) => Some(hello),
            Greeting::Apart(_) | Greeting::Due | Greeting::Silent => None,
        }
    }

    /// What the peer has said of itself, whatever its clock shows.
    pub(in crate::engine) fn said(&self) -> Option<&Hello> {
        match &self.greeting {
            Greeting::Known(hello) | Greeting::Apart(hello) => Some(hello),
            Greeting::Due | Greeting::Silent => None,
        }
    }

    /// Takes note of heads that the peer says it has, each once, as far as there is room: of one offer at the most. What
    /// has no room is found by the next comparison.
    pub(super) fn offer(&mut self, digests: impl IntoIterator<Item = Digest>) {
        let room = MAX_OFFERED.saturating_sub(self.offered.len());
        add_new(&mut self.offered, digests, room);
    }

    pub(super) fn take_offered(&mut self) -> VecDeque<Digest> {
        std::mem::take(&mut self.offered)
    }

    pub(super) fn has_offered(&self) -> bool {
        !self.offered.is_empty()
    }
}

/// Connected peers, and the line of those with whom a session is to be held.
#[derive(Debug, Default)]
pub(in crate::engine) struct Neighbours {
    known: BTreeMap<PeerId, Neighbour>,
    line: VecDeque<PeerId>,
}

impl Neighbours {
    pub(in crate::engine) fn connected(&mut self, peer: PeerId) {
        self.known.entry(peer).or_default();
    }

    /// Answers with what was known of it.
    pub(in crate::engine) fn disconnected(&mut self, peer: &PeerId) -> Option<Neighbour> {
        self.line.retain(|other| other != peer);
        self.known.remove(peer)
    }

    pub(in crate::engine) fn get(&self, peer: &PeerId) -> Option<&Neighbour> {
        self.known.get(peer)
    }

    pub(in crate::engine) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Neighbour> {
        self.known.get_mut(peer)
    }

    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Neighbour)> {
        self.known.iter()
    }

    /// A session with this peer is to be held, after those that wait already.
    pub(super) fn enqueue(&mut self, peer: PeerId) {
        if self.known.contains_key(&peer) && !self.line.contains(&peer) {
            self.line.push_back(peer);
        }
    }

    /// With whom a session is to be held next.
    pub(super) fn dequeue(&mut self) -> Option<PeerId> {
        self.line.pop_front()
    }
}

/// Adds the digests that a line does not hold yet, so many at the most: an offer and a fetch name each once.
pub(super) fn add_new(
    line: &mut VecDeque<Digest>,
    digests: impl IntoIterator<Item = Digest>,
    most: usize,
) {
    let known: HashSet<Digest> = line.iter().copied().collect();
    line.extend(digests.into_iter().filter(|digest| !known.contains(digest)).take(most));
}

/// How far it is to a place that a peer has declared, in kilometres: a hint, which nothing proves.
pub(super) fn declared_distance(here: Option<GeoLocation>, hello: Option<&Hello>) -> Option<f64> {
    let there = GeoLocation::try_from(hello?.location?).ok()?;
    Some(here?.distance_km(&there))
}

/// Whether a peer has a catalogue of which something matters for this coverage.
pub(super) fn shares_with(coverage: &Coverage, hello: &Hello) -> bool {
    coverage.intersection(&hello.coverage) != Coverage::None
}

impl Discovery {
    /// A connection with a peer stands.
    pub(in crate::engine) fn neighbour_connected(&mut self, peer: PeerId) {
        self.neighbours.connected(peer);
    }

    /// Whether a peer has said that it has a catalogue of which something matters here.
    pub(in crate::engine) fn is_of_use(&self, cx: &Context, peer: &PeerId) -> bool {
        let hello = self.neighbours.get(peer).and_then(Neighbour::hello);
        hello.is_some_and(|hello| shares_with(&cx.config.coverage, hello))
    }

    /// Whether a peer says why it refuses records. One whose version does not would take the question for nonsense.
    pub(in crate::engine) fn explains(&self, peer: &PeerId) -> bool {
        let said = self.neighbours.get(peer).and_then(|neighbour| neighbour.said());
        said.is_some_and(|hello| hello.features & FEATURE_EXPLAINS != 0)
    }
}
