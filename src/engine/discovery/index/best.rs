//! The best of what was found, in a total order, without sorting all of it.

use std::cmp::Ordering;

use super::{Index, Score};
use crate::package::{Query, Sort};

/// Keeps so many of the best.
pub(super) struct Best<'a> {
    index: &'a Index,
    sort: Sort,
    keep: usize,
    found: Vec<(Score, u32)>,
    /// What scores less is not among the best.
    floor: Score,
}

impl<'a> Best<'a> {
    /// Those that a query wants, and so many more.
    pub(super) fn new(index: &'a Index, query: &Query, more: usize) -> Self {
        let keep = query.offset.min(Query::MAX_OFFSET) + query.limit.min(Query::MAX_LIMIT) + more;
        Self { index, sort: query.sort, keep, found: Vec::new(), floor: Score::default() }
    }

    pub(super) fn add(&mut self, score: Score, doc: u32) {
        if self.sort == Sort::Relevance && score < self.floor {
            return;
        }
        self.found.push((score, doc));
        // As many again and some more, so that each is moved a few times only.
        if self.found.len() >= 2 * self.keep + 128 {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.keep == 0 {
            self.found.clear();
            return;
        }
        let (index, sort) = (self.index, self.sort);
        if self.found.len() > self.keep {
            self.found.select_nth_unstable_by(self.keep - 1, |a, b| compare(index, sort, a, b));
            self.found.truncate(self.keep);
            // Whatever is not deprecated comes before what is, however little it scores.
            if sort == Sort::Relevance
                && let Some((score, doc)) = self.found.last()
                && !index.is_deprecated(*doc)
            {
                self.floor = *score;
            }
        }
    }

    /// The best, best first, those passed over left out.
    pub(super) fn into_sorted(mut self, offset: usize) -> impl Iterator<Item = (Score, u32)> {
        self.cut();
        let (index, sort) = (self.index, self.sort);
        self.found.sort_unstable_by(|a, b| compare(index, sort, a, b));
        self.found.into_iter().skip(offset)
    }
}

fn compare(index: &Index, sort: Sort, a: &(Score, u32), b: &(Score, u32)) -> Ordering {
    let by_place = || match (index.doc(a.1), index.doc(b.1)) {
        (Some(a), Some(b)) => a.place().cmp(&b.place()),
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    let issued = |doc| index.doc(doc).map_or(0, |doc| doc.issued);
    let first = match sort {
        Sort::Relevance => b.0.cmp(&a.0),
        Sort::Name => Ordering::Equal,
        Sort::Updated => issued(b.1).cmp(&issued(a.1)),
    };
    let is_last = |doc| index.is_deprecated(doc);
    is_last(a.1).cmp(&is_last(b.1)).then(first).then_with(by_place)
}
