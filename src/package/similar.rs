use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::PackageName;

/// A name that may have been meant, or may be confused with another: its [look-alike](PackageName::folded), or one typing
/// error away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SimilarName {
    /// The name.
    pub name: PackageName,
    /// Who publishes under it, as far as is known here, sorted: at most [`MAX_OWNERS`](Self::MAX_OWNERS).
    pub owners: Vec<PeerId>,
}

impl SimilarName {
    /// The most names that are told at once.
    pub const MAX_NAMES: usize = 5;

    /// The most owners that are told of one name.
    pub const MAX_OWNERS: usize = 8;

    /// A name, and its owners in whatever order.
    pub(crate) fn new(name: PackageName, mut owners: Vec<PeerId>) -> Self {
        owners.sort_unstable();
        owners.dedup();
        owners.truncate(Self::MAX_OWNERS);
        Self { name, owners }
    }

    /// What is said by several sources: each name once, those first that come first, as many as are told at once.
    pub(crate) fn union(all: impl IntoIterator<Item = (PackageName, Vec<PeerId>)>) -> Vec<Self> {
        let mut union: Vec<(PackageName, Vec<PeerId>)> = Vec::new();
        for (name, owners) in all {
            if let Some((_, known)) = union.iter_mut().find(|(known, _)| *known == name) {
                known.extend(owners);
            } else if union.len() < Self::MAX_NAMES {
                union.push((name, owners));
            }
        }
        union.into_iter().map(|(name, owners)| Self::new(name, owners)).collect()
    }

    /// The names in words: `a`, `b` or `c`.
    pub(crate) fn or(all: &[Self]) -> String {
        let names: Vec<String> = all.iter().map(|similar| format!("`{}`", similar.name)).collect();
        match names.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [others @ .., last] => format!("{} or {last}", others.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_told_once_with_all_its_owners_and_no_more_than_five() {
        let name = |text: &str| text.parse::<PackageName>().unwrap();
        let owners: Vec<PeerId> = (0..20).map(|_| PeerId::random()).collect();
        let told = (0..9).map(|n| (name(&format!("a{}", n % 8)), vec![owners[n], owners[n + 1]]));
        let union = SimilarName::union(told);
        assert_eq!(union.len(), SimilarName::MAX_NAMES);
        assert_eq!(union[0].name, name("a0"));
        assert_eq!(union[0].owners.len(), 4);
        assert!(union[0].owners.is_sorted());
        let many = SimilarName::union([(name("a"), owners)]);
        assert_eq!(many[0].owners.len(), SimilarName::MAX_OWNERS);
        assert_eq!(SimilarName::or(&union[..1]), "`a0`");
        assert_eq!(SimilarName::or(&union[..3]), "`a0`, `a1` or `a2`");
    }
}
