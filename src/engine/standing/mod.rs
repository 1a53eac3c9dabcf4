//! The conduct of peers and owners, and what follows from it.

use crate::Limits;

pub(in crate::engine) mod equivocations;
pub(in crate::engine) mod gossip_budget;
pub(in crate::engine) mod reputation;

use equivocations::Equivocations;
use gossip_budget::GossipBudget;
use reputation::Reputations;

/// The room of conduct.
#[derive(Debug)]
pub(in crate::engine) struct Standing {
    pub(in crate::engine) reputations: Reputations,
    pub(in crate::engine) equivocations: Equivocations,
    pub(in crate::engine) gossip_budget: GossipBudget,
}

impl Standing {
    pub(in crate::engine) fn new(limits: &Limits) -> Self {
        Self {
            reputations: Reputations::new(limits.remembered_peers),
            equivocations: Equivocations::default(),
            gossip_budget: GossipBudget::new(limits),
        }
    }
}
