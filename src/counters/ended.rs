//! How a call ended, for the counters.

use crate::{
    error::Error,
    package::{Announcement, Package, Receipt, SearchResults, Source, Versions},
};

/// What a call that is counted asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Get,
    Versions,
    GetRecord,
    PutRecord,
    Register,
    Yank,
    Deprecate,
    Unregister,
    Search,
    Announce,
    Bootstrap,
    Dial,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that has ended is counted"]
pub(crate) enum CallEnd {
    Answered,
    /// Answered with what was read, from there.
    Read(Source),
    NotFound,
    TimedOut,
    Cancelled,
    Refused,
    Failed,
}

/// A call that has ended, and is to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that has ended is counted"]
pub(crate) struct EndedCall(pub(crate) CallKind, pub(crate) CallEnd);

impl CallEnd {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::NotFound { .. } | Error::NoMatch { .. } | Error::Withdrawn { .. } => {
                Self::NotFound
            }
            Error::Timeout { .. } => Self::TimedOut,
            Error::Busy { .. }
            | Error::Invalid { .. }
            | Error::TooLarge { .. }
            | Error::Conflict { .. } => Self::Refused,
            Error::Ambiguous { .. }
            | Error::NoPeers
            | Error::NoRoom { .. }
            | Error::ShuttingDown
            | Error::Storage { .. }
            | Error::OtherNetwork { .. }
            | Error::Transport { .. } => Self::Failed,
        }
    }
}

/// What a caller may be answered with.
pub(crate) trait Answer {
    /// How a call has ended that is answered with this.
    fn end(&self) -> CallEnd {
        CallEnd::Answered
    }
}

impl Answer for Package {
    fn end(&self) -> CallEnd {
        CallEnd::Read(self.source)
    }
}

impl Answer for Versions {
    fn end(&self) -> CallEnd {
        CallEnd::Read(self.source)
    }
}

impl<T: Answer> Answer for Box<T> {
    fn end(&self) -> CallEnd {
        T::end(self)
    }
}

impl<T> Answer for Vec<T> {}
impl<T> Answer for Option<T> {}
impl Answer for () {}
impl Answer for bool {}
impl Answer for u32 {}
impl Answer for usize {}
impl Answer for Announcement {}
impl Answer for Receipt {}
impl Answer for SearchResults {}
