//! Requests on the wire, and how long each is waited for.
//!
//! A request that takes longer than usual lets a lookup ask somebody else beside it (a hedge). When it is overdue, by the
//! peer's own round trips, nobody waits for it any more. Its answer is still of use where it comes, and tells that the
//! peer is awake. After [`GIVEN_UP`] it is taken back.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;

use super::{Task, message::RequestId};
use crate::engine::wheel;

/// How long an answer is of use. Peers of other implementations give up after ten seconds, too.
pub(super) const GIVEN_UP: Duration = Duration::from_secs(10);

/// What a request asks for, as far as patience goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something that others can tell as well.
    Question,
    /// To keep a record. A replica that is missed for a moment's sake is worse than the moment.
    Put,
}

/// How patiently an answer or a dial is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It takes as long as it may.
    Usual,
    /// It takes longer than most.
    Slow,
    /// It is not waited for any more.
    Over,
}

impl Patience {
    /// What is left of it when more time has passed; none where nobody waits any more.
    pub(super) fn less(self) -> Option<Self> {
        match self {
            Self::Usual => Some(Self::Slow),
            Self::Slow => Some(Self::Over),
            Self::Over => None,
        }
    }
}

/// A request that has no answer yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) peer: PeerId,
    pub(super) task: Task,
    pub(super) kind: Kind,
    pub(super) sent: Duration,
    pub(super) patience: Patience,
    pub(super) timer: wheel::Key,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    waiting: HashMap<RequestId, Waiting>,
}

impl Requests {
    /// A name that no request has had.
    pub(super) fn name(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }

    pub(super) fn open(&mut self, request: RequestId, waiting: Waiting) {
        self.waiting.insert(request, waiting);
    }

    pub(super) fn get_mut(&mut self, request: RequestId) -> Option<&mut Waiting> {
        self.waiting.get_mut(&request)
    }

    pub(super) fn close(&mut self, request: RequestId) -> Option<Waiting> {
        self.waiting.remove(&request)
    }
}
