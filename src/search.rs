//! What a node tells of a search that asks connected peers too: each package as it is found, and a report at the end.

use futures::channel::mpsc;
use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use crate::{counters::CallEnd, error::Error, package::Package};

/// A package that was found.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) package: Package,
    /// When its head was issued, in Unix seconds.
    pub(crate) issued: u64,
}

/// What the node sends to a search.
#[derive(Debug)]
pub(crate) enum Finding {
    Hit(Box<Hit>),
    Ended(SearchReport),
    Failed(Error),
}

/// Where findings go. How many there can be is bounded by the query's limit and the number of peers that are asked.
#[derive(Debug, Clone)]
pub(crate) struct Findings(mpsc::UnboundedSender<Finding>);

impl Findings {
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<Finding>) {
        let (sender, receiver) = mpsc::unbounded();
        (Self(sender), receiver)
    }

    /// Something was found. Whether anybody still wants to know shows when the search ends.
    pub(crate) fn hit(&self, hit: Hit) {
        let _ = self.0.unbounded_send(Finding::Hit(Box::new(hit)));
    }

    /// The search has ended, and how the call has by that.
    pub(crate) fn end(self, report: SearchReport) -> CallEnd {
        let sent = self.0.unbounded_send(Finding::Ended(report));
        sent.map_or(CallEnd::Cancelled, |()| CallEnd::Answered)
    }

    pub(crate) fn fail(self, error: Error) -> CallEnd {
        let end = CallEnd::of(&error);
        self.0.unbounded_send(Finding::Failed(error)).map_or(CallEnd::Cancelled, |()| end)
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

/// How much of the network an answer covers. What is left out, and why, is always said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchReport {
    /// The peers that were asked, in the order in which they were chosen: by reputation, then the time that a message
    /// takes to them and back, then declared distance.
    pub asked: Vec<PeerId>,
    /// Those whose answer has come whole.
    pub answered: Vec<PeerId>,
    /// Those that did not want to answer: they do not search for others, or this node has asked too much of them.
    pub declined: Vec<PeerId>,
    /// Those that had not answered at the deadline, or had begun and not finished.
    pub timed_out: Vec<PeerId>,
    /// Those that went away, broke off, or said what cannot be read or does not verify.
    pub failed: Vec<PeerId>,
    /// Connected peers that were not asked, since enough others were.
    pub unasked: u32,
    /// Some peer, or this node, knows more that matches than the query's limit, or than it looks through for one query.
    pub truncated: bool,
}

impl SearchReport {
    /// Whether this is all that this node and the peers connected with it know of. Never so where nobody was asked. It
    /// still need not be all that there is: packages that none of them has heard of are not found.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.asked.is_empty()
            && self.answered.len() == self.asked.len()
            && self.unasked == 0
            && !self.truncated
    }
}
