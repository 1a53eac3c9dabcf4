//! Changes under way, each with the place for its one answer.

use std::collections::HashMap;

use crate::{
    engine::{
        calls::Since,
        publishing::{
            confirming::Confirming,
            explaining::Explaining,
            publish::{Publish, Recall, Stage, Storing},
        },
    },
    record::{Head, Signed},
    ticket::Ticket,
};

/// A change under way: how what it waits for finds it again, since when its caller waits, and how far it is. Boxed, so
/// that what the table keeps free for others costs little.
#[derive(Debug)]
pub(in crate::engine) struct Underway {
    pub(in crate::engine) ticket: Ticket,
    pub(in crate::engine) since: Since,
    pub(in crate::engine) publish: Box<Publish>,
}

/// Changes that wait, by ticket.
#[derive(Debug, Default)]
pub(in crate::engine) struct Changes(HashMap<Ticket, Underway>);

impl Changes {
    pub(in crate::engine) fn insert(&mut self, change: Underway) {
        self.0.insert(change.ticket, change);
    }

    pub(in crate::engine) fn remove(&mut self, ticket: Ticket) -> Option<Underway> {
        self.0.remove(&ticket)
    }

    pub(in crate::engine) fn len(&self) -> usize {
        self.0.len()
    }

    pub(in crate::engine) fn contains(&self, ticket: Ticket) -> bool {
        self.0.contains_key(&ticket)
    }

    /// Whether a change waits that has a deadline to end it.
    pub(in crate::engine) fn has_deadline(&self, ticket: Ticket) -> bool {
        self.0.get(&ticket).is_some_and(|waiting| waiting.since.timer.is_some())
    }

    pub(in crate::engine) fn get(&self, ticket: Ticket) -> Option<&Publish> {
        self.0.get(&ticket).map(|waiting| &*waiting.publish)
    }

    pub(in crate::engine) fn publish(&mut self, ticket: Ticket) -> Option<&mut Publish> {
        self.0.get_mut(&ticket).map(|waiting| &mut *waiting.publish)
    }

    /// The change of which a call awaits the read-backs.
    pub(in crate::engine) fn confirming(&mut self, ticket: Ticket) -> Option<&mut Confirming> {
        match &mut self.publish(ticket)?.stage {
            Stage::Confirming(confirming) => Some(confirming),
            Stage::Recalling(_) | Stage::Storing(_) | Stage::Explaining(_) | Stage::Announcing => {
                None
            }
        }
    }

    /// Which other heads than the newest peers hold of the package that a call is about to change.
    pub(in crate::engine) fn recalling(
        &mut self,
        ticket: Ticket,
    ) -> Option<&mut Vec<Signed<Head>>> {
        match &mut self.publish(ticket)?.stage {
            Stage::Recalling(Recall::Head { others }) => Some(others),
            Stage::Recalling(_)
            | Stage::Storing(_)
            | Stage::Explaining(_)
            | Stage::Confirming(_)
            | Stage::Announcing => None,
        }
    }

    /// The change that peers are storing for a call, if a caller waits for it.
    pub(in crate::engine) fn storing(&mut self, ticket: Ticket) -> Option<&mut Storing> {
        let publish = self.publish(ticket)?;
        publish.reply.as_ref()?;
        match &mut publish.stage {
            Stage::Storing(storing) => Some(storing),
            Stage::Recalling(_)
            | Stage::Explaining(_)
            | Stage::Confirming(_)
            | Stage::Announcing => None,
        }
    }

    /// The change of which peers are asked why they have not stored it.
    pub(in crate::engine) fn explaining(&mut self, ticket: Ticket) -> Option<&mut Explaining> {
        match &mut self.publish(ticket)?.stage {
            Stage::Explaining(explaining) => Some(explaining),
            Stage::Recalling(_) | Stage::Storing(_) | Stage::Confirming(_) | Stage::Announcing => {
                None
            }
        }
    }

    /// How many deadlines are set: those of callers, and for peers to say why they have refused a change.
    #[cfg(any(test, fuzzing))]
    pub(in crate::engine) fn timers(&self) -> usize {
        let explains = |waiting: &Underway| matches!(waiting.publish.stage, Stage::Explaining(_));
        let timers = |waiting: &Underway| {
            usize::from(waiting.since.timer.is_some()) + usize::from(explains(waiting))
        };
        self.0.values().map(timers).sum()
    }

    pub(in crate::engine) fn drain(&mut self) -> impl Iterator<Item = Publish> {
        self.0.drain().map(|(_, waiting)| *waiting.publish)
    }
}
