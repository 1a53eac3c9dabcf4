//! Who this node is, and whose packages it publishes.

use libp2p::{PeerId, identity::Keypair};

use crate::record::Delegation;

/// A node's key, and by what right it publishes with it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(super) keypair: Keypair,
    pub(super) authority: Authority,
}

/// By what right a node publishes.
#[derive(Debug, Clone)]
pub(crate) enum Authority {
    /// Its key is the owner's, which signs in this epoch or, where a higher one has been seen, in that.
    Owner { epoch: u32 },
    /// Its key is a publisher's, for as long and in that epoch as the owner's delegation says.
    Delegate(Box<Delegation>),
}

impl Identity {
    pub(crate) fn new(keypair: Keypair, authority: Authority) -> Self {
        Self { keypair, authority }
    }

    /// Whose packages the node publishes.
    pub(crate) fn owner(&self) -> PeerId {
        self.authority.owner(&self.keypair)
    }
}

/// An owner that signs with its own key.
impl From<Keypair> for Identity {
    fn from(keypair: Keypair) -> Self {
        Self::new(keypair, Authority::Owner { epoch: 0 })
    }
}

impl Authority {
    /// For whom this key publishes.
    pub(super) fn owner(&self, keypair: &Keypair) -> PeerId {
        match self {
            Self::Owner { .. } => keypair.public().to_peer_id(),
            Self::Delegate(delegation) => delegation.owner(),
        }
    }

    /// The epoch to sign in, at the least.
    pub(super) fn epoch(&self) -> u32 {
        match self {
            Self::Owner { epoch } => *epoch,
            Self::Delegate(delegation) => delegation.epoch(),
        }
    }
}
