//! How much gossip is believed and relayed: of one author, by way of one peer, and in all.

use std::time::Duration;

use libp2p::PeerId;

use crate::{
    buckets::Buckets,
    config::{Budget, Limits},
};

/// Authors whose messages are counted. Of more, the one that has said least lately is forgotten.
pub(crate) const REMEMBERED_AUTHORS: usize = 4_096;

/// What becomes of a message before anybody has looked into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Intake {
    /// It is judged.
    Judged,
    /// Its forwarder has had its share: it is dropped, and costs nobody anything.
    Dropped,
    /// No honest peer forwards so much.
    Flood,
}

/// Budgets for gossip. What does not fit is not lost: neighbours compare their catalogues.
///
/// An honest node relays what is within the budget of all, so that no flood has it go beyond that of a forwarder who
/// is disconnected.
#[derive(Debug)]
pub(in crate::engine) struct GossipBudget {
    authors: Buckets<PeerId>,
    forwarders: Buckets<PeerId>,
    floods: Buckets<PeerId>,
    relayed: Buckets<()>,
}

impl GossipBudget {
    pub(in crate::engine) fn new(limits: &Limits) -> Self {
        let peers = limits.recent_peers();
        Self {
            authors: Budget::AUTHOR.buckets(limits, REMEMBERED_AUTHORS),
            forwarders: Budget::FORWARDER.buckets(limits, peers),
            floods: Budget::FLOOD.buckets(limits, peers),
            relayed: Budget::RELAYED.buckets(limits, 1),
        }
    }

    /// A peer has forwarded a message that is not known yet. It is counted before it is verified, which is most of its
    /// cost.
    pub(in crate::engine) fn forwarded(&mut self, now: Duration, by: PeerId) -> Intake {
        if !self.floods.take(now, by) {
            Intake::Flood
        } else if !self.forwarders.take(now, by) {
            Intake::Dropped
        } else {
            Intake::Judged
        }
    }

    /// Whether a verified message of this author is believed and relayed. An author is counted only for what it has
    /// signed and what is new here, so that nobody else can spend its budget.
    pub(in crate::engine) fn said(&mut self, now: Duration, author: PeerId, is_new: bool) -> bool {
        (!is_new || self.authors.take(now, author)) && self.relayed.take(now, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn limits() -> Limits {
        Limits::new().with_announcements_per_second(2).with_announcement_burst(10)
    }

    #[test]
    fn each_forwarder_has_a_budget_and_who_goes_far_beyond_it_floods() {
        let mut budget = GossipBudget::new(&limits());
        let [loud, quiet] = [(); 2].map(|()| PeerId::random());
        let all: Vec<_> = (0..100).map(|_| budget.forwarded(NOW, loud)).collect();
        let count = |kind| all.iter().filter(|&&intake| intake == kind).count();
        assert_eq!([Intake::Judged, Intake::Dropped, Intake::Flood].map(count), [20, 60, 20]);
        assert_eq!(budget.forwarded(NOW, quiet), Intake::Judged);
        // It is heard again, at its rate.
        let later = NOW + Duration::from_secs(1);
        let heard = (0..64).filter(|_| budget.forwarded(later, loud) == Intake::Judged).count();
        assert_eq!(heard, 8);
    }

    #[test]
    fn each_author_has_a_budget_and_all_of_them_have_one_together() {
        let mut budget = GossipBudget::new(&limits());
        let said = |budget: &mut GossipBudget, author| {
            (0..30).filter(|_| budget.said(NOW, author, true)).count()
        };
        let heard = [(); 6].map(|()| said(&mut budget, PeerId::random()));
        assert_eq!(heard, [10, 10, 10, 10, 0, 0]);
        // What others say again is nothing of an author's budget.
        let mut budget = GossipBudget::new(&limits());
        let author = PeerId::random();
        assert!((0..20).all(|_| budget.said(NOW, author, false)));
        assert_eq!(said(&mut budget, author), 10);
    }

    #[test]
    fn what_an_honest_node_relays_floods_nobody_whatever_it_is_sent() {
        let limits = limits();
        let mut relay = GossipBudget::new(&limits);
        let mut next = GossipBudget::new(&limits);
        let by = PeerId::random();
        for tenth in 0..600 {
            let now = NOW + Duration::from_millis(100) * tenth;
            for _ in 0..50 {
                let from = PeerId::random();
                if relay.forwarded(now, from) == Intake::Judged && relay.said(now, from, true) {
                    assert_ne!(next.forwarded(now, by), Intake::Flood);
                }
            }
        }
    }
}
