//! Calls that wait for the network, each with its deadline and the place for its one answer.

use std::collections::HashMap;

use libp2p::PeerId;

use super::read::Read;
use crate::{
    counters::{CallKind, EndedCall},
    engine::{calls::Since, command::Reply},
    error::Error,
    freshness::{Found, Freshness},
    package::PackageName,
    record::{NetworkName, RecordKey},
    ticket::Ticket,
};

/// Among so many of the calls that wait for one lookup a reader is looked for.
const MAX_LOOKED_AT: usize = 16;

/// A call that waits.
#[derive(Debug)]
pub(in crate::engine) struct Call {
    pub(in crate::engine) since: Since,
    pub(in crate::engine) operation: Operation,
}

/// What a call is doing.
#[derive(Debug)]
pub(in crate::engine) enum Operation {
    Read(Read),
    GetRecord(GetRecord),
    PutRecord { reply: Reply<u32> },
    Bootstrap { reply: Reply<usize> },
}

/// A record that is asked for by its key.
#[derive(Debug)]
pub(in crate::engine) struct GetRecord {
    pub(in crate::engine) key: RecordKey,
    pub(in crate::engine) freshness: Freshness,
    pub(in crate::engine) reply: Reply<Found>,
}

impl Operation {
    /// The record that it waits for.
    pub(super) fn awaits(&self, network: &NetworkName) -> Option<RecordKey> {
        match self {
            Self::Read(read) => Some(read.wants(network)),
            Self::GetRecord(get) => Some(get.key),
            Self::PutRecord { .. } | Self::Bootstrap { .. } => None,
        }
    }

    /// The package whose head it reads next, if it does.
    pub(super) fn subject(&self) -> Option<(PackageName, PeerId)> {
        match self {
            Self::Read(read) => read.subject(),
            Self::GetRecord(_) | Self::PutRecord { .. } | Self::Bootstrap { .. } => None,
        }
    }

    /// What its caller has asked for.
    pub(in crate::engine) fn kind(&self) -> CallKind {
        match self {
            Self::Read(read) => read.kind(),
            Self::GetRecord(_) => CallKind::GetRecord,
            Self::PutRecord { .. } => CallKind::PutRecord,
            Self::Bootstrap { .. } => CallKind::Bootstrap,
        }
    }

    /// Answers its caller with an error.
    pub(in crate::engine) fn fail(self, error: Error) -> EndedCall {
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
pub(in crate::engine) struct Calls(HashMap<Ticket, Box<Call>>);

impl Calls {
    pub(in crate::engine) fn insert(&mut self, ticket: Ticket, call: Call) {
        self.0.insert(ticket, Box::new(call));
    }

    pub(in crate::engine) fn remove(&mut self, ticket: Ticket) -> Option<Call> {
        self.0.remove(&ticket).map(|call| *call)
    }

    /// Whether a call waits that has a deadline to end it.
    pub(in crate::engine) fn has_deadline(&self, ticket: Ticket) -> bool {
        self.0.get(&ticket).is_some_and(|call| call.since.timer.is_some())
    }

    /// The package whose head these calls wait for, if one of them reads it.
    pub(super) fn subject_of(
        &self,
        waiting: impl Iterator<Item = Ticket>,
    ) -> Option<(PackageName, PeerId)> {
        let mut calls = waiting.take(MAX_LOOKED_AT).filter_map(|ticket| self.0.get(&ticket));
        calls.find_map(|call| call.operation.subject())
    }

    pub(in crate::engine) fn len(&self) -> usize {
        self.0.len()
    }

    pub(in crate::engine) fn drain(&mut self) -> impl Iterator<Item = Call> {
        self.0.drain().map(|(_, call)| *call)
    }
}
