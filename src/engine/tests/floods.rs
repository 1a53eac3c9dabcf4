//! Peers and authors who say too much.

use super::*;
use crate::record::Message;

fn connect(lab: &mut Lab) -> PeerId {
    let peer = PeerId::random();
    lab.visited_by(peer);
    peer
}

fn lab() -> Lab {
    let limits = Limits::new().with_announcements_per_second(2).with_announcement_burst(10);
    Lab::new(Config::new().with_limits(limits))
}

/// How many of an author's announcements are relayed, each by way of somebody else.
fn relayed(lab: &mut Lab, author: &Keypair, sequences: std::ops::Range<u64>) -> usize {
    let now = lab.now();
    sequences
        .filter(|&sequence| {
            let (_, head) = published_by(author, "tool", sequence);
            let from = Some(PeerId::random());
            let verdict = lab.engine.hear_from(now, from, "announcements", head.bytes());
            assert_ne!(verdict, Verdict::Reject, "nobody is at fault");
            verdict == Verdict::Accept
        })
        .count()
}

#[test]
fn an_author_who_signs_the_same_body_again_and_again_is_relayed_at_its_rate() {
    let mut lab = lab();
    let [loud, quiet] = [(); 2].map(|()| Keypair::generate_ed25519());
    assert_eq!(relayed(&mut lab, &loud, 1..100), 10);
    assert_eq!(relayed(&mut lab, &quiet, 1..2), 1);
    lab.advance(Duration::from_secs(3));
    assert_eq!(relayed(&mut lab, &loud, 100..200), 6);
}

#[test]
fn what_others_say_again_is_not_counted_as_its_authors() {
    let mut lab = lab();
    let author = Keypair::generate_ed25519();
    let (_, head) = published_by(&author, "tool", 1);
    let now = lab.now();
    for _ in 0..20 {
        let from = Some(PeerId::random());
        lab.engine.hear_from(now, from, "announcements", head.bytes());
    }
    assert_eq!(relayed(&mut lab, &author, 2..100), 9);
}

#[test]
fn a_peer_that_forwards_without_end_is_dropped_unread_and_then_loses_its_connection() {
    let mut lab = lab();
    let [loud, quiet] = [(); 2].map(|()| connect(&mut lab));
    let authors = [(); 100].map(|()| Keypair::generate_ed25519());
    lab.actions();
    let mut outcomes = Vec::new();
    for author in &authors {
        let (_, head) = published_by(author, "tool", 1);
        let verdict = lab.hears_from(loud, &head);
        let ended = lab
            .actions()
            .iter()
            .any(|action| matches!(action, Action::Disconnect { peer } if *peer == loud));
        outcomes.push((verdict == Verdict::Accept, ended));
    }
    assert!(outcomes[..20].iter().all(|&outcome| outcome == (true, false)));
    assert!(outcomes[20..80].iter().all(|&outcome| outcome == (false, false)));
    assert!(outcomes[80..].iter().all(|&outcome| outcome == (false, true)));

    let (_, head) = published("other", 1);
    let verdict = lab.hears_from(quiet, &head);
    assert_eq!(verdict, Verdict::Accept);
}

#[test]
fn messages_of_applications_are_rationed_as_announcements_are() {
    let mut lab = lab();
    lab.engine.publishing.topics().subscribe("news").unwrap();
    let author = Keypair::generate_ed25519();
    let now = lab.now();
    let heard = (0..100_u64)
        .filter(|number| {
            let peer = author.public().to_peer_id();
            let network = crate::record::NetworkName::default();
            let message = Message::new(network, peer, "news", *number, UNIX, "hello");
            let message = Signed::sign(&author, message).unwrap();
            let from = Some(PeerId::random());
            lab.engine.hear_from(now, from, "news", message.bytes()) == Verdict::Accept
        })
        .count();
    assert_eq!(heard, 10);
}
