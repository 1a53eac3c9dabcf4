use std::cmp::Ordering;

use super::{entry::ReleaseEntry, head::Head, signed::Signed};

/// Which of two heads of a package is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Selection {
    /// The left one is newer.
    Left,
    /// The right one is newer.
    Right,
    /// They say the same.
    Same,
    /// The owner has signed two different heads of one revision: together they are the proof.
    Equivocation {
        /// The one that everyone keeps, so that replicas agree.
        keep: Side,
    },
}

/// One of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

/// Selects between two heads of one package: that of the higher [rank](super::Rank), and of one rank that with the
/// lower digest. It is the same head whichever of them came first.
///
/// ```
/// # use peerage::record::*;
/// # let keypair = libp2p::identity::Keypair::generate_ed25519();
/// # let head = |sequence| Signed::sign(&keypair, Head::withdrawn(
/// #     NetworkName::default(), keypair.public().to_peer_id(), "tiny-http".parse().unwrap(),
/// #     Revision::new(0, sequence), Validity::starting(0, 60), "renamed")).unwrap();
/// let (old, new) = (head(1), head(2));
/// assert_eq!(select(&old, &new), Selection::Right);
/// assert_eq!(select(&new, &old), Selection::Left);
/// ```
#[must_use]
pub fn select(left: &Signed<Head>, right: &Signed<Head>) -> Selection {
    if left.digest() == right.digest() {
        return Selection::Same;
    }
    let is_left = match left.rank().cmp(&right.rank()) {
        Ordering::Greater => true,
        Ordering::Less => false,
        Ordering::Equal => left.digest() < right.digest(),
    };
    match (left.revision == right.revision, is_left) {
        (false, true) => Selection::Left,
        (false, false) => Selection::Right,
        (true, true) => Selection::Equivocation { keep: Side::Left },
        (true, false) => Selection::Equivocation { keep: Side::Right },
    }
}

/// The one of two heads of one package that [`select`] keeps.
pub(crate) fn kept<'a>(left: &'a Signed<Head>, right: &'a Signed<Head>) -> &'a Signed<Head> {
    match select(left, right) {
        Selection::Left | Selection::Same | Selection::Equivocation { keep: Side::Left } => left,
        Selection::Right | Selection::Equivocation { keep: Side::Right } => right,
    }
}

/// The release that is meant when no version is: the highest one, whether they are in order or not.
///
/// Releases that were yanked are only taken when there are no others, and so are pre-releases among
/// those that were not.
#[must_use]
pub fn latest(releases: &[ReleaseEntry]) -> Option<&ReleaseEntry> {
    releases.iter().max_by_key(|entry| {
        let stable = !entry.yanked && entry.version.pre.is_empty();
        (!entry.yanked, stable, &entry.version)
    })
}
