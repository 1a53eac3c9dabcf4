//! Why a package matters here, and how word of it came.

use libp2p::PeerId;

/// Why a head is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interest {
    // The order is that of their worth.
    /// It was heard of.
    Heard,
    /// The application was answered with it.
    Used,
    /// Its name is pinned to its owner.
    Pinned,
    /// This node publishes it.
    Own,
}

/// How a head came that nobody has looked up by its name.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) enum News {
    /// It was announced, and this peer has forwarded it.
    Announced(Option<PeerId>),
    /// It was fetched from this peer, which was asked what it has.
    Fetched(PeerId),
}

impl News {
    pub(in crate::engine) fn from(self) -> Option<PeerId> {
        match self {
            Self::Announced(from) => from,
            Self::Fetched(from) => Some(from),
        }
    }
}
