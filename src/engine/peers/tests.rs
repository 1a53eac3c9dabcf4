//! The room alone: what callers who dial are told, whatever becomes of peers, and that nothing is left of them.

use crate::engine::wheel::Expiry;
use std::time::Duration;

use futures::channel::oneshot;
use libp2p::identity::Keypair;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    clock::Entropy,
    engine::{
        calls::Begin, command::Reply, interface::Affiliation, store::SharedStore, wheel::Wheel,
    },
    error::{Error, Result},
    ticket::Ticket,
};

const PATIENCE: Duration = Duration::from_secs(30);

struct Middle;

impl Entropy for Middle {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(128);
    }
}

struct Room {
    cx: Context,
    out: Effects,
    peers: Peering,
    tickets: u64,
}

type Answer = oneshot::Receiver<Result<()>>;

impl Room {
    fn new() -> Self {
        let (keypair, config) = (Keypair::generate_ed25519(), Config::new());
        let local = keypair.public().to_peer_id();
        let store = SharedStore::new(local, &config, 0);
        let cx = Context::new(keypair.into(), config, store);
        let out = Effects::new(Wheel::new(Duration::from_millis(1)), Box::new(Middle));
        let peers = Peering::new(local, &cx.config);
        Self { cx, out, peers, tickets: 0 }
    }

    fn dial(&mut self, peer: PeerId) -> (Ticket, Answer) {
        let (reply, answer) = Reply::channel();
        let (now, ticket) = (self.cx.now(), Ticket(self.tickets));
        self.tickets += 1;
        let begin = Begin { ticket, asked: now.mono, deadline: now.mono + PATIENCE };
        self.peers.dial(&self.cx, &mut self.out, begin, peer, Vec::new(), reply);
        (ticket, answer)
    }

    fn dialed(&mut self, ticket: Ticket, failure: Option<&str>) {
        let failure = failure.map(str::to_owned);
        self.peers.dialed(&self.cx, &mut self.out, ticket, failure);
    }

    fn connected(&mut self, peer: PeerId, direction: Direction) {
        self.peers.connected(&self.cx, &mut self.out, peer, Multiaddr::empty(), direction);
    }

    fn introduced(&mut self, peer: PeerId, affiliation: Affiliation) {
        let agent = Some("peerage".to_owned());
        self.peers.introduced(&self.cx, &mut self.out, peer, agent, affiliation);
    }

    fn disconnected(&mut self, peer: PeerId) {
        self.peers.disconnected(&mut self.out, &peer, None);
        self.peers.left(&self.cx, &mut self.out, peer);
    }

    /// Time passes, and what is due falls due.
    fn later(&mut self, pause: Duration) {
        self.cx.now.mono += pause;
        let now = self.cx.now();
        let (cx, out) = (&self.cx, &mut self.out);
        while let Expiry::Expired(deadline) = out.wheel.poll(now.mono) {
            match deadline {
                Deadline::Dial(ticket) => self.peers.dial_timed_out(cx, out, ticket),
                Deadline::Introduction(peer) => {
                    self.peers.introduction_late(cx, out, &peer);
                }
                Deadline::LetGo(peer) => self.peers.end_visit(out, *peer),
                deadline => panic!("nobody has asked for {deadline:?}"),
            }
        }
    }

    fn has_deadlines(&self) -> bool {
        !self.out.wheel.is_empty()
    }
}

#[test]
fn whose_time_is_up_is_told_how_long_it_was() {
    let mut room = Room::new();
    let (_, mut answer) = room.dial(PeerId::random());
    room.later(PATIENCE);
    let answer = answer.try_recv().unwrap();
    assert!(matches!(answer, Some(Err(Error::Timeout { after: PATIENCE }))), "{answer:?}");
    assert_eq!((room.peers.callers(), room.has_deadlines()), (0, false));
}

#[test]
fn who_has_gone_leaves_the_others_their_answer() {
    let mut room = Room::new();
    let peer = PeerId::random();
    let [(first, _gone), (second, mut answer)] = [(); 2].map(|()| room.dial(peer));
    room.connected(peer, Direction::Outbound);
    room.dialed(first, None);
    room.dialed(second, None);
    assert!(room.peers.cancel_dial(&mut room.out, first));
    assert!(!room.peers.cancel_dial(&mut room.out, first), "it is no caller any more");
    room.introduced(peer, Affiliation::Same);
    assert!(matches!(answer.try_recv().unwrap(), Some(Ok(()))));
    assert_eq!((room.peers.callers(), room.has_deadlines()), (0, false));
}

#[test]
fn a_node_that_shuts_down_tells_everybody() {
    let mut room = Room::new();
    let mut answers = [(); 3].map(|()| room.dial(PeerId::random()).1);
    room.peers.fail_dials(&mut room.out, &Error::ShuttingDown);
    for answer in &mut answers {
        assert!(matches!(answer.try_recv().unwrap(), Some(Err(Error::ShuttingDown))));
    }
    assert_eq!((room.peers.callers(), room.has_deadlines()), (0, false));
}

/// What may happen to one of a few peers, or to the caller that has waited for longest or least.
#[derive(Debug, Clone, Copy)]
enum Step {
    Dial,
    Dialed { first: bool, fails: bool },
    Cancelled { first: bool },
    Connected(Direction),
    Introduced { is_foreign: bool },
    Later { seconds: u64 },
    Gone,
}

fn step() -> impl Strategy<Value = Step> {
    let direction = prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)];
    prop_oneof![
        4 => Just(Step::Dial),
        3 => any::<(bool, bool)>().prop_map(|(first, fails)| Step::Dialed { first, fails }),
        1 => any::<bool>().prop_map(|first| Step::Cancelled { first }),
        3 => direction.prop_map(Step::Connected),
        2 => any::<bool>().prop_map(|is_foreign| Step::Introduced { is_foreign }),
        2 => (1..=20u64).prop_map(|seconds| Step::Later { seconds }),
        2 => Just(Step::Gone),
    ]
}

/// Callers who have not been answered, with the peer that each has dialed.
type Waiting = Vec<(Ticket, PeerId, Answer)>;

fn take(waiting: &mut Waiting, first: bool) -> Option<(Ticket, Answer)> {
    let place = if first { 0 } else { waiting.len().checked_sub(1)? };
    (place < waiting.len()).then(|| waiting.remove(place)).map(|(ticket, _, it)| (ticket, it))
}

fn carry_out(room: &mut Room, waiting: &mut Waiting, peer: PeerId, step: Step) {
    let at = |first: bool| if first { waiting.first() } else { waiting.last() };
    let is_here = room.peers.is_connected(&peer);
    match step {
        Step::Dial => {
            let (ticket, answer) = room.dial(peer);
            waiting.push((ticket, peer, answer));
        }
        Step::Dialed { first, fails } => {
            let Some(&(ticket, dialed, _)) = at(first) else { return };
            if fails {
                room.dialed(ticket, Some("nobody listens"));
            } else if room.peers.is_connected(&dialed) {
                room.dialed(ticket, None);
            }
        }
        Step::Later { seconds } => room.later(Duration::from_secs(seconds)),
        Step::Cancelled { first } => {
            if let Some((ticket, _gone)) = take(waiting, first) {
                assert!(room.peers.cancel_dial(&mut room.out, ticket));
            }
        }
        Step::Connected(direction) if !is_here => room.connected(peer, direction),
        Step::Introduced { is_foreign: true } if is_here => {
            room.introduced(peer, Affiliation::Other("elsewhere".parse().unwrap()));
        }
        Step::Introduced { is_foreign: false } if is_here => {
            room.introduced(peer, Affiliation::Same);
        }
        Step::Gone if is_here => room.disconnected(peer),
        Step::Connected(_) | Step::Introduced { .. } | Step::Gone => {}
    }
}

proptest! {
    #[test]
    fn every_caller_is_answered_once_and_nothing_is_left_of_it(
        steps in vec((0..3usize, step()), 1..60),
    ) {
        let mut room = Room::new();
        let peers = [(); 3].map(|()| PeerId::random());
        let mut waiting = Waiting::new();
        for (peer, step) in steps {
            carry_out(&mut room, &mut waiting, peers[peer], step);
            // Nobody is forgotten: the place of a caller goes with an answer.
            waiting.retain_mut(|(.., answer)| answer.try_recv().unwrap().is_none());
            prop_assert_eq!(room.peers.callers(), waiting.len());
            prop_assert!(room.out.wheel.len() <= room.peers.timers());
            let counted = room.out.counters.calls.dial.total();
            prop_assert_eq!(counted + waiting.len() as u64, room.tickets);
        }
        for (ticket, ..) in std::mem::take(&mut waiting) {
            room.dialed(ticket, Some("nobody listens"));
        }
        for peer in peers.into_iter().filter(|peer| room.peers.is_connected(peer)).collect::<Vec<_>>() {
            room.disconnected(peer);
        }
        prop_assert_eq!((room.peers.callers(), room.has_deadlines()), (0, false));
    }
}
