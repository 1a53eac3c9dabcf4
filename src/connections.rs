//! Who is connected, as callers are shown it, and what connections are kept for.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use crate::{coverage::Coverage, event::Direction, package::GeoLocation};

/// A peer with which a connection stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectedPeer {
    /// The peer, proved by the handshake.
    pub peer: PeerId,
    /// Its address as seen from here, of the first connection that stands.
    pub address: Multiaddr,
    /// Who dialed.
    pub direction: Direction,
    /// What the peer says it runs, once it has said so.
    pub agent: Option<String>,
    /// Where the peer says that it is: a hint, which nothing proves.
    pub location: Option<GeoLocation>,
    /// The shortest time that a message to the peer and its answer have taken, once it was measured.
    #[serde(with = "humantime_serde")]
    pub round_trip: Option<Duration>,
    /// Which packages the peer says its catalogue is about, once it has said so.
    pub coverage: Option<Coverage>,
    /// How many heads the peer says are in its catalogue, once it has said so.
    pub catalogue: Option<u64>,
    /// For how long it has been connected.
    #[serde(with = "humantime_serde")]
    pub age: Duration,
    /// What the connection is kept for.
    pub kept_for: KeptFor,
}

/// What a connection is kept for: the first of these that holds. The further up it stands, the more it is worth.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeptFor {
    /// A question of this node is under way there. Requests of the DHT are none: where one is cut short by a goodbye, its
    /// lookup goes on with others.
    InUse,
    /// The application has dialed the peer, or names it in [`Config::bootstrap`](crate::Config::bootstrap).
    Application,
    /// The peer is in the mesh of a topic: announcements come and go through it.
    Mesh,
    /// It is one of the twenty closest to this node's own key.
    Neighbour,
    /// It is the best of those at its distance, by which far keys are found.
    Distance,
    /// It is no longer new, and one of four that know of the same packages: catalogues are compared with it.
    Catalogue,
    /// It has not been there for long enough to be judged: twenty seconds.
    Grace,
    /// Nothing: it goes first, or is about to.
    #[default]
    Nothing,
}

impl KeptFor {
    /// A word for it, as in the JSON of the `node` example.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::Application => "application",
            Self::Mesh => "mesh",
            Self::Neighbour => "neighbour",
            Self::Distance => "distance",
            Self::Catalogue => "catalogue",
            Self::Grace => "grace",
            Self::Nothing => "nothing",
        }
    }
}

/// Connected peers, by what their connections are kept for: see [`KeptFor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeptConnections {
    /// [`KeptFor::InUse`].
    pub in_use: u32,
    /// [`KeptFor::Application`].
    pub application: u32,
    /// [`KeptFor::Mesh`].
    pub mesh: u32,
    /// [`KeptFor::Neighbour`].
    pub neighbour: u32,
    /// [`KeptFor::Distance`].
    pub distance: u32,
    /// [`KeptFor::Catalogue`].
    pub catalogue: u32,
    /// [`KeptFor::Grace`].
    pub grace: u32,
    /// [`KeptFor::Nothing`].
    pub nothing: u32,
}

impl KeptConnections {
    /// Each reason by its name, the one that is worth most first.
    #[must_use]
    pub fn each(&self) -> [(&'static str, u32); 8] {
        [
            (KeptFor::InUse.as_str(), self.in_use),
            (KeptFor::Application.as_str(), self.application),
            (KeptFor::Mesh.as_str(), self.mesh),
            (KeptFor::Neighbour.as_str(), self.neighbour),
            (KeptFor::Distance.as_str(), self.distance),
            (KeptFor::Catalogue.as_str(), self.catalogue),
            (KeptFor::Grace.as_str(), self.grace),
            (KeptFor::Nothing.as_str(), self.nothing),
        ]
    }

    /// Each of these is kept for that.
    pub(crate) fn of(all: impl IntoIterator<Item = KeptFor>) -> Self {
        let mut kept = Self::default();
        for kept_for in all {
            *match kept_for {
                KeptFor::InUse => &mut kept.in_use,
                KeptFor::Application => &mut kept.application,
                KeptFor::Mesh => &mut kept.mesh,
                KeptFor::Neighbour => &mut kept.neighbour,
                KeptFor::Distance => &mut kept.distance,
                KeptFor::Catalogue => &mut kept.catalogue,
                KeptFor::Grace => &mut kept.grace,
                KeptFor::Nothing => &mut kept.nothing,
            } += 1;
        }
        kept
    }
}
