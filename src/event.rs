//! What a node tells whoever polls it.

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use crate::{
    clock_offset::ClockOffset,
    package::{Deprecation, Package, PackageId, PackageName},
    record::EquivocationProof,
};

/// Something that happened without being asked for. The item of [`Node`](crate::Node) as a `Stream`.
///
/// A node that is polled as a `Future` drops its events; nothing else depends on their being read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The node listens on this address. It ends in `/p2p/` and the node's own identity, so that it can be
    /// handed to another node as it is.
    Listening {
        /// The address.
        address: Multiaddr,
    },
    /// The node no longer listens on this address.
    ListeningEnded {
        /// The address.
        address: Multiaddr,
        /// Why, where it was not asked for.
        reason: Option<String>,
    },
    /// A first connection with this peer stands.
    Connected {
        /// The peer, proved by the handshake.
        peer: PeerId,
        /// Its address as seen from here.
        address: Multiaddr,
        /// Who dialed.
        direction: Direction,
    },
    /// The last connection with this peer has ended.
    Disconnected {
        /// The peer.
        peer: PeerId,
        /// Why, where it was not asked for, or where the peer is of another network. Where the peer has said why it ends the
        /// connection, that: `it has no room`, `it is going away` or `it has blocked this node` (see
        /// [`Farewell`](crate::Farewell)). Nothing proves that.
        reason: Option<String>,
    },
    /// A configured bootstrap address could not be reached, or leads to a peer of another network, which is let go. The
    /// node tries again until it is reached ([`rejoin_interval`](crate::Config::rejoin_interval)), but not where it is
    /// this node's own address.
    BootstrapUnreachable {
        /// The address.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
    /// This node's clock and those of its peers differ by more than a minute, or by another amount than was told last.
    /// Should this node's be the wrong one, then records that it publishes are refused by others, or theirs by it. Told
    /// once of each such difference, and once a minute at the most.
    ClockDisagrees {
        /// By how much.
        offset: ClockOffset,
    },
    /// This node's clock, of which [`ClockDisagrees`](Self::ClockDisagrees) was told, is within half a minute of its
    /// peers' again.
    ClockAgrees {
        /// By how much they still differ.
        offset: ClockOffset,
    },
    /// A package that is new to this node, or newer than what it knew, was announced, or learnt from the catalogue of
    /// another.
    Discovered {
        /// The package's newest release.
        package: Box<Package>,
    },
    /// A package was announced as withdrawn, or is so in the catalogue of another.
    Withdrawn {
        /// The package, with its owner.
        id: PackageId,
    },
    /// The owner of a package has yanked one of its releases, or says another reason for it. As what follows, it is told of
    /// packages of which the application was told before (by [`Discovered`](Self::Discovered)), once, whichever way the head
    /// comes, and of the releases that stand in the head itself.
    Yanked {
        /// The release, with its owner.
        id: PackageId,
        /// Why, if the owner has said so.
        reason: Option<String>,
    },
    /// The owner of a package has taken a yank back.
    Unyanked {
        /// The release, with its owner.
        id: PackageId,
    },
    /// The owner of a package has deprecated it, or says otherwise what to do instead.
    Deprecated {
        /// The package, with its owner.
        id: PackageId,
        /// What to do instead.
        deprecation: Deprecation,
    },
    /// The owner of a package has taken its deprecation back.
    Undeprecated {
        /// The package, with its owner.
        id: PackageId,
    },
    /// A message arrived on a topic that the application subscribed.
    Message {
        /// The topic.
        topic: String,
        /// Who signed it. Not who forwarded it.
        author: PeerId,
        /// The application's bytes.
        data: Vec<u8>,
    },
    /// Records of an own package that nobody held before are now held by others.
    Replicated {
        /// The package.
        id: PackageId,
        /// How many peers hold the least held record of it.
        replicas: u32,
    },
    /// A peer has served or handed over so many records that no honest peer would, that its connections are ended and
    /// new ones refused for an hour. See [`Reputation`](crate::Reputation).
    PeerBlocked {
        /// The peer.
        peer: PeerId,
        /// What its [score](crate::Reputation::score) has come to.
        score: u8,
    },
    /// An owner signed two different heads with one sequence. One is kept, the same one on every peer. Told once of each
    /// such sequence, and to the owner's own application as well, where `owner` is the one that this node publishes for.
    ///
    /// Two devices with one key that publish in the same second, and have not heard of each other, do so in haste: a
    /// later head lists what both have published, and [`Handle::equivocations`](crate::Handle::equivocations) lists the
    /// proof no longer. An owner whose proof stands deserves no trust.
    Equivocation {
        /// The owner that signed both.
        owner: PeerId,
        /// The package.
        name: PackageName,
        /// Both heads, as a proof that anybody can verify.
        proof: EquivocationProof,
    },
    /// The calendar clock has moved against the monotonic one by ten seconds or more: the machine has slept, or the
    /// clock was set, or both. A node cannot tell which.
    ///
    /// What has a date is judged by the new time from now on. Nothing is lost by it: own packages are put again within
    /// a minute where they need to be, and what seems to have expired is only hidden for the first hour. Where the
    /// clock is wrong, others refuse what this node signs, and this node what others sign, until it is put right.
    ClockChanged {
        /// By how many seconds; below zero where it was set back.
        by: i64,
        /// The time that it shows now, in Unix seconds.
        unix: u64,
    },
    /// What has changed could not be written to the node's [storage](crate::storage). The node goes on without, and tries
    /// again by itself; calls that change something fail with [`Error::Storage`](crate::Error::Storage) until it succeeds.
    /// Told once until then.
    StorageFailed {
        /// What the storage says.
        reason: String,
    },
    /// All that could not be written before has been written. That may take several commits.
    StorageRecovered,
}

/// Who dialed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Direction {
    /// This node.
    Outbound,
    /// The other side.
    Inbound,
}
