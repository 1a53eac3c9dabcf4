//! Who was seen with a package.

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

/// A peer that was seen providing a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Provider {
    /// The peer.
    pub peer: PeerId,
    /// When it was last seen with the package, in Unix seconds. For whoever signed the newest head, and was not seen
    /// otherwise, that is when it was issued.
    pub seen: u64,
    /// Whether a connection with it stands.
    pub connected: bool,
}
