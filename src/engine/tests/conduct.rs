//! What follows from the conduct of peers: who is asked first, who is told to go, and what praise is worth.

use super::*;
use crate::{
    config::Limits, engine::interface::QueryEnd, freshness::Freshness, reputation::Reputation,
};

fn copy_of(query: QueryKey, bytes: &[u8], from: PeerId) -> Fact {
    Fact::Copy { query, from: Some(from), bytes: bytes.to_vec() }
}

/// A lookup that this peer answers with garbage, so many times over.
fn lie(lab: &mut Lab, peer: PeerId, times: usize) {
    let (id, _) = published("tool", 1);
    let (_, _waiting) = lab.get(&id);
    let query = only_lookup(lab);
    for _ in 0..times {
        lab.learn(copy_of(query, b"\x01garbage", peer));
    }
    lab.learn(Fact::QueryEnded { query, end: QueryEnd::answered_by(1) });
}

/// A lookup of somebody's package that this peer answers.
fn serve(lab: &mut Lab, id: &PackageId, head: &Signed<Head>, peer: PeerId) {
    let (_, _waiting) = lab.get_as(id, Freshness::All);
    let query = only_lookup(lab);
    lab.learn(copy_of(query, head.bytes(), peer));
    lab.end(query, 1);
    lab.actions();
}

fn connect(lab: &mut Lab, peer: PeerId) {
    lab.visited_by(peer);
    lab.learn(introduced(peer));
}

/// What is done about peers: `+` allowed again, `-` refused.
fn blocks(lab: &mut Lab) -> Vec<(char, PeerId)> {
    lab.actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Block { peer } => Some(('-', peer)),
            Action::Unblock { peer } => Some(('+', peer)),
            _ => None,
        })
        .collect()
}

fn blocked_events(lab: &mut Lab) -> Vec<(PeerId, u8)> {
    lab.events()
        .into_iter()
        .filter_map(|event| match event {
            Event::PeerBlocked { peer, score } => Some((peer, score)),
            _ => None,
        })
        .collect()
}

#[test]
fn who_keeps_serving_garbage_is_told_to_go_and_comes_back_after_an_hour() {
    let mut lab = Lab::new(Config::new());
    let liar = PeerId::random();
    lie(&mut lab, liar, 4);
    assert_eq!(blocks(&mut lab), [], "four may be an accident");
    lie(&mut lab, liar, 1);
    assert_eq!(blocks(&mut lab), [('-', liar)]);
    let [(peer, score)] = blocked_events(&mut lab)[..] else { panic!("one event") };
    assert_eq!(peer, liar);
    assert!(score < Reputation::FLOOR, "{score}");

    lab.advance(Reputation::BLOCK_TIME - Duration::from_millis(1));
    assert_eq!(blocks(&mut lab), []);
    lab.advance(Duration::from_millis(11));
    assert_eq!(blocks(&mut lab), [('+', liar)]);
    // It is not forgotten.
    lie(&mut lab, liar, 1);
    assert_eq!(blocks(&mut lab), [('-', liar)]);
}

#[test]
fn what_a_blocked_peer_answers_is_not_listened_to() {
    let mut lab = Lab::new(Config::new());
    let liar = PeerId::random();
    lie(&mut lab, liar, 5);
    lab.actions();
    let before = lab.engine.standing.reputations().get(&liar);
    let (id, head) = published("tool", 1);
    let (_, waiting) = lab.get(&id);
    let query = only_lookup(&mut lab);
    lab.learn(copy_of(query, head.bytes(), liar));
    lab.learn(copy_of(query, b"\x01garbage", liar));
    assert_eq!(lab.engine.standing.reputations().get(&liar), before);
    lab.learn(copy_of(query, head.bytes(), PeerId::random()));
    assert_eq!(answer(waiting).unwrap().unwrap().sequence, 1);
    // Nor is it taken into the routing table by what it had said before.
    lab.actions();
    lab.learn(Fact::Routable { peer: liar });
    assert_eq!(blocks(&mut lab), [('-', liar)]);
    assert!(!lab.engine.peers.connections().is_routable(&liar));
}

#[test]
fn no_more_peers_are_blocked_than_there_is_room_for() {
    let limits = Limits::new().with_blocked_peers(2);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let liars = [(); 3].map(|()| PeerId::random());
    liars.iter().for_each(|liar| lie(&mut lab, *liar, 5));
    assert_eq!(lab.engine.peers.blocked_len(), 2);
    assert!(!lab.engine.is_blocked(&liars[0]), "it has waited for longest");

    let mut lab = Lab::new(Config::new().with_limits(Limits::new().with_blocked_peers(0)));
    lie(&mut lab, liars[0], 50);
    assert_eq!(blocks(&mut lab), []);
}

#[test]
fn peers_that_somebody_has_decided_for_are_not_refused() {
    let named = PeerId::random();
    let bootstrap = format!("/ip4/127.0.0.1/tcp/1/p2p/{named}").parse().unwrap();
    let mut lab = Lab::new(Config::new().with_bootstrap([bootstrap]));
    lie(&mut lab, named, 50);
    assert_eq!(blocks(&mut lab), []);
    assert!(lab.engine.standing.reputations().score(&named) < Reputation::FLOOR);

    let liar = PeerId::random();
    lie(&mut lab, liar, 5);
    lab.actions();
    let addresses = vec!["/memory/1".parse().unwrap()];
    let (_, _dialed) = lab.ask(|reply| Command::Dial { peer: liar, addresses, reply });
    let actions = lab.actions();
    let [Action::Unblock { peer }, Action::Dial { .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(*peer, liar);
    // Its next lie is one too many again.
    lie(&mut lab, liar, 1);
    assert_eq!(blocks(&mut lab), [('-', liar)]);
}

#[test]
fn bootstrap_peers_of_a_good_name_are_dialed_first() {
    let peers = [(); 3].map(|()| PeerId::random());
    let addresses: Vec<Multiaddr> = peers
        .iter()
        .map(|peer| format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}").parse().unwrap())
        .collect();
    let mut lab = Lab::new(Config::new().with_bootstrap(addresses.clone()));
    lie(&mut lab, peers[0], 1);
    let (id, head) = published("tool", 1);
    serve(&mut lab, &id, &head, peers[2]);
    assert_eq!(
        lab.engine.standing.ranked_bootstrap(&lab.engine.cx),
        [addresses[2].clone(), addresses[1].clone(), addresses[0].clone()]
    );
}

#[test]
fn a_thousand_identities_that_praise_themselves_change_nobodys_rank() {
    let mut lab = Lab::new(Config::new());
    let (honest, stranger, liar) = (PeerId::random(), PeerId::random(), PeerId::random());
    for _ in 0..3 {
        let (id, head) = published("wanted", 1);
        serve(&mut lab, &id, &head, honest);
    }
    lie(&mut lab, liar, 2);
    let ranked = |lab: &Lab| {
        let mut peers = [liar, stranger, honest];
        lab.engine.standing.reputations().rank(&mut peers);
        (peers, peers.map(|peer| lab.engine.standing.reputations().get(&peer)))
    };
    let before = ranked(&lab);
    let worst = before.1[0].score();

    let keypairs: Vec<Keypair> = (0..1_000).map(|_| Keypair::generate_ed25519()).collect();
    for keypair in &keypairs {
        let sybil = keypair.public().to_peer_id();
        connect(&mut lab, sybil);
        // It announces itself, serves what it has published, and claims any name.
        let (id, head) = published_by(keypair, "praise", 1);
        lab.hears(&head);
        serve(&mut lab, &id, &head, sybil);
        let bare = PackageId::named("praise".parse().unwrap());
        let (_, _waiting) = lab.get(&bare);
        for query in lab.lookups() {
            lab.learn(copy_of(query, &claims(&[keypair], "praise").to_bytes(), sybil));
            lab.end(query, 1);
        }
        lab.advance(Duration::from_millis(3_000));
        while lab.engine.next_event().is_some() {}
        lab.actions();
    }
    let sybils = keypairs.iter().map(|keypair| keypair.public().to_peer_id());
    let best = sybils.map(|sybil| lab.engine.standing.reputations().score(&sybil)).max().unwrap();
    assert_eq!(best, 50, "they stand where strangers stand");
    let after = ranked(&lab);
    assert_eq!(after.0, before.0);
    assert!(after.1[0].score() > best && worst > best, "{after:?}");
    assert_eq!(lab.engine.standing.reputations().get(&honest).valid, 3, "nobody was flushed");
    assert_eq!(lab.engine.standing.reputations().get(&liar).invalid, 2);
}

#[test]
fn who_forwards_or_writes_announcements_is_neither_credited_nor_blamed() {
    let mut lab = Lab::new(Config::new());
    let keypair = Keypair::generate_ed25519();
    let author = keypair.public().to_peer_id();
    let (_, head) = published_by(&keypair, "tool", 1);
    let now = lab.now();
    assert_eq!(lab.hears(&head), Verdict::Accept);
    assert_eq!(lab.engine.hear(now, "announcements", b"\x01garbage"), Verdict::Reject);
    assert_eq!(lab.engine.standing.reputations().get(&author), Reputation::default());
}

#[test]
fn who_answers_sooner_stands_higher() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = published("tool", 1);
    let (soon, late) = (PeerId::random(), PeerId::random());
    let (_, _waiting) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    lab.advance(Duration::from_millis(50));
    lab.learn(copy_of(query, head.bytes(), soon));
    lab.advance(Duration::from_secs(5));
    lab.learn(copy_of(query, head.bytes(), late));
    let response = |peer| lab.engine.standing.reputations().get(&peer).response_time;
    assert!((response(soon) - 1.0 / 1.05).abs() < 1e-3, "{}", response(soon));
    assert!((response(late) - 1.0 / 6.05).abs() < 1e-3, "{}", response(late));
    assert!(
        lab.engine.standing.reputations().score(&soon)
            > lab.engine.standing.reputations().score(&late)
    );
}

#[test]
fn only_peers_that_told_where_they_are_can_fail_to_be_there() {
    let mut lab = Lab::new(Config::new());
    let (known, rumoured) = (PeerId::random(), PeerId::random());
    lab.learn(Fact::Routable { peer: known });
    for peer in [known, rumoured] {
        lab.learn(Fact::Unreachable { peer });
    }
    assert!(lab.engine.standing.reputations().get(&known).availability < 0.5);
    assert_eq!(lab.engine.standing.reputations().get(&rumoured), Reputation::default());
    // However often, that is no reason to refuse it.
    (0..1_000).for_each(|_| lab.learn(Fact::Unreachable { peer: known }));
    assert_eq!(blocks(&mut lab), []);
}

#[test]
fn gossip_is_told_how_connected_peers_stand_and_again_when_that_fades() {
    let mut lab = Lab::new(Config::new());
    let liar = PeerId::random();
    let told = |lab: &mut Lab| -> Vec<f64> {
        lab.actions()
            .into_iter()
            .filter_map(|action| match action {
                Action::Score { peer, score } if peer == liar => Some(score),
                _ => None,
            })
            .collect()
    };
    lie(&mut lab, liar, 1);
    assert!(told(&mut lab).is_empty(), "it is not connected");
    connect(&mut lab, liar);
    let [score] = told(&mut lab)[..] else { panic!("once") };
    assert!((-1.0..-0.4).contains(&score), "{score}");
    lab.advance(Duration::from_secs(24 * 3600));
    let scores = told(&mut lab);
    assert!(scores.iter().any(|&later| later > score), "{scores:?}");
    assert!(scores.iter().all(|score| (-1.0..=1.0).contains(score)), "{scores:?}");
}
