use super::*;
use crate::{engine::tests::published_by, identity::Keypair, keyspace::Key, record::NetworkName};

fn key(n: usize) -> RecordKey {
    let name = format!("package-{n}").parse().unwrap();
    RecordKey::claims(&NetworkName::default(), &name)
}

/// An owner of none of these records.
fn nobody() -> PeerId {
    PeerId::random()
}

fn caller(n: u64) -> Waiter {
    Waiter::new(Ticket(n), Freshness::First)
}

fn tickets(waiting: &[Waiter]) -> Vec<Ticket> {
    waiting.iter().map(|waiter| waiter.ticket).collect()
}

/// The keys whose lookups start now.
fn started(queries: &mut Queries) -> Vec<(QueryKey, RecordKey)> {
    std::iter::from_fn(|| queries.admit(Duration::ZERO, true))
        .map(|(query, task)| match task {
            Task::Get(key) => (query, key),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn lookups_start_in_the_order_in_which_they_were_asked_for() {
    let mut queries = Queries::new(2);
    for n in 0..6 {
        queries.get(key(n), caller(n as u64));
    }
    // The first, one in the middle and the last leave the line before their turn.
    for n in [0, 3, 5] {
        assert_eq!(queries.leave(&key(n), Ticket(n as u64)), None);
    }
    let running = started(&mut queries);
    assert_eq!(running.iter().map(|&(_, key)| key).collect::<Vec<_>>(), [key(1), key(2)]);
    // Asked for again, it stands at the end.
    queries.get(key(0), caller(7));
    let mut order = Vec::new();
    for (query, _) in running {
        assert!(queries.ended(query).is_some());
        order.extend(started(&mut queries));
    }
    assert_eq!(order.iter().map(|&(_, key)| key).collect::<Vec<_>>(), [key(4), key(0)]);
    for (query, _) in order {
        assert!(
            matches!(queries.ended(query), Some(Ended::Lookup { waiting, .. }) if waiting.len() == 1)
        );
    }
    assert!(queries.is_empty());
}

#[test]
fn a_key_that_is_asked_for_again_while_its_answered_lookup_ends_is_looked_up_again() {
    let mut queries = Queries::new(2);
    queries.get(key(1), caller(1));
    let [(first, _)] = started(&mut queries)[..] else { panic!("one lookup") };
    let (answered, finish) = queries.answer(first, |_| true);
    assert_eq!((answered, finish), (vec![Ticket(1)], Some(first)));
    queries.get(key(1), caller(2));
    let [(second, _)] = started(&mut queries)[..] else { panic!("one lookup") };
    // What the first one still hears is not an answer to the second.
    assert_eq!(queries.answer(first, |_| true), (Vec::new(), None));
    assert!(
        matches!(queries.ended(first), Some(Ended::Lookup { waiting, .. }) if waiting.is_empty())
    );
    assert!(
        matches!(queries.ended(second), Some(Ended::Lookup { waiting, .. }) if tickets(&waiting) == [Ticket(2)])
    );
    assert!(queries.is_empty());
}

#[test]
fn each_caller_of_a_lookup_hears_as_many_replicas_as_it_wants() {
    let mut queries = Queries::new(1);
    let wanted = [Freshness::First, Freshness::Quorum(2), Freshness::All];
    for (n, freshness) in wanted.into_iter().enumerate() {
        queries.get(key(1), Waiter::new(Ticket(n as u64), freshness));
    }
    let [(query, _)] = started(&mut queries)[..] else { panic!("one lookup") };
    for (copies, answered) in [(1, 0), (2, 1)] {
        let (tickets, finish) = queries.answer(query, |freshness| freshness.is_satisfied(copies));
        assert_eq!((tickets, finish), (vec![Ticket(answered)], None));
    }
    assert!(
        matches!(queries.ended(query), Some(Ended::Lookup { waiting, .. }) if tickets(&waiting) == [Ticket(2)])
    );
    assert!(queries.is_empty());
}

#[test]
fn a_bootstrap_that_its_callers_left_is_carried_out_and_holds_nobody_back() {
    let mut queries = Queries::new(1);
    for n in 0..1000 {
        queries.bootstrap(Ticket(n));
        queries.leave_bootstrap(Ticket(n));
    }
    queries.bootstrap(Ticket(1000));
    let (query, task) = queries.admit(Duration::ZERO, true).unwrap();
    assert!(matches!(task, Task::Bootstrap));
    queries.bootstrap(Ticket(1001));
    let Some(Ended::Bootstrap { callers }) = queries.ended(query) else { panic!("a bootstrap") };
    assert_eq!(callers, [Ticket(1000), Ticket(1001)]);
    assert!(queries.is_empty());
}

#[test]
fn a_peer_that_has_left_is_missed_only_by_the_lookups_of_keys_that_it_is_close_to() {
    let mut queries = Queries::new(2);
    for n in 0..2 {
        queries.get(key(n), caller(n as u64));
    }
    let [(first, _), (second, _)] = started(&mut queries)[..] else { panic!("two lookups") };
    queries.left(PeerId::random(), |near| *near == key(0));
    let silent = |queries: &mut Queries, query| queries.lookup(query).unwrap().1.silent(1);
    assert_eq!([silent(&mut queries, first), silent(&mut queries, second)], [0, 1]);
}

#[test]
fn a_hundred_thousand_lookups_wait_and_leave_nothing_behind() {
    let mut queries = Queries::new(1);
    for n in 0..100_000 {
        queries.get(key(n), caller(n as u64));
    }
    assert_eq!(queries.lookups.len(), 100_000);
    for n in 0..100_000 {
        queries.leave(&key(n), Ticket(n as u64));
    }
    assert!(queries.is_empty());
    assert!(queries.lookups.memory() < 64 * 1024, "{} bytes", queries.lookups.memory());
}

/// Peers in the order of their distance from a key.
fn peers_by_distance(count: usize, key: &RecordKey) -> Vec<PeerId> {
    let target = Key::of_record(key);
    let mut peers: Vec<_> = (0..count).map(|_| PeerId::random()).collect();
    peers.sort_by_key(|peer| Key::of_peer(peer).distance(&target));
    peers
}

#[test]
fn replicas_with_an_older_copy_are_found_to_lack_the_newest_wherever_they_are() {
    let keypair = Keypair::generate_ed25519();
    let [old, new] = [1, 2].map(|sequence| published_by(&keypair, "tool", sequence).1);
    let key = new.key();
    let record = Record::Head(new.clone());
    let peers = peers_by_distance(4, &key);
    let mut replies = Replies::default();
    for (peer, head) in peers.iter().zip([&new, &old, &new]) {
        replies.copy(Some(*peer), Arc::new(Record::Head(head.clone())), &nobody(), 0);
    }
    replies.outdated(Some(peers[3]));
    assert!(matches!(replies.best().map(|best| &**best), Some(Record::Head(head)) if *head == new));
    for extent in [Extent::Whole, Extent::Part] {
        assert_eq!(replies.lacking(&record, &[], extent), [peers[1], peers[3]]);
    }
}

#[test]
fn of_the_peers_without_a_copy_only_those_close_to_the_key_are_replicas() {
    let head = published_by(&Keypair::generate_ed25519(), "tool", 1).1;
    let (key, record) = (head.key(), Record::Head(head.clone()));
    let peers = peers_by_distance(30, &key);
    let held_by = |holders: &[usize]| {
        let mut replies = Replies::default();
        for &rank in holders {
            replies.copy(Some(peers[rank]), Arc::new(Record::Head(head.clone())), &nobody(), 0);
        }
        replies
    };
    let without: Vec<_> = peers.iter().copied().filter(|peer| *peer != peers[5]).collect();
    // All were asked: the twenty closest hold it, or should.
    let lacking = held_by(&[5]).lacking(&record, &without, Extent::Whole);
    assert_eq!(lacking, [&peers[..5], &peers[6..20]].concat());
    // Only some were: one that lies nearer to the key than two replicas is one.
    assert!(held_by(&[5]).lacking(&record, &without, Extent::Part).is_empty());
    let lacking = held_by(&[5, 9]).lacking(&record, &without, Extent::Part);
    assert_eq!(lacking, peers[..5]);
    // This node's own copy says nothing of where peers hold it.
    let mut replies = Replies::default();
    replies.copy(None, Arc::new(Record::Head(head.clone())), &nobody(), 0);
    assert!(replies.lacking(&record, &without, Extent::Part).is_empty());
}

#[test]
fn a_far_peer_that_serves_a_copy_makes_no_replicas_of_those_that_were_asked_on_the_way() {
    let head = published_by(&Keypair::generate_ed25519(), "tool", 1).1;
    let (key, record) = (head.key(), Record::Head(head.clone()));
    let peers = peers_by_distance(600, &key);
    let mut replies = Replies::default();
    // Whoever has read the record can serve it, replica or not.
    replies.copy(Some(peers[599]), Arc::new(Record::Head(head.clone())), &nobody(), 0);
    let without: Vec<_> = (1..6).map(|n| peers[n * 100]).collect();
    let lacking = replies.lacking(&record, &without, Extent::Part);
    assert!(lacking.is_empty(), "{} peers of ranks 100 to 500 are sent it", lacking.len());
}

#[test]
fn replicas_with_an_outdated_copy_count_among_the_closest() {
    let head = published_by(&Keypair::generate_ed25519(), "tool", 2).1;
    let (key, record) = (head.key(), Record::Head(head.clone()));
    let peers = peers_by_distance(30, &key);
    let mut replies = Replies::default();
    replies.copy(Some(peers[0]), Arc::new(Record::Head(head.clone())), &nobody(), 0);
    for peer in &peers[1..20] {
        replies.outdated(Some(*peer));
    }
    let lacking = replies.lacking(&record, &peers[20..], Extent::Whole);
    assert_eq!(lacking, peers[1..20], "the twenty closest are its replicas, nobody else");
}

#[test]
fn of_two_releases_of_one_version_the_one_that_replicas_keep_is_the_best_in_any_order() {
    use crate::package::Manifest;
    use crate::record::Release;
    use crate::record::Signed;
    let keypair = Keypair::generate_ed25519();
    let owner = keypair.public().to_peer_id();
    let mut releases: Vec<_> = ["one", "another"]
        .map(|text| {
            let manifest = Manifest::new("tool".parse().unwrap(), "1.0.0".parse().unwrap());
            let manifest = manifest.with_description(text);
            let release = Release::new(NetworkName::default(), owner, manifest);
            Record::Release(Signed::sign(&keypair, release).unwrap())
        })
        .into();
    // The store keeps the one of the lesser bytes.
    releases.sort_by_key(Record::to_bytes);
    for order in [[0, 1], [1, 0]] {
        let mut replies = Replies::default();
        for n in order {
            let record: &Record = &releases[n];
            replies.copy(Some(PeerId::random()), Arc::new(record.clone()), &nobody(), 0);
        }
        assert_eq!(replies.best().map(|best| &**best), Some(&releases[0]), "{order:?}");
    }
}
