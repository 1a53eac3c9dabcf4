//! What every room may look at, and none may change.

use std::time::Duration;

use libp2p::{PeerId, identity::Keypair};

use super::{
    Now,
    clocks::Clocks,
    identity::{Authority, Identity},
    peer_clocks::PeerClocks,
    store::SharedStore,
};
use crate::Config;

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
    /// The monotonic time of the current poll.
    pub(in crate::engine) mono: Duration,
    /// The calendar time that the store was last told.
    pub(in crate::engine) unix: u64,
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
            mono: Duration::ZERO,
            unix: 0,
            clocks: Clocks::default(),
            peer_clocks: PeerClocks::default(),
            closed: false,
        }
    }

    /// The time of the current poll.
    pub(in crate::engine) fn now(&self) -> Now {
        Now { mono: self.mono, unix: self.unix }
    }
}
