//! What connected peers ask the node directly, and what they answer when it asks them.

use super::{world::heads_of, *};
use crate::{
    coverage::Coverage,
    engine::reconcile::{self, Item, Items},
    exchange::{MAX_EXPLAINED, Other, Request, Response, Search},
    record::Hello,
};

/// A question of the node that nobody has answered yet.
#[derive(Debug)]
pub(super) struct Question {
    id: QuestionId,
    peer: PeerId,
    request: Vec<u8>,
}

impl Chaos {
    /// The node asks: one waits for the answer, or none comes.
    pub(super) fn heard_question(&mut self, id: QuestionId, peer: PeerId, request: Vec<u8>) {
        if self.dice.roll(8) > 0 {
            self.questions.push(Question { id, peer, request });
        }
    }

    /// One of those who were asked answers, or will not.
    pub(super) fn end_question(&mut self) {
        if self.questions.is_empty() {
            return;
        }
        let chosen = self.dice.roll(self.questions.len());
        let Question { id: question, peer, request } = self.questions.swap_remove(chosen);
        let why = match self.dice.roll(16) {
            0 => Unanswered::Unsupported,
            1 => Unanswered::Gone,
            2 => Unanswered::TimedOut,
            3 => Unanswered::Failed,
            _ => {
                let response = self.response(peer, &request);
                return self.lab.learn(Fact::Answered { question, response });
            }
        };
        self.lab.learn(Fact::Unanswered { question, why });
    }

    fn response(&mut self, peer: PeerId, request: &[u8]) -> Vec<u8> {
        let request = Request::decode(request).expect("the node asks what can be read");
        let response = match (self.dice.roll(12), request) {
            (0, _) => return vec![1, 2, 3],
            (1, _) => Response::Declined { retry_after_secs: self.dice.roll(120) as u32 },
            (2, _) => Response::Heads { heads: self.some_heads() },
            (_, Request::Hello(_)) => match self.hello(peer) {
                Some(hello) => Response::Hello(hello),
                None => Response::Noted,
            },
            (_, Request::Compare { message, .. }) => {
                let part = self.dice.roll(4);
                let items =
                    heads_of(part).map(|head| Item::new(head.validity.issued, head.digest()));
                let message = reconcile::answer(&items.collect::<Items>(), &message);
                let answered = message.expect("the node compares what can be read");
                Response::Compared { message: answered.message }
            }
            (_, Request::Fetch { digests }) => {
                let wanted = heads_of(0).filter(|head| digests.contains(&head.digest()));
                Response::Heads { heads: wanted.map(|head| head.bytes().to_vec()).collect() }
            }
            (_, Request::Offer { .. } | Request::Goodbye { .. }) => Response::Noted,
            (_, Request::Search(_)) => {
                let heads = self.some_heads();
                Response::Hits { total: heads.len() as u64, heads, more: self.dice.roll(3) == 0 }
            }
            (_, Request::Explain { keys }) => {
                let codes = keys.iter().map(|_| self.dice.roll(14) as u8).collect();
                Response::Refusals { codes }
            }
        };
        response.encode().expect("within its bounds")
    }

    /// Heads old and new, of which one may be broken.
    fn some_heads(&mut self) -> Vec<Vec<u8>> {
        let all: Vec<_> = heads_of(0).collect();
        let mut heads: Vec<_> = (0..self.dice.roll(4))
            .map(|_| all[self.dice.roll(all.len())].bytes().to_vec())
            .collect();
        if let Some(head) = heads.first_mut()
            && self.dice.roll(16) == 0
        {
            head[40] ^= 1;
        }
        heads
    }

    /// What one of those says who have a key to sign with.
    fn hello(&mut self, peer: PeerId) -> Option<Vec<u8>> {
        let keypair = HOLDINGS
            .iter()
            .map(|holding| &holding.keypair)
            .find(|keypair| keypair.public().to_peer_id() == peer)?;
        let mut hello = Hello::new(crate::record::NetworkName::default(), peer, UNIX);
        hello.packages = self.dice.roll(40) as u64;
        hello.features = self.dice.roll(4) as u64;
        if self.dice.roll(4) == 0 {
            hello.coverage = Coverage::None;
        }
        Some(Signed::sign(keypair, hello).unwrap().bytes().to_vec())
    }

    /// A peer that another tells of. One may be told twice.
    fn other(&mut self) -> Other {
        let keypair = Keypair::generate_ed25519();
        let peer = keypair.public().to_peer_id();
        Other { peer, addresses: vec!["/memory/7".parse().unwrap()] }
    }

    /// A peer asks.
    pub(super) fn ask_node(&mut self) {
        let Some(peer) = self.dice.pick(&self.peers.clone()) else { return };
        let request = match self.dice.roll(8) {
            0 => self.hello(peer).map(Request::Hello),
            1 => {
                let (slice, part) = (Coverage::All, self.dice.roll(4));
                let items: Items = heads_of(part)
                    .map(|head| Item::new(head.validity.issued, head.digest()))
                    .collect();
                let (_, message) = reconcile::Session::open(items.into(), 40, 7);
                Some(Request::Compare { slice, message })
            }
            2 | 3 => {
                let part = self.dice.roll(4);
                let digests = heads_of(part).map(|head| head.digest()).collect();
                Some(match self.dice.roll(2) {
                    0 => Request::Fetch { digests },
                    _ => Request::Offer { digests },
                })
            }
            4 => Some(Request::Search(Search::default())),
            5 => {
                let keys: BTreeSet<_> = heads_of(0).map(|head| head.key()).collect();
                Some(Request::Explain { keys: keys.into_iter().take(MAX_EXPLAINED).collect() })
            }
            6 => {
                let others = (0..self.dice.roll(4)).map(|_| self.other()).collect();
                Some(Request::Goodbye { reason: self.dice.roll(5) as u8, others })
            }
            _ => None,
        };
        let request = request.map_or(vec![1, 9], |request| request.encode().expect("in bounds"));
        self.asked += 1;
        self.lab.learn(Fact::Asked { asked: AskedId(self.asked), peer, request });
    }
}
