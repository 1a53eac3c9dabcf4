//! What this node has asked other peers directly, and waits to hear.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;

use super::Engine;
use crate::{
    engine::interface::{QuestionId, Unanswered},
    exchange::Response,
    ticket::Ticket,
};

/// A question on its way.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) peer: PeerId,
    /// When it was asked, on the monotonic scale.
    pub(super) asked: Duration,
    pub(super) purpose: Purpose,
}

/// Whose matter the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The neighbour's, who is to say what it is.
    Greeting,
    /// The neighbour's, who is to say what time it is.
    ReadingClock,
    /// That of the connection, which is about to end.
    Goodbye,
    /// The session's that is under way.
    Reconciling,
    /// A caller's search.
    Searching(Ticket),
    /// A caller's change, which this peer has not acknowledged.
    Explaining(Ticket),
}

/// Questions by their names. Bounded: one greeting, one reading of the clock and one goodbye a connected peer, a few of
/// the one session, and one of each peer that a search or a change asks.
#[derive(Debug, Default)]
pub(super) struct Questions {
    next: u64,
    open: HashMap<QuestionId, Question>,
    /// Answers with heads, which cannot be judged yet, to questions that are open.
    held_back: Vec<(QuestionId, Vec<u8>)>,
}

impl Questions {
    /// Names a question that is on its way from now on.
    pub(super) fn open(&mut self, peer: PeerId, asked: Duration, purpose: Purpose) -> QuestionId {
        let id = QuestionId(self.next);
        self.next += 1;
        self.open.insert(id, Question { peer, asked, purpose });
        id
    }

    pub(super) fn take(&mut self, id: QuestionId) -> Option<Question> {
        self.open.remove(&id)
    }

    /// Keeps an answer for later. Gives it back if there are no heads in it.
    fn hold_back(&mut self, id: QuestionId, answer: Vec<u8>) -> Option<Vec<u8>> {
        match self.open.get(&id)?.purpose {
            Purpose::Reconciling | Purpose::Searching(_) => {
                self.held_back.push((id, answer));
                None
            }
            Purpose::Greeting
            | Purpose::ReadingClock
            | Purpose::Goodbye
            | Purpose::Explaining(_) => Some(answer),
        }
    }

    /// Whether something is to be heard from this peer.
    pub(super) fn is_asked(&self, peer: &PeerId) -> bool {
        self.open.values().any(|question| question.peer == *peer)
    }

    /// Nobody waits for these answers any longer. Should they come, they are of no use.
    pub(super) fn drop_all(&mut self, purpose: Purpose) {
        self.open.retain(|_, question| question.purpose != purpose);
        self.held_back.retain(|(id, _)| self.open.contains_key(id));
    }
}

impl Engine {
    /// A question has been answered.
    pub(super) fn question_answered(&mut self, id: QuestionId, answer: Vec<u8>) {
        let answer = match self.cx.store.awaits_sequences() {
            true => self.out.questions.hold_back(id, answer),
            false => Some(answer),
        };
        if let Some(answer) = answer {
            self.question_ended(id, Ok(answer));
        }
    }

    /// What was answered before it could be judged is judged now.
    pub(super) fn judge_answers(&mut self) {
        for (id, answer) in std::mem::take(&mut self.out.questions.held_back) {
            self.question_ended(id, Ok(answer));
        }
    }

    /// A question has been answered, or will not be.
    pub(super) fn question_ended(&mut self, id: QuestionId, answer: Result<Vec<u8>, Unanswered>) {
        let Some(question) = self.out.questions.take(id) else { return };
        if let (Purpose::Reconciling, Ok(bytes)) = (question.purpose, &answer) {
            self.out.counters.reconciliation.bytes_in += bytes.len() as u64;
        }
        let answer = answer.and_then(|bytes| {
            Response::decode(&bytes).map_err(|rejected| {
                tracing::debug!(peer = %question.peer, %rejected, "an answer that cannot be read");
                self.standing.invalid(question.peer);
                Unanswered::Failed
            })
        });
        match question.purpose {
            Purpose::Greeting | Purpose::ReadingClock => self.greeted(question, answer),
            Purpose::Goodbye => self.peers.goodbye_ended(&mut self.out, id, question.peer),
            Purpose::Reconciling => self.session_answered(question.peer, answer),
            Purpose::Explaining(ticket) => self.explained(ticket, question.peer, answer),
            Purpose::Searching(ticket) => self.search_answered(ticket, question.peer, answer),
        }
    }
}
