//! When whoever dials a peer is answered, and what becomes of peers that belong elsewhere.

use super::*;
use crate::engine::peers::dialing::INTRODUCTION_TIME;
use crate::event::Direction;

const ADDRESS: &str = "/ip4/198.51.100.7/tcp/4001";

fn address() -> Multiaddr {
    ADDRESS.parse().unwrap()
}

/// An engine with a bootstrap address, whose dial is under way.
fn lab() -> Lab {
    let mut lab = Lab::untouched(Config::new().with_bootstrap([address()]));
    lab.actions();
    lab
}

fn dial(lab: &mut Lab, peer: PeerId) -> (Ticket, oneshot::Receiver<Result<()>>) {
    let addresses = vec![address()];
    lab.ask(|reply| Command::Dial { peer, addresses, reply })
}

fn connected(lab: &mut Lab, peer: PeerId, direction: Direction) {
    lab.learn(Fact::Connected { peer, address: address(), direction });
}

/// A caller's dial has led to a connection.
fn reached(lab: &mut Lab, peer: PeerId) -> oneshot::Receiver<Result<()>> {
    let (ticket, waiting) = dial(lab, peer);
    connected(lab, peer, Direction::Outbound);
    lab.learn(Fact::Dialed { ticket, failure: None });
    waiting
}

fn of_network(network: &str) -> Affiliation {
    Affiliation::Other(network.parse().unwrap())
}

fn says(peer: PeerId, affiliation: Affiliation) -> Fact {
    Fact::Introduced { peer, agent: Some("agent".to_owned()), affiliation }
}

fn foreign(found: Option<&str>) -> Option<Result<()>> {
    let found = found.map(|network| network.parse().unwrap());
    Some(Err(Error::OtherNetwork { address: address(), found, own: NetworkName::default() }))
}

fn refused(reason: &str) -> Option<Result<()>> {
    Some(Err(Error::Transport { reason: reason.to_owned() }))
}

/// Who is let go.
fn let_go(lab: &mut Lab) -> Vec<PeerId> {
    let actions = lab.actions().into_iter();
    let let_go = actions.filter_map(|action| match action {
        Action::Disconnect { peer } => Some(peer),
        _ => None,
    });
    let_go.collect()
}

/// Bootstrap addresses of which the application hears that they are of no use, with the reasons.
fn unreachable(lab: &mut Lab) -> Vec<String> {
    lab.events()
        .into_iter()
        .filter_map(|event| match event {
            Event::BootstrapUnreachable { address, reason } => Some(format!("{address}: {reason}")),
            _ => None,
        })
        .collect()
}

#[test]
fn whoever_dials_a_peer_is_answered_when_it_has_introduced_itself_and_can_be_asked() {
    let (mut lab, peer) = (lab(), PeerId::random());
    let mut waiting = reached(&mut lab, peer);
    assert_eq!(waiting.try_recv(), Ok(None));
    lab.learn(Fact::Routable { peer });
    assert_eq!(waiting.try_recv(), Ok(None));
    lab.learn(introduced(peer));
    assert_eq!(answer(waiting), Some(Ok(())));
    assert!(lab.engine.peers.connections().is_routable(&peer) && lab.engine.is_at_rest());
    // Whom this node knows already, it need not dial.
    assert_eq!(answer(dial(&mut lab, peer).1), Some(Ok(())));
}

#[test]
fn everybody_who_has_dialed_a_peer_is_answered_in_whatever_order_it_is_told() {
    let (mut lab, peer) = (lab(), PeerId::random());
    let (first, mut before) = dial(&mut lab, peer);
    // A connection stands that the node has not heard of yet.
    lab.learn(Fact::Dialed { ticket: first, failure: None });
    connected(&mut lab, peer, Direction::Inbound);
    lab.actions();
    let (_, mut after) = dial(&mut lab, peer);
    assert!(lab.actions().is_empty(), "it is connected");
    assert_eq!((before.try_recv(), after.try_recv()), (Ok(None), Ok(None)));
    lab.learn(introduced(peer));
    assert_eq!((answer(before), answer(after)), (Some(Ok(())), Some(Ok(()))));
}

#[test]
fn a_peer_of_another_network_is_named_to_whoever_dials_it_and_let_go() {
    for (affiliation, found) in [(of_network("other"), Some("other")), (Affiliation::Unknown, None)]
    {
        let (mut lab, peer) = (lab(), PeerId::random());
        let waiting = reached(&mut lab, peer);
        lab.actions();
        lab.learn(says(peer, affiliation));
        assert_eq!(answer(waiting), foreign(found));
        assert_eq!(let_go(&mut lab), [peer]);
        // Until it has gone, it is what it is.
        assert_eq!(answer(dial(&mut lab, peer).1), foreign(found));
        lab.learn(Fact::Disconnected { peer, reason: None });
        assert!(lab.engine.is_at_rest());
        let (_, mut waiting) = dial(&mut lab, peer);
        assert_eq!(waiting.try_recv(), Ok(None), "it may have changed");
    }
}

#[test]
fn a_bootstrap_peer_of_another_network_is_reported_let_go_and_tried_again_later() {
    for (affiliation, says_what) in [
        (of_network("other"), "a peer of the network `other`"),
        (Affiliation::Unknown, "a peer of no peerage network"),
    ] {
        let (mut lab, peer) = (lab(), PeerId::random());
        connected(&mut lab, peer, Direction::Outbound);
        lab.learn(Fact::BootstrapDialed { address: address(), end: Ok(peer) });
        assert_eq!(unreachable(&mut lab), Vec::<String>::new());
        lab.learn(says(peer, affiliation));
        assert_eq!(unreachable(&mut lab), [format!("{ADDRESS}: {says_what}")]);
        assert_eq!(let_go(&mut lab), [peer]);
        // Asked while it is still there, it is no other.
        lab.learn(Fact::BootstrapDialed { address: address(), end: Ok(peer) });
        assert_eq!(unreachable(&mut lab), [format!("{ADDRESS}: {says_what}")]);
        lab.learn(Fact::Disconnected { peer, reason: None });
        let reasons = lab.events();
        let reason = Some(says_what.to_owned());
        assert_eq!(reasons, [Event::Disconnected { peer, reason }]);
        let mut dialed = 0;
        for _ in 0..60 {
            lab.advance(Duration::from_secs(1));
            dialed += lab
                .actions()
                .iter()
                .filter(|action| matches!(action, Action::DialBootstrap { .. }))
                .count();
        }
        assert_eq!(dialed, 1, "it is being dialed again, and has not answered yet");
    }
}

#[test]
fn a_visitor_from_another_network_is_let_go_and_one_that_names_none_may_stay() {
    for (affiliation, stays) in [(of_network("other"), false), (Affiliation::Unknown, true)] {
        let (mut lab, peer) = (lab(), PeerId::random());
        connected(&mut lab, peer, Direction::Inbound);
        lab.actions();
        lab.learn(says(peer, affiliation));
        // It may not have been told yet where it is: it is left the time to find out and go by itself.
        assert_eq!(let_go(&mut lab), []);
        lab.advance(INTRODUCTION_TIME + Duration::from_secs(1));
        assert_eq!(let_go(&mut lab).is_empty(), stays);
    }
}

#[test]
fn a_peer_that_does_not_introduce_itself_is_no_answer_and_is_not_waited_for_longer_than_others() {
    let (mut lab, peer) = (lab(), PeerId::random());
    let mut waiting = reached(&mut lab, peer);
    lab.advance(INTRODUCTION_TIME - Duration::from_secs(1));
    assert_eq!(waiting.try_recv(), Ok(None));
    lab.advance(Duration::from_secs(2));
    let late = refused("the peer does not introduce itself");
    assert_eq!(answer(waiting), late);
    assert_eq!(answer(dial(&mut lab, peer).1), late);
    lab.learn(introduced(peer));
    assert_eq!(answer(dial(&mut lab, peer).1), Some(Ok(())));
}

#[test]
fn a_peer_that_cannot_say_it_again_is_still_what_it_has_said() {
    let (mut lab, peer) = (lab(), PeerId::random());
    let _waiting = reached(&mut lab, peer);
    lab.learn(introduced(peer));
    lab.actions();
    lab.learn(Fact::Introduced { peer, agent: None, affiliation: Affiliation::Unknown });
    assert_eq!(answer(dial(&mut lab, peer).1), Some(Ok(())));
    assert_eq!(let_go(&mut lab), []);
}

#[test]
fn a_peer_that_leaves_before_it_has_introduced_itself_has_answered_nobody() {
    for (reason, told) in [(Some("reset"), "reset"), (None, "the peer has closed the connection")] {
        let (mut lab, peer) = (lab(), PeerId::random());
        let waiting = reached(&mut lab, peer);
        lab.learn(Fact::Disconnected { peer, reason: reason.map(str::to_owned) });
        assert_eq!(answer(waiting), refused(told));
        assert!(lab.engine.is_at_rest());
    }
}

#[test]
fn a_caller_who_gives_up_or_runs_out_of_time_is_not_kept() {
    let (mut lab, peer) = (lab(), PeerId::random());
    let (ticket, waiting) = dial(&mut lab, peer);
    connected(&mut lab, peer, Direction::Outbound);
    lab.learn(Fact::Dialed { ticket, failure: None });
    drop(waiting);
    lab.engine.cancel(ticket);
    assert!(lab.engine.is_at_rest());

    let (reply, waiting) = Reply::channel();
    let command = Command::Dial { peer, addresses: vec![address()], reply };
    let deadline = lab.mono + Duration::from_secs(1);
    let request = Request { ticket: Ticket(99), asked: lab.mono, deadline, command };
    lab.engine.command(lab.now(), request);
    lab.advance(Duration::from_secs(2));
    assert!(matches!(answer(waiting), Some(Err(Error::Timeout { .. }))));
    assert!(lab.engine.is_at_rest());
    lab.learn(introduced(peer));
}
