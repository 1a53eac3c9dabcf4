use libp2p::PeerId;

use super::{kind::Kind, revision::Rank};
use crate::package::PackageName;

/// What has been seen of owners and their packages before, so that nothing older is believed.
///
/// It should outlive the records that it was learned from, or an old one can be played again. `()` has seen nothing.
pub trait Seen {
    /// The highest rank ever seen of an owner's head ([`Kind::Head`]) or claim ([`Kind::Claim`]), by the
    /// package's name: none below is taken.
    fn rank(&self, kind: Kind, owner: &PeerId, name: &PackageName) -> Option<Rank>;

    /// The highest epoch ever seen of an owner, in any of its heads and claims, or 0: no
    /// [delegated](super::Delegation) head or claim below is taken.
    fn epoch(&self, owner: &PeerId) -> u32;
}

impl Seen for () {
    fn rank(&self, _: Kind, _: &PeerId, _: &PackageName) -> Option<Rank> {
        None
    }

    fn epoch(&self, _: &PeerId) -> u32 {
        0
    }
}

impl<S: Seen + ?Sized> Seen for &S {
    fn rank(&self, kind: Kind, owner: &PeerId, name: &PackageName) -> Option<Rank> {
        (**self).rank(kind, owner, name)
    }

    fn epoch(&self, owner: &PeerId) -> u32 {
        (**self).epoch(owner)
    }
}
