//! Labels that keep out of each other's way.

use super::canvas::{Anchor, extent};
use crate::style::TEXT;

/// Where labels of these wishes and heights stand, so that none covers another: each as near to its wish as the others let
/// it, between `top` and `bottom`. A wish is the label's middle, and so is the answer.
pub(super) fn spread(wishes: &[(f64, f64)], top: f64, bottom: f64) -> Vec<f64> {
    /// Labels that touch, from its upper end.
    struct Cluster {
        start: f64,
        height: f64,
        /// What the start would be for each label alone, summed up.
        wished: f64,
        members: Vec<usize>,
    }
    let settle = |cluster: &mut Cluster| {
        let wished = cluster.wished / cluster.members.len() as f64;
        cluster.start = wished.min(bottom - cluster.height).max(top);
    };
    let mut order: Vec<(usize, (f64, f64))> = wishes.iter().copied().enumerate().collect();
    order.sort_by(|(_, (one, _)), (_, (other, _))| one.total_cmp(other));
    let mut clusters: Vec<Cluster> = Vec::new();
    for (member, (wish, height)) in order {
        let wished = wish - height / 2.0;
        let mut next = Cluster { start: 0.0, height, wished, members: vec![member] };
        settle(&mut next);
        while clusters.last().is_some_and(|last| last.start + last.height > next.start) {
            if let Some(mut last) = clusters.pop() {
                last.wished += next.wished - last.height * next.members.len() as f64;
                last.height += next.height;
                last.members.append(&mut next.members);
                settle(&mut last);
                next = last;
            }
        }
        clusters.push(next);
    }
    let mut places = vec![top; wishes.len()];
    for cluster in clusters {
        let mut start = cluster.start;
        for member in cluster.members {
            let height = wishes.get(member).map_or(0.0, |(_, height)| *height);
            if let Some(place) = places.get_mut(member) {
                *place = start + height / 2.0;
            }
            start += height;
        }
    }
    places
}

/// A label that stands above the plot, beside a line that goes down from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flag {
    pub(super) x: f64,
    pub(super) text: String,
    /// Row from the top, and the side that the text lies on.
    pub(super) row: usize,
    pub(super) anchor: Anchor,
}

/// Flags that are placed at most: more would have no room.
pub(super) const MOST_FLAGS: usize = 4;
/// Between a flag's line and its text.
pub(super) const FLAG_GAP: f64 = 4.0;

impl Flag {
    pub(super) fn text_x(&self) -> f64 {
        if self.anchor == Anchor::Start { self.x + FLAG_GAP } else { self.x - FLAG_GAP }
    }

    fn reaches(&self) -> (f64, f64) {
        extent(self.text_x(), self.anchor, &self.text, TEXT)
    }

    fn meets(&self, other: &Self) -> bool {
        let ((left, right), (others_left, others_right)) = (self.reaches(), other.reaches());
        let texts = self.row == other.row
            && left < others_right + FLAG_GAP
            && others_left < right + FLAG_GAP;
        // A line goes down through all rows below its own text.
        let crossed =
            |upper: &Self, (left, right): (f64, f64)| (left - 1.0..right + 1.0).contains(&upper.x);
        texts
            || (self.row <= other.row && crossed(self, other.reaches()))
            || (other.row <= self.row && crossed(other, self.reaches()))
    }
}

/// Places flags between `left` and `right` with as few rows as they need, and on the right of their lines where there is
/// room. At most [`MOST_FLAGS`] are placed.
pub(super) fn flags(wanted: &[(f64, String)], left: f64, right: f64) -> Vec<Flag> {
    let wanted = wanted.get(..MOST_FLAGS).unwrap_or(wanted);
    let sides = [Anchor::Start, Anchor::End];
    let mut best: Vec<Flag> = Vec::new();
    for rows in 1..=wanted.len() {
        let choices = rows * sides.len();
        let mut least = usize::MAX;
        for combination in 0..choices.pow(wanted.len() as u32) {
            let mut rest = combination;
            let placed: Vec<Flag> = wanted
                .iter()
                .map(|(x, text)| {
                    let choice = rest % choices;
                    rest /= choices;
                    let anchor = if choice < rows { Anchor::Start } else { Anchor::End };
                    Flag { x: *x, text: text.clone(), row: choice % rows, anchor }
                })
                .collect();
            let outside = |flag: &Flag| flag.reaches().0 < left || flag.reaches().1 > right;
            let pairs =
                |(at, flag): (usize, &Flag)| placed.iter().skip(at + 1).any(|f| flag.meets(f));
            if placed.iter().any(outside) || placed.iter().enumerate().any(pairs) {
                continue;
            }
            let cost = placed
                .iter()
                .map(|flag| flag.row + if flag.anchor == Anchor::End { 4 } else { 0 })
                .sum();
            if cost < least {
                (least, best) = (cost, placed);
            }
        }
        if !best.is_empty() {
            break;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_want_the_same_place_stand_around_it() {
        assert_eq!(spread(&[(50.0, 10.0), (50.0, 10.0)], 0.0, 100.0), [45.0, 55.0]);
        assert_eq!(spread(&[(10.0, 10.0), (90.0, 10.0)], 0.0, 100.0), [10.0, 90.0]);
        assert_eq!(
            spread(&[(99.0, 10.0), (0.0, 10.0), (98.0, 10.0)], 0.0, 100.0),
            [95.0, 5.0, 85.0]
        );
    }

    #[test]
    fn labels_never_cover_each_other() {
        let wishes = [(3.0, 14.0), (8.0, 28.0), (9.0, 14.0), (60.0, 14.0), (61.0, 14.0)];
        let mut places: Vec<(f64, f64)> = spread(&wishes, 0.0, 120.0)
            .into_iter()
            .zip(wishes)
            .map(|(place, (_, height))| (place - height / 2.0, place + height / 2.0))
            .collect();
        places.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(places.windows(2).all(|two| two[0].1 <= two[1].0 + 1e-9), "{places:?}");
        assert!(places[0].0 >= 0.0);
    }

    #[test]
    fn flags_side_by_side_share_a_row() {
        let wanted = [(10.0, "p50 3".into()), (120.0, "p95 5".into()), (250.0, "p99 7".into())];
        assert!(flags(&wanted, 0.0, 300.0).iter().all(|flag| flag.row == 0));
    }

    #[test]
    fn flags_close_together_take_rows() {
        let wanted = [(100.0, "p50 3".into()), (104.0, "p95 5".into()), (108.0, "p99 7".into())];
        let placed = flags(&wanted, 0.0, 300.0);
        assert_eq!(placed.len(), 3);
        for (at, flag) in placed.iter().enumerate() {
            assert!(!placed.iter().skip(at + 1).any(|other| flag.meets(other)), "{placed:?}");
        }
    }
}
