//! How places are shared out among those who want them, where anybody may want any number.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Where all places are taken: which of them this sender may have instead of who has it. Of those that have the most, the
/// one that is the oldest. None if nobody has more than this sender would have then.
pub(crate) fn place_for<T>(
    by: IpAddr,
    places: impl Iterator<Item = (IpAddr, Duration, T)> + Clone,
) -> Option<T> {
    let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for (by, ..) in places.clone() {
        *counts.entry(by).or_default() += 1;
    }
    let most = counts.values().max().copied()?;
    if counts.get(&by).is_some_and(|own| *own >= most) {
        return None;
    }
    let of_loudest = places.filter(|(by, ..)| counts.get(by) == Some(&most));
    let (_, _, place) = of_loudest.min_by_key(|(_, since, _)| *since)?;
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_most_gives_the_oldest_and_takes_no_more() {
        let [loud, quiet, new] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        let at = Duration::from_secs;
        let places =
            [(loud, at(5), 'a'), (quiet, at(1), 'b'), (loud, at(3), 'c'), (loud, at(4), 'd')];
        for by in [quiet, new] {
            assert_eq!(place_for(by, places.into_iter()), Some('c'));
        }
        assert_eq!(place_for(loud, places.into_iter()), None);
        assert_eq!(place_for(new, places[..2].iter().copied()), Some('b'), "of equals, the oldest");
        assert_eq!(place_for(new, std::iter::empty::<(IpAddr, Duration, char)>()), None);
    }
}
