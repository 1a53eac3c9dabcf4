//! Where the effects of every room go: the one way out.

use std::{collections::VecDeque, time::Duration};

use libp2p::PeerId;

use super::{deadlines::Deadline, questions::Questions, wheel::Wheel};
use crate::{
    clock::Entropy,
    counters::{Answer, Counters, EndedCall},
    engine::{
        calls::{Begin, Since},
        context::Context,
        deadlines::jitter,
        interface::{Action, Verdict},
        questions::Purpose,
        saving::{Durable, Saving},
        wheel,
    },
    event::Event,
    exchange::Request,
    ticket::Ticket,
};

/// Tickets from here on name what the node does by itself.
const FIRST_INTERNAL_TICKET: u64 = 1 << 63;

/// What is to be done, told and remembered for later. Rooms put in, the switchboard takes out.
pub(in crate::engine) struct Effects {
    pub(in crate::engine) actions: VecDeque<Action>,
    pub(in crate::engine) events: VecDeque<Event>,
    pub(in crate::engine) wheel: Wheel<Deadline>,
    /// What peers were asked, and whose matter each answer is.
    pub(in crate::engine) questions: Questions,
    /// What this engine counts itself. The rest is counted where it happens.
    pub(in crate::engine) counters: Counters,
    pub(in crate::engine) entropy: Box<dyn Entropy>,
    pub(in crate::engine) next_ticket: u64,
    /// Somebody has been answered by what the network told, and not been heard of yet.
    pub(in crate::engine) answered: bool,
    /// Who is answered once that is durable.
    pub(in crate::engine) saving: Saving,
}

impl Effects {
    pub(in crate::engine) fn new(wheel: Wheel<Deadline>, entropy: Box<dyn Entropy>) -> Self {
        Self {
            actions: VecDeque::new(),
            events: VecDeque::new(),
            wheel,
            questions: Questions::default(),
            counters: Counters::default(),
            entropy,
            next_ticket: FIRST_INTERNAL_TICKET,
            answered: false,
            saving: Saving::new(),
        }
    }
}

impl Effects {
    pub(super) fn since(&mut self, begin: &Begin) -> Since {
        let timer = self.wheel.insert(begin.deadline, Deadline::Call(begin.ticket));
        Since { asked: begin.asked, timer: Some(timer) }
    }

    /// Names something that the node does by itself.
    pub(super) fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    pub(super) fn introduction_over(&mut self, awaited: Option<wheel::Key>) {
        if let Some(deadline) = awaited {
            self.wheel.cancel(deadline);
        }
    }
    /// Answers a caller, once what it is told is durable.
    pub(super) fn answer<T: Answer + Send + 'static>(&mut self, durable: Durable<T>) {
        let ended = self.saving.answer(durable);
        self.count(ended);
    }

    /// A call has ended, if one has.
    pub(super) fn count(&mut self, ended: impl Into<Option<EndedCall>>) {
        self.counters.count(ended);
    }

    /// An announcement of a peer has been judged.
    pub(super) fn count_heard(&mut self, verdict: Verdict) {
        let announcements = &mut self.counters.announcements;
        *match verdict {
            Verdict::Accept => &mut announcements.accepted,
            Verdict::Ignore => &mut announcements.ignored,
            Verdict::Reject => &mut announcements.rejected,
        } += 1;
    }
    /// Asks a connected peer. What comes of it is learnt as a fact, in its time.
    pub(super) fn ask(&mut self, cx: &Context, peer: PeerId, purpose: Purpose, request: &Request) {
        let Ok(request) = request.encode() else { return };
        if purpose == Purpose::Reconciling {
            self.counters.reconciliation.bytes_out += request.len() as u64;
        }
        let question = self.questions.open(peer, cx.now().mono, purpose);
        self.actions.push_back(Action::Ask { question, peer, request });
    }

    pub(super) fn jitter(&mut self, duration: Duration) -> Duration {
        jitter(duration, &mut *self.entropy)
    }

    /// A call has been answered: its deadline goes.
    pub(in crate::engine) fn finish(&mut self, since: Since) {
        if let Some(timer) = since.timer {
            self.wheel.cancel(timer);
        }
    }
}
