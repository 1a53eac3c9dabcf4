//! Calls that wait for the network, each with its deadline and the place for its one answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use libp2p::PeerId;

use super::{
    confirming::Confirming,
    explaining::Explaining,
    outbox::Outbox,
    publish::{Publish, Recall, Stage, Storing},
    queries::Untimely,
    read::Read,
    wheel,
};
use crate::{
    Error, Found, Freshness, PackageName, Source,
    command::{Reply, Ticket},
    counters::{CallKind, EndedCall},
    record::{Head, Record, RecordKey, Signed},
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
    Publish(Box<Publish>),
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
    /// What its caller has asked for, if one waits.
    pub(super) fn kind(&self) -> Option<CallKind> {
        match self {
            Self::Read(read) => Some(read.kind()),
            Self::Publish(publish) => publish.reply.as_ref().and(publish.change.kind()),
            Self::GetRecord(_) => Some(CallKind::GetRecord),
            Self::PutRecord { .. } => Some(CallKind::PutRecord),
            Self::Bootstrap { .. } => Some(CallKind::Bootstrap),
        }
    }

    /// Answers its caller, if one waits, with an error.
    pub(super) fn fail(self, error: Error) -> Option<EndedCall> {
        let kind = self.kind()?;
        let end = match self {
            Self::Read(read) => return Some(read.fail(error)),
            Self::Publish(mut publish) => return publish.answer(Err(error)),
            Self::GetRecord(get) => get.reply.send(Err(error)),
            Self::PutRecord { reply } => reply.send(Err(error)),
            Self::Bootstrap { reply } => reply.send(Err(error)),
        };
        Some(EndedCall(kind, end))
    }
}

impl Publish {
    /// Answers the caller, if one waits, with what has been achieved, if the change is signed. What is still under
    /// way goes on without a caller.
    pub(super) fn answer_early(&mut self, outbox: &Outbox) -> Option<EndedCall> {
        let Stage::Storing(storing) = &self.stage else { return None };
        let receipt = storing.receipt(self.announcement(outbox), self.confirmation);
        self.answer(Ok(receipt))
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

    /// The change that a call publishes.
    pub(super) fn publish(&mut self, ticket: Ticket) -> Option<&mut Publish> {
        match &mut self.0.get_mut(&ticket)?.operation {
            Operation::Publish(publish) => Some(publish),
            _ => None,
        }
    }

    /// The change of which a call awaits the read-backs.
    pub(super) fn confirming(&mut self, ticket: Ticket) -> Option<&mut Confirming> {
        match &mut self.0.get_mut(&ticket)?.operation {
            Operation::Publish(publish) => match &mut publish.stage {
                Stage::Confirming(confirming) => Some(confirming),
                Stage::Recalling(_)
                | Stage::Storing(_)
                | Stage::Explaining(_)
                | Stage::Announcing => None,
            },
            _ => None,
        }
    }

    /// Which other heads than the newest peers hold of the package that a call is about to change.
    pub(super) fn recalling(&mut self, ticket: Ticket) -> Option<&mut Vec<Signed<Head>>> {
        match &mut self.0.get_mut(&ticket)?.operation {
            Operation::Publish(publish) => match &mut publish.stage {
                Stage::Recalling(Recall::Head { others }) => Some(others),
                Stage::Recalling(_)
                | Stage::Storing(_)
                | Stage::Explaining(_)
                | Stage::Confirming(_)
                | Stage::Announcing => None,
            },
            _ => None,
        }
    }

    /// The change that peers are storing for a call, if a caller waits for it.
    pub(super) fn storing(&mut self, ticket: Ticket) -> Option<&mut Storing> {
        match &mut self.0.get_mut(&ticket)?.operation {
            Operation::Publish(publish) if publish.reply.is_some() => match &mut publish.stage {
                Stage::Storing(storing) => Some(storing),
                Stage::Recalling(_)
                | Stage::Explaining(_)
                | Stage::Confirming(_)
                | Stage::Announcing => None,
            },
            _ => None,
        }
    }

    /// The change of which peers are asked why they have not stored it.
    pub(super) fn explaining(&mut self, ticket: Ticket) -> Option<&mut Explaining> {
        match &mut self.0.get_mut(&ticket)?.operation {
            Operation::Publish(publish) => match &mut publish.stage {
                Stage::Explaining(explaining) => Some(explaining),
                Stage::Recalling(_)
                | Stage::Storing(_)
                | Stage::Confirming(_)
                | Stage::Announcing => None,
            },
            _ => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many changes wait to be told why peers have refused them.
    #[cfg(any(test, fuzzing))]
    pub(super) fn explained(&self) -> usize {
        let explained = self.0.values().filter(|call| match &call.operation {
            Operation::Publish(publish) => matches!(publish.stage, Stage::Explaining(_)),
            _ => false,
        });
        explained.count()
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Call> {
        self.0.drain().map(|(_, call)| *call)
    }
}
