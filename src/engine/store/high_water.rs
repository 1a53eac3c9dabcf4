//! The newest head seen of each package.

use std::collections::{HashMap, VecDeque};

use super::PackageKey;
use crate::record::{Head, Revision};

/// Highest (epoch, sequence) seen of each package. It outlives the records, so that an old head cannot come
/// back when the newer one has expired here. Bounded: the package that entered first is forgotten first.
#[derive(Debug)]
pub(super) struct HighWater {
    marks: HashMap<PackageKey, Mark>,
    order: VecDeque<PackageKey>,
    bound: usize,
}

/// The newest head seen of a package.
#[derive(Debug, Clone, Copy)]
struct Mark {
    revision: Revision,
    withdrawn: bool,
    /// Whether it has been told that there are two of this revision.
    equivocated: bool,
}

impl HighWater {
    pub(super) fn new(bound: usize) -> Self {
        Self { marks: HashMap::new(), order: VecDeque::new(), bound }
    }

    /// The highest revision seen, unless the package has been forgotten.
    pub(super) fn revision(&self, package: &PackageKey) -> Option<Revision> {
        self.marks.get(package).map(|mark| mark.revision)
    }

    /// Whether the newest head seen is a tombstone.
    pub(super) fn is_withdrawn(&self, package: &PackageKey) -> bool {
        self.marks.get(package).is_some_and(|mark| mark.withdrawn)
    }

    /// Remembers a head that was seen.
    pub(super) fn raise(&mut self, head: &Head) {
        let key = (head.owner, head.name.clone());
        let (revision, withdrawn) = (head.revision, head.is_withdrawn());
        let mark = Mark { revision, withdrawn, equivocated: false };
        if let Some(known) = self.marks.get_mut(&key) {
            if known.revision < revision {
                *known = mark;
            }
            return;
        }
        while self.marks.len() >= self.bound {
            let Some(first) = self.order.pop_front() else { break };
            self.marks.remove(&first);
        }
        self.order.push_back(key.clone());
        self.marks.insert(key, mark);
    }

    /// Whether an equivocation at this revision is news: whoever has two heads can send them in turns.
    pub(super) fn is_news(&mut self, head: &Head) -> bool {
        match self.marks.get_mut(&(head.owner, head.name.clone())) {
            Some(mark) if mark.revision == head.revision => {
                !std::mem::replace(&mut mark.equivocated, true)
            }
            _ => true,
        }
    }
}
