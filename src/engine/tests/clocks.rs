//! Clocks that are wrong: this node's, and those of peers.

use super::*;
use crate::{
    clock_offset::ClockOffset,
    event::{Direction, Event},
    exchange::{self, Response},
    record::{Hello, Record},
};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 3600;

/// A peer whose clock shows another time than this node's.
struct Peer {
    keypair: Keypair,
    id: PeerId,
    /// By how many seconds its clock is ahead.
    ahead: i64,
}

impl Peer {
    fn new(ahead: i64) -> Self {
        let keypair = Keypair::generate_ed25519();
        Self { id: keypair.public().to_peer_id(), keypair, ahead }
    }

    fn hello(&self) -> Vec<u8> {
        let issued = UNIX.saturating_add_signed(self.ahead);
        let hello = Hello::new(NetworkName::default(), self.id, issued);
        Signed::sign(&self.keypair, hello).unwrap().bytes().to_vec()
    }

    /// Dials the node and says what it is.
    fn visit(&self, lab: &mut Lab) {
        lab.visited_by(self.id);
        let request = exchange::Request::Hello(self.hello()).encode().unwrap();
        lab.learn(Fact::Asked { asked: AskedId(7), peer: self.id, request });
    }

    /// Answers what the node has asked it.
    fn answer(&self, lab: &mut Lab, actions: &[Action]) -> usize {
        let mut answered = 0;
        for action in actions {
            if let Action::Ask { question, peer, .. } = action
                && *peer == self.id
            {
                let response = Response::Hello(self.hello()).encode().unwrap();
                lab.learn(Fact::Answered { question: *question, response });
                answered += 1;
            }
        }
        answered
    }
}

/// A node with peers whose clocks are ahead of its own by so many seconds.
fn among(ahead: &[i64]) -> (Lab, Vec<Peer>) {
    among_with(Config::new(), ahead)
}

fn among_with(config: Config, ahead: &[i64]) -> (Lab, Vec<Peer>) {
    let mut lab = Lab::new(config);
    lab.advance(Duration::ZERO);
    let peers: Vec<Peer> = ahead.iter().map(|ahead| Peer::new(*ahead)).collect();
    for peer in &peers {
        peer.visit(&mut lab);
    }
    (lab, peers)
}

/// What has been told of clocks since the last look.
fn told(lab: &mut Lab) -> Vec<Event> {
    let events = lab.events().into_iter();
    let is_of_clocks =
        |event: &Event| matches!(event, Event::ClockDisagrees { .. } | Event::ClockAgrees { .. });
    events.filter(is_of_clocks).collect()
}

fn settle(lab: &mut Lab) -> Vec<Event> {
    lab.advance(Duration::from_secs(3));
    told(lab)
}

#[test]
fn a_clock_that_is_wrong_is_told_of_and_shown() {
    for wrong in [10 * MINUTE, -10 * MINUTE, 3 * DAY, -3 * DAY, 365 * DAY, -365 * DAY] {
        let others = [-wrong, -wrong + 1, -wrong - 1];
        for count in [1, 3] {
            let (mut lab, _) = among(&others[..count]);
            let events = settle(&mut lab);
            let [Event::ClockDisagrees { offset }] = events[..] else { panic!("{events:?}") };
            assert_eq!((offset.seconds, offset.peers as usize), (wrong, count));
            assert_eq!(lab.engine.metadata().clock, Some(offset));
            lab.advance(Duration::from_secs(3600));
            assert_eq!(told(&mut lab), [], "once");
        }
    }
}

#[test]
fn a_clock_that_is_right_is_not_told_of() {
    let (mut lab, _) = among(&[0, MINUTE / 2, -MINUTE / 2, MINUTE]);
    assert_eq!(settle(&mut lab), []);
    let offset = lab.engine.metadata().clock.unwrap();
    assert!(!offset.is_large() && offset.peers == 4, "{offset:?}");
    assert_eq!(Lab::new(Config::new()).engine.metadata().clock, None);
}

#[test]
fn one_liar_among_five_changes_nothing_even_if_it_comes_first() {
    for lie in [10 * MINUTE, -3 * DAY, 365 * DAY] {
        let (mut lab, _) = among(&[lie, 0, 1, -1, 0]);
        assert_eq!(settle(&mut lab), []);
        assert!(!lab.engine.metadata().clock.unwrap().is_large());
    }
}

/// It is no matter of whose clock is right: what peers say of the time is not what records are judged by.
#[test]
fn no_record_is_judged_by_what_peers_say_the_time_is() {
    let (mut lab, _) = among(&[10 * MINUTE, 10 * MINUTE, 10 * MINUTE]);
    let now = lab.now();
    let [fresh, early] = [0, 10 * MINUTE].map(|ahead| {
        let keypair = Keypair::generate_ed25519();
        let mut head = Head::clone(&published_by(&keypair, "tiny", 1).1);
        head.validity = Validity::starting(UNIX.saturating_add_signed(ahead), 3600);
        Signed::sign(&keypair, head).unwrap()
    });
    let topic = lab.engine.cx.config.announcements_topic.clone();
    assert_eq!(lab.engine.hear(now, &topic, fresh.bytes()), Verdict::Accept);
    assert_eq!(lab.engine.hear(now, &topic, early.bytes()), Verdict::Ignore);
    assert_eq!(
        lab.engine.discovery.own_hello(&lab.engine.cx).map(|hello| issued(&lab, &hello)),
        Some(UNIX)
    );
}

fn issued(lab: &Lab, hello: &[u8]) -> u64 {
    let network = NetworkName::default();
    Signed::verify_hello_of_any_time(&network, &lab.engine.cx.local, hello).unwrap().issued
}

#[test]
fn a_hello_says_when_it_was_sent_however_long_the_node_has_been_running() {
    let mut lab = Lab::new(Config::new());
    for later in [0, 3600, 100_000] {
        let now = Now { mono: lab.mono + Duration::from_secs(later), unix: UNIX + later };
        lab.engine.begin(now);
        let hello = lab.engine.discovery.own_hello(&lab.engine.cx).unwrap();
        assert_eq!(issued(&lab, &hello), UNIX + later);
    }
}

/// It could not find out what is wrong with it else.
#[test]
fn a_peer_whose_clock_is_wrong_is_answered_with_the_time() {
    let (mut lab, peers) = among(&[365 * DAY]);
    let answers: Vec<_> = lab
        .actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Answer { response, .. } => Response::decode(&response).ok(),
            _ => None,
        })
        .collect();
    let [Response::Hello(hello)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(issued(&lab, hello), UNIX);
    // Its catalogue holds what is refused here, and is not compared; nor is that its fault.
    assert!(lab.engine.discovery.neighbours().get(&peers[0].id).unwrap().hello().is_none());
    assert!(!lab.engine.is_blocked(&peers[0].id));
}

#[test]
fn a_node_learns_of_its_clock_from_those_that_it_dials() {
    let mut lab = Lab::new(Config::new());
    lab.advance(Duration::ZERO);
    let peer = Peer::new(10 * MINUTE);
    let address = "/ip4/198.51.100.7/tcp/4001".parse().unwrap();
    lab.learn(Fact::Connected { peer: peer.id, address, direction: Direction::Outbound });
    let actions = lab.actions();
    assert_eq!(peer.answer(&mut lab, &actions), 1);
    let events = settle(&mut lab);
    let [Event::ClockDisagrees { offset }] = events[..] else { panic!("{events:?}") };
    assert_eq!(offset.seconds, -10 * MINUTE);
}

#[test]
fn once_the_clock_has_been_set_it_is_told_that_it_is_right() {
    let (mut lab, peers) = among(&[10 * MINUTE]);
    assert_eq!(settle(&mut lab).len(), 1);
    let mut events = Vec::new();
    for sweep in 1..10 {
        lab.mono += Duration::from_secs(30);
        // Set after a minute and a half.
        let unix = UNIX + 3 + 30 * sweep + if sweep > 3 { 600 } else { 0 };
        let now = Now { mono: lab.mono, unix };
        lab.engine.begin(now);
        while lab.engine.expire(now, 64) > 0 {}
        for action in lab.actions() {
            let Action::Ask { question, .. } = action else { continue };
            let peer = &peers[0];
            let issued = UNIX + 603 + 30 * sweep;
            let hello = Hello::new(NetworkName::default(), peer.id, issued);
            let hello = Signed::sign(&peer.keypair, hello).unwrap().bytes().to_vec();
            let response = Response::Hello(hello).encode().unwrap();
            lab.engine.learn(now, Fact::Answered { question, response });
        }
        events.extend(told(&mut lab));
    }
    let [Event::ClockAgrees { offset }] = events[..] else { panic!("{events:?}") };
    assert_eq!(offset.seconds, 0);
}

#[test]
fn a_peer_that_is_not_connected_says_nothing_of_the_time() {
    let mut lab = Lab::new(Config::new());
    lab.advance(Duration::ZERO);
    let peer = Peer::new(10 * MINUTE);
    let request = exchange::Request::Hello(peer.hello()).encode().unwrap();
    lab.learn(Fact::Asked { asked: AskedId(7), peer: peer.id, request });
    assert_eq!(lab.engine.metadata().clock, None);
    peer.visit(&mut lab);
    assert!(lab.engine.metadata().clock.is_some());
    lab.learn(Fact::Disconnected { peer: peer.id, reason: None });
    assert_eq!(lab.engine.metadata().clock, None, "it has gone");
}

#[test]
fn a_receipt_names_the_clock_by_which_the_change_was_signed() {
    let (mut lab, _) = among(&[-10 * MINUTE, -10 * MINUTE]);
    let receipt = lab.publishes("tiny", "1.0.0", 0);
    assert_eq!(receipt.replicas, 0);
    let offset = receipt.clock.expect("nobody takes what it signs");
    assert_eq!(offset.to_string(), "10 min ahead of 2 peers");
    let (mut lab, _) = among(&[0, 1]);
    assert_eq!(lab.publishes("tiny", "1.0.0", 0).clock, None);
}

/// What a reader is told of a package of which a peer serves a copy with this validity.
fn looked_up(lab: &mut Lab, issued: i64, lasts: u64) -> String {
    let keypair = Keypair::generate_ed25519();
    let (id, head) = published_by(&keypair, "tiny", 1);
    let mut head = Head::clone(&head);
    head.validity = Validity::starting(UNIX.saturating_add_signed(issued), lasts);
    let head = Signed::sign(&keypair, head).unwrap();
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(lab);
    lab.learn(copy(query, &head));
    lab.end(query, 3);
    let error = answer(waiting).unwrap().unwrap_err();
    assert_eq!(error.kind(), "not_found");
    // That it was not there is remembered for a moment, whatever peers say of the time.
    lab.advance(Duration::from_millis(1900));
    let (_, again) = lab.get(&id);
    assert!(answer(again).is_some());
    lab.advance(Duration::from_millis(100));
    let (_, again) = lab.get(&id);
    assert!(answer(again).is_none());
    let query = only_lookup(lab);
    lab.learn(copy(query, &head));
    lab.end(query, 3);
    // As soon as the clock is set it is looked up anew.
    lab.set_calendar(60);
    let (_, again) = lab.get(&id);
    assert!(answer(again).is_none());
    lab.set_calendar(-60);
    lab.actions();
    error.to_string()
}

#[test]
fn what_is_not_found_for_a_wrong_clock_says_so() {
    let config = || Config::new().with_absence_ttl(Duration::from_secs(60));
    let (mut behind, _) = among_with(config(), &[10 * MINUTE, 10 * MINUTE]);
    let text = looked_up(&mut behind, 10 * MINUTE, 3600);
    let refused = "(1 copy was refused as issued in the future";
    assert!(
        text.contains(&format!("{refused}: this node's clock is 10 min behind 2 peers)")),
        "{text}"
    );

    let (mut ahead, _) = among_with(config(), &[-3 * DAY]);
    let text = looked_up(&mut ahead, -3 * DAY, 3600);
    let refused = "(1 copy was refused as expired";
    assert!(
        text.contains(&format!("{refused}: this node's clock is 3 days ahead of 1 peer)")),
        "{text}"
    );

    let (mut right, _) = among_with(config(), &[0]);
    let text = looked_up(&mut right, 10 * MINUTE, 3600);
    assert!(text.contains("in the future)") && !text.contains("clock"), "{text}");
}

#[test]
fn a_record_that_cannot_be_put_for_a_wrong_clock_says_so() {
    let (mut lab, _) = among(&[10 * MINUTE]);
    let keypair = Keypair::generate_ed25519();
    let mut head = Head::clone(&published_by(&keypair, "tiny", 1).1);
    head.validity = Validity::starting(UNIX + 600, 3600);
    let record = Box::new(Record::Head(Signed::sign(&keypair, head).unwrap()));
    let (_, refused) = lab.ask(|reply| Command::PutRecord { record, reply });
    let error = answer(refused).unwrap().unwrap_err().to_string();
    assert!(error.contains("this node's clock is 10 min behind 1 peer"), "{error}");
}

#[test]
fn the_offset_survives_being_written_down() {
    let offset: ClockOffset = serde_json::from_str(r#"{"seconds":-600,"peers":2}"#).unwrap();
    assert_eq!(serde_json::to_string(&offset).unwrap(), r#"{"seconds":-600,"peers":2}"#);
    let event = serde_json::to_value(Event::ClockDisagrees { offset }).unwrap();
    assert_eq!(event["event"], "clock_disagrees");
    assert_eq!(event["offset"]["seconds"], -600);
}
