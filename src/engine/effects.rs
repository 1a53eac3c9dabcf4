//! Where the effects of every room go: the one way out.

use std::collections::VecDeque;

use super::{
    Action, FIRST_INTERNAL_TICKET, deadlines::Deadline, questions::Questions, wheel::Wheel,
};
use crate::{Entropy, Event, counters::Counters};

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
        }
    }
}
