//! The peers closest to a key.
//!
//! A bucket's peers share the first bits of their distance from this node, and so of their distance from any key. All of
//! one bucket are therefore closer to the key than all of the next, in an order that the key's own distance gives:
//! buckets of the bits that are set in it, from the highest down, and then the others, from the lowest up. So only what is
//! handed out is put in order, a bucket at a time.

use std::ops::ControlFlow;

use libp2p::PeerId;

use super::{Entry, K, NetworkSize, Table};
use crate::keyspace::{Distance, KEY_BITS, Key};

impl Table {
    /// The peers closest to a key, the closest first.
    pub(crate) fn closest(&self, target: &Key, most: usize) -> Vec<&Entry> {
        let mut found = Vec::with_capacity(most.min(self.most_seats()));
        if most > 0 {
            self.visit(target, |entry| {
                found.push(entry);
                go_on_if(found.len() < most)
            });
        }
        found
    }

    /// The peers that one is told of who asks for the closest to a key: those that can be dialed. The closest come first,
    /// but for those who do not answer: they come last, where there are not enough others.
    pub(crate) fn handed_out(&self, target: &Key, most: usize, asker: &PeerId) -> Vec<&Entry> {
        let mut found = Vec::with_capacity(most.min(self.most_seats()));
        let mut last = Vec::new();
        if most > 0 {
            self.visit(target, |entry| {
                let is_of_use = entry.standing.is_dialable() && entry.peer != *asker;
                if is_of_use && !entry.standing.is_tried_last() {
                    found.push(entry);
                } else if is_of_use && last.len() < most {
                    last.push(entry);
                }
                go_on_if(found.len() < most)
            });
        }
        last.truncate(most - found.len());
        found.append(&mut last);
        found
    }

    /// How many peers serve the network, as far as this node's own neighbourhood tells: of those at which one can store.
    /// None as long as there is nobody, or where too few of those that are known answer.
    pub(crate) fn size_estimate(&self) -> Option<NetworkSize> {
        let (mut count, mut farthest) = (0, None);
        self.visit(&self.local, |entry| {
            if entry.standing.is_dialable() && !entry.standing.is_tried_last() {
                count += 1;
                farthest = Some(self.local.distance(&entry.key));
            }
            go_on_if(count < self.k)
        });
        let farthest = farthest?;
        if count == self.k {
            Some(NetworkSize::estimated(count, &farthest))
        } else {
            (self.len() < self.k).then_some(NetworkSize::counted(count))
        }
    }

    /// Shows every peer, the closest to a key first, until the visitor has enough.
    fn visit<'a>(&'a self, target: &Key, mut see: impl FnMut(&'a Entry) -> ControlFlow<()>) {
        let own = self.local.distance(target);
        let is_set = |(depth, _): &(usize, _)| own.has_bit(KEY_BITS - 1 - depth);
        let buckets = || self.buckets.iter().enumerate();
        let set = buckets().filter(is_set);
        let clear = buckets().rev().filter(|bucket| !is_set(bucket));
        for (_, bucket) in set.chain(clear) {
            if in_order(&bucket.seated, target, &mut see).is_break() {
                return;
            }
        }
    }
}

/// Shows the peers of one bucket, the closest to a key first. No bucket has more than `K`.
fn in_order<'a>(
    entries: &'a [Entry],
    target: &Key,
    see: &mut impl FnMut(&'a Entry) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let full = |(_, at): &(u64, u8)| -> Option<Distance> {
        Some(entries.get(usize::from(*at))?.key.distance(target))
    };
    let mut order = [(0, 0); K];
    for ((at, entry), place) in (0..).zip(entries).zip(&mut order) {
        *place = (entry.key.distance(target).high(), at);
    }
    let order = order.get_mut(..entries.len()).unwrap_or_default();
    // The first 64 bits tell nearly always.
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| full(a).cmp(&full(b))));
    for (_, at) in order {
        if let Some(entry) = entries.get(usize::from(*at)) {
            see(entry)?;
        }
    }
    ControlFlow::Continue(())
}

fn go_on_if(more: bool) -> ControlFlow<()> {
    if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
