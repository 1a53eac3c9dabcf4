//! What rooms tell each other of a call: since when it waits, and how what it waits for has ended.

use std::{sync::Arc, time::Duration};

use super::wheel;
use crate::{
    clock_offset::ClockOffset,
    engine::{context::Context, interface::Now},
    error::Error,
    package::{Digest, Source},
    record::{Record, RecordKey, Rejected},
    ticket::Ticket,
};

/// What every call begins with.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Begin {
    pub(in crate::engine) ticket: Ticket,
    pub(in crate::engine) asked: Duration,
    pub(in crate::engine) deadline: Duration,
}

/// When a call was made, and its deadline in the wheel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    pub(super) asked: Duration,
    /// None for what the node does by itself, which has no caller to disappoint.
    pub(super) timer: Option<wheel::Key>,
}

/// A record that is being read back.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct AwaitedBack {
    pub(in crate::engine) key: RecordKey,
    /// What a copy has to attest to count.
    pub(in crate::engine) attests: Digest,
}

/// Which of the peers that should hold a record have answered a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Everybody who was asked; or all of the peers closest to the key, and the others do not matter.
    All,
    /// More than have fallen silent, of those that have not left. What was put to most of them before, one of those who
    /// have answered would hold.
    Most,
    /// As many have fallen silent as have answered, or more.
    Few,
}

/// Copies of peers that were refused for their time alone, as this node's clock has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Untimely {
    future: u32,
    expired: u32,
}

impl Untimely {
    pub(crate) fn note(&mut self, rejected: &Rejected) {
        match rejected {
            Rejected::Future { .. } => self.future = self.future.saturating_add(1),
            Rejected::Expired { .. } => self.expired = self.expired.saturating_add(1),
            _ => {}
        }
    }

    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }

    /// What a person is told who looks for the record.
    pub(crate) fn explain(self, clock: Option<ClockOffset>) -> Option<String> {
        let (copies, what) = match self {
            Self { future: 0, expired: 0 } => return None,
            Self { future: 0, expired } => (expired, "expired"),
            Self { future, .. } => (future, "issued in the future"),
        };
        let copies = match copies {
            1 => "1 copy was refused as".to_owned(),
            copies => format!("{copies} copies were refused as"),
        };
        let clock =
            clock.map_or_else(String::new, |offset| format!(": this node's clock is {offset}"));
        Some(format!("{copies} {what}{clock}"))
    }
}

/// How a query ended, as the calls that wait for it hear it.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// A valid record: the first, the newest of several, of claims the union. Shared by all who wait for it.
    Found { record: Arc<Record>, source: Source },
    /// Peers answered, and none held a valid record. What they held may only have been refused for its time. Unless all were
    /// heard that should hold it, those who were not may do.
    NotFound { untimely: Untimely, heard: Heard },
    /// No peer answered at all.
    NoPeers,
    /// The DHT ended the lookup for want of time.
    TimedOut,
    /// So many peers acknowledged that they stored the record under this key.
    Stored { key: RecordKey, replicas: u32 },
    /// So many peers have served what was put under this key.
    ReadBack { key: RecordKey, confirmed: u32 },
    /// The routing table has been filled.
    Bootstrapped,
}

impl Outcome {
    /// How many peers stored the record, if it was a put.
    pub(super) fn replicas(&self) -> u32 {
        match self {
            Self::Stored { replicas, .. } => *replicas,
            Self::Found { .. }
            | Self::NotFound { .. }
            | Self::NoPeers
            | Self::TimedOut
            | Self::ReadBack { .. }
            | Self::Bootstrapped => 0,
        }
    }
}

impl Context {
    /// What a caller is told whose time is up.
    pub(super) fn timeout(&self, now: Now, since: Since) -> Error {
        Error::Timeout { after: now.mono.saturating_sub(since.asked) }
    }
}
