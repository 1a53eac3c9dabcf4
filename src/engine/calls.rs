//! Calls that wait for the network, each with its deadline and the place for its one answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use libp2p::PeerId;

use super::{queries::Untimely, read::Read, wheel};
use crate::{
    Error, Found, Freshness, PackageName, Source,
    command::Reply,
    counters::{CallKind, EndedCall},
    record::{Record, RecordKey},
    ticket::Ticket,
};

/// A call that waits.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) since: Since,
    pub(super) operation: Operation,
}

/// When a call was made, and its deadline in the wheel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    pub(super) asked: Duration,
    /// None for what the node does by itself, which has no caller to disappoint.
    pub(super) timer: Option<wheel::Key>,
}

/// What a call is doing.
#[derive(Debug)]
pub(super) enum Operation {
    Read(Read),
    GetRecord(GetRecord),
    PutRecord { reply: Reply<u32> },
    Bootstrap { reply: Reply<usize> },
}

/// A record that is asked for by its key.
#[derive(Debug)]
pub(super) struct GetRecord {
    pub(super) key: RecordKey,
    pub(super) freshness: Freshness,
    pub(super) reply: Reply<Found>,
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

impl Operation {
    /// What its caller has asked for.
    pub(super) fn kind(&self) -> CallKind {
        match self {
            Self::Read(read) => read.kind(),
            Self::GetRecord(_) => CallKind::GetRecord,
            Self::PutRecord { .. } => CallKind::PutRecord,
            Self::Bootstrap { .. } => CallKind::Bootstrap,
        }
    }

    /// Answers its caller with an error.
    pub(super) fn fail(self, error: Error) -> EndedCall {
        let kind = self.kind();
        let end = match self {
            Self::Read(read) => return read.fail(error),
            Self::GetRecord(get) => get.reply.send(Err(error)),
            Self::PutRecord { reply } => reply.send(Err(error)),
            Self::Bootstrap { reply } => reply.send(Err(error)),
        };
        EndedCall(kind, end)
    }
}

/// Waiting calls by ticket. Boxed, so that what the table keeps free for others costs little.
#[derive(Debug, Default)]
pub(super) struct Calls(HashMap<Ticket, Box<Call>>);

impl Calls {
    pub(super) fn insert(&mut self, ticket: Ticket, call: Call) {
        self.0.insert(ticket, Box::new(call));
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Call> {
        self.0.remove(&ticket).map(|call| *call)
    }

    /// Whether a call waits that has a deadline to end it.
    pub(super) fn has_deadline(&self, ticket: Ticket) -> bool {
        self.0.get(&ticket).is_some_and(|call| call.since.timer.is_some())
    }

    /// The package whose head a call reads, if it waits for one.
    pub(super) fn reads_head(&self, ticket: Ticket) -> Option<(PackageName, PeerId)> {
        match &self.0.get(&ticket)?.operation {
            Operation::Read(read) => read.subject(),
            _ => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Call> {
        self.0.drain().map(|(_, call)| *call)
    }
}
