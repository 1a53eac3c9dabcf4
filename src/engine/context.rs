//! What every room may look at, and none may change.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId, identity::Keypair, multiaddr::Protocol};

use super::{
    clocks::Clocks,
    identity::{Authority, Identity},
    peer_clocks::PeerClocks,
    store::SharedStore,
};
use crate::{
    clock_offset::ClockOffset,
    config::Config,
    engine::{interface::Now, signer::Signer},
    place::named_peer,
    record::{Head, Record, Signed},
};

/// Who this node is, what it was told to be, what time it is, and what it holds. Only the switchboard sets it.
#[derive(Debug)]
pub(in crate::engine) struct Context {
    pub(in crate::engine) keypair: Keypair,
    /// By what right it publishes.
    pub(in crate::engine) authority: Authority,
    /// Who this node is.
    pub(in crate::engine) local: PeerId,
    /// Whose packages it publishes.
    pub(in crate::engine) owner: PeerId,
    pub(in crate::engine) config: Config,
    /// The records that are held here, and the highest sequences seen. It has bounds and rules of its own, and is shared
    /// with the network side.
    pub(in crate::engine) store: SharedStore,
    /// When the engine was started, on the monotonic scale.
    pub(in crate::engine) started: Duration,
    /// The time of the current poll. Every entry to the engine sets it, so that all rooms go by the same.
    pub(in crate::engine) now: Now,
    /// The calendar time that the store was last told.
    pub(in crate::engine) shown: u64,
    pub(in crate::engine) clocks: Clocks,
    /// What peers say of the time.
    pub(in crate::engine) peer_clocks: PeerClocks,
    pub(in crate::engine) closed: bool,
}

impl Context {
    pub(in crate::engine) fn new(identity: Identity, config: Config, store: SharedStore) -> Self {
        let Identity { keypair, authority } = identity;
        let (local, owner) = (keypair.public().to_peer_id(), authority.owner(&keypair));
        store.publishes_for(owner, authority.epoch());
        Self {
            keypair,
            authority,
            local,
            owner,
            config,
            store,
            started: Duration::ZERO,
            now: Now { mono: Duration::ZERO, unix: 0 },
            shown: 0,
            clocks: Clocks::default(),
            peer_clocks: PeerClocks::default(),
            closed: false,
        }
    }

    /// Whether a bootstrap address names this peer.
    pub(in crate::engine) fn is_bootstrap(&self, peer: &PeerId) -> bool {
        self.config.bootstrap.iter().any(|address| named_peer(address) == Some(*peer))
    }

    /// The time of the current poll.
    pub(in crate::engine) fn now(&self) -> Now {
        self.now
    }
}

impl Context {
    /// The address with this node's identity at its end.
    pub(in crate::engine) fn dialable(&self, address: Multiaddr) -> Multiaddr {
        match address.iter().last() {
            Some(Protocol::P2p(_)) => address,
            _ => address.with(Protocol::P2p(self.local)),
        }
    }

    pub(in crate::engine) fn signer(&self) -> Signer<'_> {
        Signer {
            keypair: &self.keypair,
            authority: &self.authority,
            network: &self.config.network,
            unix: self.now.unix,
            ttl: self.config.record_ttl.as_secs(),
            floor: self.store.epoch(&self.owner),
            clock: self.clock_at_fault(),
        }
    }

    /// How this node's clock stands to its peers', where that is bad enough to explain what a caller is told.
    pub(in crate::engine) fn clock_disagreement(&self) -> Option<ClockOffset> {
        self.peer_clocks.disagreement(self.now)
    }

    /// The same in words, for an error that may come of it.
    pub(in crate::engine) fn clock_at_fault(&self) -> Option<String> {
        self.clock_disagreement().map(|offset| format!("this node's clock is {offset}"))
    }

    /// What this node holds for others of a package is withdrawn with it, if its head says so.
    pub(in crate::engine) fn withdraw(&self, head: &Signed<Head>) {
        if head.is_withdrawn()
            && let Err(refused) = self.store.withdraw(head)
        {
            tracing::debug!(%refused, "withdrawal not stored");
        }
    }

    /// Whether a newer head of the package has been seen since this one was heard or handed over, or its publisher has
    /// been replaced: readers are not told.
    pub(in crate::engine) fn is_outdated(&self, record: &Record) -> bool {
        match record {
            Record::Head(head) => self.store.is_overtaken(head) || self.store.is_revoked(head),
            Record::Release(_) | Record::Page(_) | Record::Claims { .. } => false,
        }
    }
}
