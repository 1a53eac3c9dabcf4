//! Peers that are let go and are told why, and what becomes of this node where others let it go.

use super::*;
use crate::{
    event::Direction,
    exchange::{self, Other},
    farewell::Farewell,
};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const WHEREABOUTS: &str = "/ip4/198.51.100.7/tcp/4001";

pub(super) fn come(lab: &mut Lab, peer: PeerId, direction: Direction) {
    let address = WHEREABOUTS.parse().unwrap();
    lab.learn(Fact::Connected { peer, address, direction });
    lab.learn(Fact::Routable { peer });
    lab.learn(introduced(peer));
}

/// A node with so many peers, all of which have dialed it.
pub(super) fn lab_with<const N: usize>() -> (Lab, [PeerId; N]) {
    let mut lab = Lab::untouched(Config::new());
    let peers = [(); N].map(|()| someone());
    peers.iter().for_each(|peer| come(&mut lab, *peer, Direction::Inbound));
    lab.actions();
    (lab, peers)
}

/// A peer with a key.
pub(super) fn someone() -> PeerId {
    Keypair::generate_ed25519().public().to_peer_id()
}

pub(super) fn others(count: usize) -> Vec<Other> {
    let address = || "/ip4/198.51.100.9/tcp/4001".parse().unwrap();
    (0..count).map(|_| Other { peer: someone(), addresses: vec![address()] }).collect()
}

/// A connected peer says goodbye.
pub(super) fn says_goodbye(lab: &mut Lab, peer: PeerId, reason: u8, others: Vec<Other>) {
    let request = exchange::Request::Goodbye { reason, others }.encode().unwrap();
    lab.learn(Fact::Asked { asked: AskedId(lab.tickets), peer, request });
    lab.tickets += 1;
}

pub(super) fn goes(lab: &mut Lab, peer: PeerId) {
    lab.learn(Fact::Leaving { peer, addresses: vec![WHEREABOUTS.parse().unwrap()] });
    lab.learn(Fact::Disconnected { peer, reason: None });
}

pub(super) fn said_when_gone(lab: &mut Lab) -> Vec<Option<String>> {
    lab.events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Disconnected { reason, .. } => Some(reason),
            _ => None,
        })
        .collect()
}

/// What this node does about its peers, in short.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Told(PeerId, Farewell),
    Muted(PeerId),
    Ended(PeerId),
    Blocked(PeerId),
}

fn done(lab: &mut Lab) -> (Vec<Done>, Vec<QuestionId>) {
    let mut questions = Vec::new();
    let actions = lab.actions().into_iter();
    let done = actions.filter_map(|action| match action {
        Action::Goodbye { question, peer, farewell } => {
            questions.push(question);
            Some(Done::Told(peer, farewell))
        }
        Action::Mute { peer } => Some(Done::Muted(peer)),
        Action::Disconnect { peer } => Some(Done::Ended(peer)),
        Action::Block { peer } => Some(Done::Blocked(peer)),
        _ => None,
    });
    (done.collect(), questions)
}

fn noted() -> Vec<u8> {
    exchange::Response::Noted.encode().unwrap()
}

#[test]
fn a_peer_that_is_let_go_is_told_why_and_its_connection_ends_when_it_has_heard_it() {
    for farewell in [Farewell::NoRoom, Farewell::GoingAway] {
        let (mut lab, [peer]) = lab_with();
        lab.engine.let_go(peer, farewell);
        let (did, questions) = done(&mut lab);
        assert_eq!(did, [Done::Told(peer, farewell)]);
        lab.advance(SECOND / 2);
        assert_eq!(done(&mut lab).0, []);
        lab.learn(Fact::Answered { question: questions[0], response: noted() });
        assert_eq!(done(&mut lab).0, [Done::Ended(peer)]);
        goes(&mut lab, peer);
        lab.advance(SECOND);
        assert_eq!(done(&mut lab).0, []);
    }
}

#[test]
fn a_peer_that_does_not_hear_a_goodbye_is_gone_after_a_second_at_the_latest() {
    let (mut lab, [silent, without]) = lab_with();
    lab.engine.let_go(silent, Farewell::NoRoom);
    lab.engine.let_go(without, Farewell::NoRoom);
    let (_, questions) = done(&mut lab);
    // One that does not speak the protocol is not waited for.
    let why = Unanswered::Unsupported;
    lab.learn(Fact::Unanswered { question: questions[1], why });
    assert_eq!(done(&mut lab).0, [Done::Ended(without)]);
    goes(&mut lab, without);
    lab.advance(SECOND + Duration::from_millis(10));
    assert_eq!(done(&mut lab).0, [Done::Ended(silent)]);
    goes(&mut lab, silent);
    lab.learn(Fact::Answered { question: questions[0], response: noted() });
    assert_eq!(done(&mut lab).0, []);
}

#[test]
fn a_connection_has_one_goodbye_and_the_next_has_one_of_its_own() {
    let (mut lab, [peer]) = lab_with();
    lab.engine.let_go(peer, Farewell::NoRoom);
    lab.engine.let_go(peer, Farewell::GoingAway);
    let (did, old) = done(&mut lab);
    assert_eq!(did, [Done::Told(peer, Farewell::NoRoom)]);
    goes(&mut lab, peer);
    // Nobody is there to be told.
    lab.engine.let_go(peer, Farewell::GoingAway);
    come(&mut lab, peer, Direction::Inbound);
    assert_eq!(done(&mut lab).0, []);
    lab.engine.let_go(peer, Farewell::GoingAway);
    assert_eq!(done(&mut lab).0, [Done::Told(peer, Farewell::GoingAway)]);
    // What was said over the connection before is of no matter.
    lab.learn(Fact::Unanswered { question: old[0], why: Unanswered::Gone });
    assert_eq!(done(&mut lab).0, []);
}

#[test]
fn a_connection_that_comes_up_while_the_others_are_closed_is_closed_as_well() {
    let (mut lab, [peer]) = lab_with();
    lab.engine.let_go(peer, Farewell::NoRoom);
    done(&mut lab);
    for _ in 0..3 {
        lab.advance(SECOND + Duration::from_millis(10));
        assert_eq!(done(&mut lab).0, [Done::Ended(peer)]);
    }
}

#[test]
fn a_peer_that_is_let_go_is_not_asked_meanwhile() {
    let (mut lab, [peer, other]) = lab_with();
    assert_eq!(lab.engine.search_targets(10).0.len(), 2);
    lab.engine.let_go(peer, Farewell::NoRoom);
    assert_eq!(lab.engine.search_targets(10).0, [other]);
    assert_eq!(lab.engine.peers.members(), 1);
    let (_, mut waiting) = lab.ask(|reply| {
        let addresses = vec![WHEREABOUTS.parse().unwrap()];
        Command::Dial { peer, addresses, reply }
    });
    assert_eq!(waiting.try_recv(), Ok(None), "it is about to go");
    goes(&mut lab, peer);
    assert!(matches!(answer(waiting), Some(Err(Error::Transport { .. }))));
}

#[test]
fn why_a_peer_has_gone_is_said_in_words() {
    for (code, words) in [
        (1, "it has no room"),
        (2, "it is going away"),
        (3, "it has blocked this node"),
        (77, "it has said goodbye"),
    ] {
        let (mut lab, [peer]) = lab_with();
        says_goodbye(&mut lab, peer, code, vec![]);
        // The first word stands.
        says_goodbye(&mut lab, peer, 2, vec![]);
        let answered = lab.actions().into_iter().all(|action| match action {
            Action::Answer { response, .. } => response == noted(),
            _ => false,
        });
        assert!(answered, "it is noted, and nothing else is done");
        goes(&mut lab, peer);
        assert_eq!(said_when_gone(&mut lab), [Some(words.to_owned())]);
        // It holds for that connection.
        come(&mut lab, peer, Direction::Inbound);
        goes(&mut lab, peer);
        assert_eq!(said_when_gone(&mut lab), [None]);
    }
}

#[test]
fn who_is_not_connected_says_no_goodbye() {
    let (mut lab, []) = lab_with();
    for _ in 0..100 {
        says_goodbye(&mut lab, someone(), 1, others(8));
    }
    assert_eq!(lab.engine.peers.goodbye_timers(), 0);
    let peer = someone();
    says_goodbye(&mut lab, peer, 1, vec![]);
    come(&mut lab, peer, Direction::Inbound);
    goes(&mut lab, peer);
    assert_eq!(said_when_gone(&mut lab), [None]);
}

#[test]
fn a_blocked_peer_hears_that_it_is_and_is_not_listened_to_meanwhile() {
    let (mut lab, [liar]) = lab_with();
    for _ in 0..5 {
        lab.engine.standing.reputations_mut().invalid(liar);
    }
    lab.engine.judge();
    let (did, questions) = done(&mut lab);
    assert_eq!(did, [Done::Muted(liar), Done::Told(liar, Farewell::Blocked)]);
    let (_, head) = published("tool", 1);
    let verdict = lab.hears_from(liar, &head);
    assert_eq!(verdict, Verdict::Ignore);
    lab.learn(Fact::Answered { question: questions[0], response: noted() });
    assert_eq!(done(&mut lab).0, [Done::Blocked(liar)]);
    goes(&mut lab, liar);
    assert_eq!(done(&mut lab).0, []);
    // One that is let go already is blocked at the end.
    let (mut lab, [liar]) = lab_with();
    lab.engine.let_go(liar, Farewell::NoRoom);
    (0..5).for_each(|_| lab.engine.standing.reputations_mut().invalid(liar));
    lab.engine.judge();
    assert_eq!(done(&mut lab).0, [Done::Told(liar, Farewell::NoRoom), Done::Muted(liar)]);
    lab.advance(SECOND + Duration::from_millis(10));
    assert_eq!(done(&mut lab).0, [Done::Blocked(liar)]);
}

#[test]
fn a_node_that_shuts_down_takes_leave_of_everybody_and_is_gone_after_a_second() {
    let (mut lab, [one, two, foreign]) = lab_with();
    let affiliation = Affiliation::Other("other".parse().unwrap());
    lab.learn(Fact::Introduced { peer: foreign, agent: None, affiliation: affiliation.clone() });
    lab.learn(Fact::Introduced { peer: foreign, agent: Some("x".into()), affiliation });
    lab.engine.shut_down();
    let (mut did, questions) = done(&mut lab);
    did.sort_by_key(|did| match did {
        Done::Told(peer, _) => (0, peer.to_string()),
        Done::Ended(peer) | Done::Muted(peer) | Done::Blocked(peer) => (1, peer.to_string()),
    });
    let mut told = [one, two];
    told.sort_by_key(PeerId::to_string);
    let told = told.map(|peer| Done::Told(peer, Farewell::GoingAway));
    assert_eq!(did, told.into_iter().chain([Done::Ended(foreign)]).collect::<Vec<_>>());
    goes(&mut lab, foreign);
    lab.learn(Fact::Answered { question: questions[0], response: noted() });
    let [Done::Ended(first)] = done(&mut lab).0[..] else { panic!("one has heard it") };
    goes(&mut lab, first);
    lab.advance(SECOND + Duration::from_millis(10));
    let last = if first == one { two } else { one };
    assert_eq!(done(&mut lab).0, [Done::Ended(last)]);
    // Who comes up now comes too late.
    let late = someone();
    come(&mut lab, late, Direction::Inbound);
    assert_eq!(done(&mut lab).0, [Done::Ended(late)]);
}
