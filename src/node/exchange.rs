//! Questions between two nodes, on their way between engine and Swarm.

use std::collections::HashMap;

use libp2p::request_response::{
    Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
};

use super::Node;
use crate::engine::{AskedId, Fact, Now, QuestionId, Unanswered};

/// What is under way, by the names that the Swarm gives and by those that the engine gives.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    /// Bounded by what the engine asks at a time.
    asking: HashMap<OutboundRequestId, QuestionId>,
    /// Channels of the requests whose answer is being made up, which takes no longer than the fact that tells of them.
    answering: HashMap<AskedId, ResponseChannel<Vec<u8>>>,
    next: u64,
}

impl Exchanges {
    pub(super) fn asking(&mut self, request: OutboundRequestId, question: QuestionId) {
        self.asking.insert(request, question);
    }

    /// Where the answer to a question goes. None if it was given, or the peer has gone.
    pub(super) fn take_channel(&mut self, asked: AskedId) -> Option<ResponseChannel<Vec<u8>>> {
        self.answering.remove(&asked)
    }

    fn asked(&mut self, channel: ResponseChannel<Vec<u8>>) -> AskedId {
        let asked = AskedId(self.next);
        self.next += 1;
        self.answering.insert(asked, channel);
        asked
    }
}

impl Node {
    pub(super) fn learn_exchange(&mut self, now: Now, event: Event<Vec<u8>, Vec<u8>>) {
        let exchanges = &mut self.wiring.exchanges;
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let asked = exchanges.asked(channel);
                self.engine.learn(now, Fact::Asked { asked, peer, request });
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                if let Some(question) = exchanges.asking.remove(&request_id) {
                    self.engine.learn(now, Fact::Answered { question, response });
                }
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some(question) = exchanges.asking.remove(&request_id) {
                    let why = match error {
                        OutboundFailure::UnsupportedProtocols => Unanswered::Unsupported,
                        OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => {
                            Unanswered::Gone
                        }
                        OutboundFailure::Timeout => Unanswered::TimedOut,
                        OutboundFailure::Io(_) => Unanswered::Failed,
                    };
                    self.engine.learn(now, Fact::Unanswered { question, why });
                }
            }
            // Whoever asked and did not wait for the answer has done without it.
            Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "a peer's question was not answered");
            }
            Event::ResponseSent { .. } => {}
        }
    }
}
