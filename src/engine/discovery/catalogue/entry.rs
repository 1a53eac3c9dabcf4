//! One package of the catalogue.

use std::sync::Arc;

use libp2p::PeerId;

use crate::{
    coverage::Coverage,
    engine::discovery::index,
    package::{Digest, PackageName, owner_from_key, owner_key},
    record::{Head, Rank, Rejected, Signed},
};

/// A package by its owner's bare key: hundreds of thousands of these are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) owner: [u8; 32],
    pub(super) name: PackageName,
}

impl Key {
    /// `None` if nobody with this identity can own packages.
    pub(super) fn new(name: &PackageName, owner: &PeerId) -> Option<Self> {
        Some(Self { owner: owner_key(owner)?, name: name.clone() })
    }

    /// The name and the owner, as others know them.
    pub(super) fn package(&self) -> Option<(PackageName, PeerId)> {
        Some((self.name.clone(), owner_from_key(&self.owner)?))
    }
}

/// A peer, in half the room of its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum PeerKey {
    /// Nobody that is known: this node's own store, for example.
    Nobody,
    Ed25519([u8; 32]),
    Other(Box<PeerId>),
}

impl From<&PeerId> for PeerKey {
    fn from(peer: &PeerId) -> Self {
        owner_key(peer).map_or_else(|| Self::Other(Box::new(*peer)), Self::Ed25519)
    }
}

impl PeerKey {
    pub(super) fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Nobody => None,
            Self::Ed25519(key) => owner_from_key(key),
            Self::Other(peer) => Some(**peer),
        }
    }
}

/// A peer that was seen providing a package.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    pub(super) peer: PeerKey,
    /// When it was seen last, in Unix seconds.
    pub(super) unix: u64,
}

/// When a head was issued, in Unix seconds, and the beginning of its digest, so that all nodes agree on which of two is
/// older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    issued: u64,
    digest: u64,
}

impl Age {
    /// Nothing is older.
    pub(super) const FIRST: Self = Self { issued: 0, digest: 0 };
}

/// Why an entry stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    // The order is that of their worth.
    /// It was merely heard of.
    Heard,
    /// The application has asked for it, at this turn.
    Used(u64),
    /// Its name is pinned to its owner.
    Pinned,
    /// This node publishes it.
    Own,
}

/// What a head says, as far as the catalogue needs to know without reading it again.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) key: Key,
    pub(super) bytes: Arc<[u8]>,
    pub(super) digest: Digest,
    pub(super) rank: Rank,
    pub(super) issued: u64,
    pub(super) expires: u64,
    /// The keywords of the package, a line each. A tombstone has those of what it ends, if that was listed.
    pub(super) keywords: Option<Box<str>>,
    /// The most bytes that its words take in the search index.
    pub(super) indexed: u32,
}

impl Listing {
    pub(super) fn of(head: &Signed<Head>) -> Option<Self> {
        Some(Self {
            key: Key::new(&head.name, &head.owner)?,
            bytes: Arc::clone(head.bytes()),
            digest: head.digest(),
            rank: head.rank(),
            issued: head.validity.issued,
            expires: head.validity.expires,
            keywords: head.latest().map(|manifest| manifest.keywords.join("\n").into()),
            indexed: head.latest().map_or(0, index::most_bytes).try_into().unwrap_or(u32::MAX),
        })
    }

    /// Whether it takes the place of this one: as [`select`](crate::record::select) decides.
    pub(super) fn replaces(&self, listed: &Self) -> bool {
        (self.rank, listed.digest) > (listed.rank, self.digest)
    }

    /// What it counts for: its bytes, or more where its words take more of the index than goes with so many bytes.
    pub(super) fn size(&self) -> usize {
        let keywords = self.keywords.as_deref().map_or(0, str::len);
        let bytes = self.bytes.len() + keywords + self.key.name.as_str().len();
        bytes.max((bytes + self.indexed as usize).div_ceil(1 + index::INDEXED_BYTE))
    }

    pub(super) fn age(&self) -> Age {
        let (first, _) = self.digest.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
        Age { issued: self.issued, digest: u64::from_be_bytes(*first) }
    }

    /// Whether the package is one of these. Of a tombstone whose package nobody has told of, only a node that covers
    /// everything says so.
    pub(super) fn is_in(&self, coverage: &Coverage) -> bool {
        match (&self.keywords, coverage) {
            (_, Coverage::All) => true,
            (Some(keywords), coverage) => coverage.covers_any(keywords.split('\n')),
            (None, _) => false,
        }
    }

    pub(super) fn head(&self) -> Result<Signed<Head>, Rejected> {
        Signed::reopened(&self.bytes, self.digest)
    }
}

/// A package of the catalogue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) listing: Listing,
    pub(super) worth: Worth,
    /// Peers that were seen providing it. The entry counts as brought by the first of them.
    providers: Vec<Provider>,
    /// When this head was heard of first, in Unix seconds.
    pub(super) heard: u64,
    /// Whether the application has been told of this head.
    pub(super) told: bool,
    /// Whether the application has been told of any head of the package. Then it is told what newer ones say, whichever way
    /// they come.
    pub(super) followed: bool,
}

impl Entry {
    /// Of more, the one that was seen longest ago is forgotten.
    pub(super) const MAX_PROVIDERS: usize = 4;

    pub(super) fn new(listing: Listing, worth: Worth, from: Option<&PeerId>, unix: u64) -> Self {
        let (providers, told, followed) = (Vec::new(), false, false);
        let mut entry = Self { listing, worth, providers, heard: unix, told, followed };
        entry.provided(from, unix);
        entry
    }

    /// A newer head, from this peer: it is who has brought the entry from now on.
    pub(super) fn replace(&mut self, mut listing: Listing, from: Option<&PeerId>, unix: u64) {
        if listing.keywords.is_none() {
            listing.keywords = self.listing.keywords.take();
        }
        self.listing = listing;
        self.heard = unix;
        self.told = false;
        self.provided(from, unix);
        if let Some(place) = from.and_then(|peer| self.place_of(&peer.into())) {
            self.providers.swap(0, place);
        }
    }

    /// Whether a peer has brought it, which then stays the one that did.
    pub(super) fn was_brought(&self) -> bool {
        !self.providers.is_empty()
    }

    /// A peer was seen providing it.
    pub(super) fn provided(&mut self, peer: Option<&PeerId>, unix: u64) {
        let Some(peer) = peer.map(PeerKey::from) else { return };
        if let Some(place) = self.place_of(&peer) {
            if let Some(known) = self.providers.get_mut(place) {
                known.unix = known.unix.max(unix);
            }
            return;
        }
        if self.providers.len() >= Self::MAX_PROVIDERS {
            let others = self.providers.iter().enumerate().skip(1);
            if let Some((oldest, _)) = others.min_by_key(|(_, provider)| provider.unix) {
                self.providers.remove(oldest);
            }
        }
        self.providers.reserve_exact(1);
        self.providers.push(Provider { peer, unix });
    }

    fn place_of(&self, peer: &PeerKey) -> Option<usize> {
        self.providers.iter().position(|provider| provider.peer == *peer)
    }

    /// Who has brought it.
    pub(super) fn brought_by(&self) -> PeerKey {
        self.providers.first().map_or(PeerKey::Nobody, |provider| provider.peer.clone())
    }

    pub(super) fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Has it count as brought by this one of its providers.
    pub(super) fn hand_over(&mut self, peer: &PeerKey) {
        if let Some(place) = self.place_of(peer) {
            self.providers.swap(0, place);
        }
    }

    /// The key of who has signed it.
    pub(super) fn signer(&self) -> Option<PeerId> {
        // The format, the kind, the key: see the envelope.
        let (_, rest) = self.listing.bytes.split_first_chunk::<2>()?;
        owner_from_key(rest.first_chunk()?)
    }
}
