//! Announcements, on their way between engine and Swarm.

use libp2p::gossipsub::{self, PublishError};

use super::link::Link;
use crate::{
    engine::{Fact, Now, Published, Verdict},
    net::{Subscriptions, topic_name},
};

impl Link {
    pub(super) fn publish(&mut self, topic: &str, data: Vec<u8>) -> Published {
        let topic = topic_name(self.wiring.network(), topic);
        match self.swarm.behaviour_mut().gossipsub.publish(topic, data) {
            // A duplicate has been sent before: somebody has heard it. Where every peer's queue is full,
            // gossipsub keeps the message and offers it to them at its next heartbeats.
            Ok(_) | Err(PublishError::Duplicate | PublishError::AllQueuesFull(_)) => {
                Published::Sent
            }
            Err(PublishError::NoPeersSubscribedToTopic) => Published::Unheard,
            Err(
                error @ (PublishError::MessageTooLarge
                | PublishError::SigningError(_)
                | PublishError::TransformFailed(_)),
            ) => {
                tracing::warn!(%error, "cannot announce");
                Published::Impossible
            }
        }
    }

    pub(super) fn subscribe(&mut self, topic: &str) {
        let topic = topic_name(self.wiring.network(), topic);
        let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
        self.wiring.subscriptions().subscribe(gossipsub, &topic);
    }

    pub(super) fn unsubscribe(&mut self, topic: &str) {
        let topic = topic_name(self.wiring.network(), topic);
        let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
        self.wiring.subscriptions().unsubscribe(gossipsub, &topic);
    }

    pub(super) fn learn_gossip(&mut self, now: Now, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let verdict = match self.wiring.topic(&message.topic) {
                    Some(_) if Subscriptions::is_overflow(&message) => Verdict::Ignore,
                    Some(topic) => {
                        let from = Some(propagation_source);
                        self.engine.hear_from(now, from, &topic, &message.data)
                    }
                    None => Verdict::Ignore,
                };
                let acceptance = match verdict {
                    Verdict::Accept => gossipsub::MessageAcceptance::Accept,
                    Verdict::Ignore => gossipsub::MessageAcceptance::Ignore,
                    Verdict::Reject => gossipsub::MessageAcceptance::Reject,
                };
                // Without a verdict a message stays in gossipsub's memory for five heartbeats and goes
                // nowhere.
                self.swarm.behaviour_mut().gossipsub.report_message_validation_result(
                    &message_id,
                    &propagation_source,
                    acceptance,
                );
            }
            gossipsub::Event::Subscribed { topic, .. } => {
                if let Some(topic) = self.wiring.topic(&topic) {
                    self.engine.learn(now, Fact::Hearer { topic });
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "too slow for its announcements");
            }
            gossipsub::Event::Unsubscribed { .. }
            | gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }
}
