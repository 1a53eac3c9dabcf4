//! Questions between two nodes, on their way between engine and Swarm.

use libp2p::{
    PeerId,
    request_response::{Event, Message, OutboundFailure},
};

use super::link::Link;
use crate::engine::{AskedId, Fact, Now, QuestionId, Unanswered};

impl Link {
    /// Asks a peer something. Nobody is dialed for a question: there are others to ask.
    pub(super) fn ask(&mut self, now: Now, question: QuestionId, peer: PeerId, request: Vec<u8>) {
        let exchange = &mut self.swarm.behaviour_mut().exchange;
        if !exchange.is_connected(&peer) {
            return self.engine.learn(now, Fact::Unanswered { question, why: Unanswered::Gone });
        }
        let request = exchange.send_request(&peer, request);
        self.wiring.exchanges.asking(request, question);
    }

    pub(super) fn answer(&mut self, asked: AskedId, response: Vec<u8>) {
        if let Some(channel) = self.wiring.exchanges.take_channel(asked) {
            // Fails only for a peer that has just gone, or has given up waiting.
            let _ = self.swarm.behaviour_mut().exchange.send_response(channel, response);
        }
    }

    pub(super) fn learn_exchange(&mut self, now: Now, event: Event<Vec<u8>, Vec<u8>>) {
        let exchanges = &mut self.wiring.exchanges;
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let asked = exchanges.asked(channel);
                self.engine.learn(now, Fact::Asked { asked, peer, request });
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                if let Some(question) = exchanges.take_question(request_id) {
                    self.engine.learn(now, Fact::Answered { question, response });
                }
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some(question) = exchanges.take_question(request_id) {
                    let why = why_unanswered(&error);
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

fn why_unanswered(error: &OutboundFailure) -> Unanswered {
    match error {
        OutboundFailure::UnsupportedProtocols => Unanswered::Unsupported,
        OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => Unanswered::Gone,
        OutboundFailure::Timeout => Unanswered::TimedOut,
        OutboundFailure::Io(_) => Unanswered::Failed,
    }
}
