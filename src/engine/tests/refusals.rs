//! Records that are refused: what the one who refuses says of it, and what the one who has put them makes of that.

use super::*;
use crate::engine::interface::QueryEnd;
use crate::{
    engine::publishing::publish::{Put, Storing},
    event::Event,
    exchange::{self, Response},
    package::Receipt,
    record::{Hello, RecordKey},
    refusal::{Refusal, RefusalCount},
};

/// A head of somebody's that holds from so many seconds after now, for so long.
fn head_from(keypair: &Keypair, name: &str, issued: i64, lasts: u64) -> Signed<Head> {
    let mut head = Head::clone(&published_by(keypair, name, 2).1);
    head.validity = Validity::starting(UNIX.saturating_add_signed(issued), lasts);
    Signed::sign(keypair, head).unwrap()
}

fn anybody() -> Keypair {
    Keypair::generate_ed25519()
}

/// A peer puts bytes under a key.
fn put(lab: &mut Lab, peer: PeerId, key: &RecordKey, bytes: &[u8]) -> bool {
    lab.engine.cx.store.hear(peer);
    let outcome = lab.engine.cx.store.offer(key.as_bytes(), bytes);
    lab.engine.cx.store.fall_silent();
    lab.engine.learn_stored();
    outcome.is_ok()
}

fn put_head(lab: &mut Lab, peer: PeerId, head: &Signed<Head>) -> bool {
    put(lab, peer, &head.key(), head.bytes())
}

/// What the node answers to a peer that asks why.
fn asked_why(lab: &mut Lab, peer: PeerId, keys: &[RecordKey]) -> Response {
    let request = exchange::Request::Explain { keys: keys.to_vec() };
    lab.learn(Fact::Asked { asked: AskedId(1), peer, request: request.encode().unwrap() });
    let answers = lab.actions().into_iter().filter_map(|action| match action {
        Action::Answer { response, .. } => Some(Response::decode(&response).unwrap()),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    let [answer] = &answers[..] else { panic!("one answer: {answers:?}") };
    answer.clone()
}

fn why(lab: &mut Lab, peer: PeerId, key: &RecordKey) -> Option<Refusal> {
    match asked_why(lab, peer, &[*key]) {
        Response::Refusals { codes } => {
            let [code] = codes[..] else { panic!("one code: {codes:?}") };
            Refusal::of_code(code)
        }
        other => panic!("{other:?}"),
    }
}

fn limited(limits: Limits) -> Lab {
    Lab::untouched(Config::new().with_limits(limits))
}

#[test]
fn a_record_that_time_refuses_is_refused_as_early_or_late() {
    let mut lab = Lab::untouched(Config::new());
    for (issued, lasts, reason) in [
        (600, 3600, Refusal::Future),
        (-3600, 60, Refusal::Expired),
        (-3600, 3600, Refusal::Expired),
    ] {
        let (peer, head) = (PeerId::random(), head_from(&anybody(), "tiny", issued, lasts));
        assert!(!put_head(&mut lab, peer, &head));
        assert_eq!(why(&mut lab, peer, &head.key()), Some(reason));
        assert_eq!(why(&mut lab, PeerId::random(), &head.key()), None, "it is nobody else's");
    }
}

#[test]
fn a_record_that_has_been_overtaken_is_refused_as_old() {
    let mut lab = Lab::untouched(Config::new());
    let (peer, owner) = (PeerId::random(), anybody());
    let [(_, old), (_, new)] = [1, 2].map(|sequence| published_by(&owner, "tiny", sequence));
    assert!(put_head(&mut lab, peer, &new));
    assert_eq!(why(&mut lab, peer, &new.key()), None);
    assert!(!put_head(&mut lab, peer, &old));
    assert_eq!(why(&mut lab, peer, &old.key()), Some(Refusal::Older));
    assert!(put_head(&mut lab, peer, &new), "what is taken in is refused no more");
    assert_eq!(why(&mut lab, peer, &new.key()), None);
}

#[test]
fn a_part_of_a_package_that_is_withdrawn_is_refused_as_that() {
    let mut lab = Lab::untouched(Config::new());
    let (peer, owner) = (PeerId::random(), anybody());
    let (id, _) = published_by(&owner, "tiny", 1);
    assert!(put_head(&mut lab, peer, &tombstone(&owner, &id, 2)));
    let manifest = Manifest::new("tiny".parse().unwrap(), "1.0.0".parse().unwrap());
    let release = Release::new(NetworkName::default(), *id.owner().unwrap(), manifest);
    let release = Signed::sign(&owner, release).unwrap();
    assert!(!put(&mut lab, peer, &release.key(), release.bytes()));
    assert_eq!(why(&mut lab, peer, &release.key()), Some(Refusal::Withdrawn));
}

#[test]
fn a_record_for_which_there_is_no_room_is_refused_as_too_much_of_somebodys() {
    // Each from another peer and another owner: nobody's but the whole store's.
    let mut lab = limited(Limits::new().with_store_records(2));
    let full = std::iter::repeat_with(|| (PeerId::random(), head_from(&anybody(), "tiny", 0, 60)));
    let (peer, head) =
        full.take(500).find(|(peer, head)| !put_head(&mut lab, *peer, head)).expect("the farthest");
    assert_eq!(why(&mut lab, peer, &head.key()), Some(Refusal::Full));

    // All of one owner.
    let mut lab = limited(Limits::new().with_store_records_per_owner(2));
    let (peer, owner) = (PeerId::random(), anybody());
    let heads = ["one", "two", "three"].map(|name| head_from(&owner, name, 0, 60));
    let refused = heads.iter().find(|head| !put_head(&mut lab, peer, head)).expect("the third");
    assert_eq!(why(&mut lab, peer, &refused.key()), Some(Refusal::OwnerQuota));

    // All from one peer.
    let mut lab = limited(Limits::new().with_store_records_per_peer(2));
    let peer = PeerId::random();
    let refused = std::iter::repeat_with(|| head_from(&anybody(), "tiny", 0, 60))
        .take(500)
        .find(|head| !put_head(&mut lab, peer, head));
    let refused = refused.expect("the farthest");
    assert_eq!(why(&mut lab, peer, &refused.key()), Some(Refusal::PeerQuota));
}

#[test]
fn a_peer_that_has_asked_too_much_is_told_that_later() {
    let mut lab = Lab::untouched(Config::new());
    lab.advance(Duration::ZERO);
    let (peer, head) = (PeerId::random(), head_from(&anybody(), "tiny", 0, 3600));
    let burst = lab.engine.cx.config.limits.request_burst;
    lab.engine.cx.store.charge(peer, burst + 50);
    assert!(!put_head(&mut lab, peer, &head));
    let answer = asked_why(&mut lab, peer, &[head.key()]);
    assert!(matches!(answer, Response::Declined { .. }), "{answer:?}");
    lab.advance(Duration::from_secs(30));
    assert_eq!(why(&mut lab, peer, &head.key()), Some(Refusal::Rate));
}

#[test]
fn what_is_no_record_is_refused_as_not_valid() {
    let mut lab = Lab::untouched(Config::new());
    let (peer, head) = (PeerId::random(), head_from(&anybody(), "tiny", 0, 3600));
    assert!(!put(&mut lab, peer, &head.key(), b"nonsense"));
    assert_eq!(why(&mut lab, peer, &head.key()), Some(Refusal::Invalid));
}

#[test]
fn to_ask_for_reasons_is_paid_for() {
    let mut lab = Lab::untouched(Config::new());
    lab.advance(Duration::ZERO);
    let (peer, key) = (PeerId::random(), head_from(&anybody(), "tiny", 0, 3600).key());
    let burst = lab.engine.cx.config.limits.request_burst;
    let answered = (0..2 * burst)
        .take_while(|_| matches!(asked_why(&mut lab, peer, &[key]), Response::Refusals { .. }));
    assert!(answered.count() <= usize::try_from(burst).unwrap());
}

/// A node with peers in its routing table that have said that they give reasons, or are of a version that cannot.
fn publisher(features: &[u64]) -> (Lab, Vec<PeerId>) {
    let mut lab = Lab::untouched(Config::new());
    lab.advance(Duration::ZERO);
    let peers = features.iter().map(|features| {
        let keypair = anybody();
        let peer = keypair.public().to_peer_id();
        let mut hello = Hello::new(NetworkName::default(), peer, UNIX);
        hello.features = *features;
        let hello = Signed::sign(&keypair, hello).unwrap().bytes().to_vec();
        lab.visited_by(peer);
        lab.learn(Fact::Routable { peer });
        let request = exchange::Request::Hello(hello).encode().unwrap();
        lab.learn(Fact::Asked { asked: AskedId(7), peer, request });
        peer
    });
    let peers = peers.collect();
    lab.actions();
    (lab, peers)
}

/// Of this version, and of one before it.
const NEW: u64 = 3;
const OLD: u64 = 1;

type Waiting = oneshot::Receiver<Result<Receipt>>;

/// Who is asked about which keys.
type Asked = (PeerId, QuestionId, Vec<RecordKey>);

/// Registers a package that these peers acknowledge. What is asked of the others, with the keys.
fn registered(
    lab: &mut Lab,
    acknowledging: &[PeerId],
    confirmation: u8,
) -> (Ticket, Waiting, Vec<Asked>) {
    let manifest = Box::new(Manifest::new("tiny".parse().unwrap(), "1.0.0".parse().unwrap()));
    let (ticket, receipt) = lab.ask(|reply| Command::Register { manifest, confirmation, reply });
    let recall = only_recall(lab);
    lab.end(recall, 3);
    for action in lab.actions() {
        if let Action::Put { query, .. } = action {
            let peers = acknowledging.to_vec();
            let replicas = u32::try_from(peers.len()).unwrap();
            lab.learn(Fact::Acknowledged { query, peers });
            lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas } });
        }
    }
    let mut asked = Vec::new();
    for action in lab.actions() {
        match action {
            Action::Ask { question, peer, request } => {
                let request = exchange::Request::decode(&request).unwrap();
                let exchange::Request::Explain { keys } = request else { continue };
                asked.push((peer, question, keys));
            }
            action => lab.engine.out.actions.push_back(action),
        }
    }
    (ticket, receipt, asked)
}

fn say(lab: &mut Lab, question: QuestionId, response: Response) {
    lab.learn(Fact::Answered { question, response: response.encode().unwrap() });
}

fn refusals(receipt: Waiting) -> Vec<(Refusal, u32)> {
    let counts = answer(receipt).expect("answered").unwrap().refusals;
    counts.into_iter().map(|RefusalCount { reason, peers, .. }| (reason, peers)).collect()
}

#[test]
fn a_receipt_says_why_peers_have_refused_the_change_and_how_many() {
    let (mut lab, peers) = publisher(&[NEW; 5]);
    let (_, receipt, asked) = registered(&mut lab, &peers[..1], 0);
    let whom: BTreeSet<PeerId> = asked.iter().map(|(peer, _, _)| *peer).collect();
    assert_eq!(whom, peers[1..].iter().copied().collect(), "those that have not acknowledged it");
    let reasons = [Refusal::Future, Refusal::Future, Refusal::Full];
    for ((_, question, keys), reason) in asked.iter().zip(reasons) {
        assert_eq!(keys.len(), 3, "head, release and claims");
        // Of one peer, a reason counts once.
        let codes = vec![reason.code(), 0, reason.code()];
        say(&mut lab, *question, Response::Refusals { codes });
    }
    let last = asked.last().unwrap().1;
    say(&mut lab, last, Response::Refusals { codes: vec![0, 0, 0] });
    assert_eq!(refusals(receipt), [(Refusal::Future, 2), (Refusal::Full, 1)]);
    assert!(lab.engine.is_at_rest());
}

#[test]
fn where_all_have_acknowledged_nobody_is_asked() {
    let (mut lab, peers) = publisher(&[NEW; 3]);
    let (_, receipt, asked) = registered(&mut lab, &peers, 0);
    assert!(asked.is_empty());
    assert_eq!(refusals(receipt), []);
}

#[test]
fn of_what_all_have_acknowledged_nobody_is_asked_though_something_else_was_refused() {
    let (mut lab, _) = publisher(&[NEW; 2]);
    let _receipt = lab.registers("tiny", "1.0.0");
    let recall = only_recall(&mut lab);
    lab.end(recall, 3);
    let head = RecordKey::head(
        &NetworkName::default(),
        &lab.engine.cx.owner,
        &"tiny".parse::<PackageName>().unwrap(),
    );
    for action in lab.actions() {
        if let Action::Put { query, key, .. } = action {
            let replicas = if key == head { 0 } else { 3 };
            lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas } });
        }
    }
    let asked = lab.actions().into_iter().filter_map(|action| match action {
        Action::Ask { request, .. } => match exchange::Request::decode(&request).unwrap() {
            exchange::Request::Explain { keys } => Some(keys),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(asked.collect::<Vec<_>>(), [[head], [head]]);
}

#[test]
fn of_a_change_of_many_records_peers_are_asked_about_the_head_before_all_others() {
    let owner = PeerId::random();
    let key = |number: usize| {
        let name = format!("tiny-{number}").parse::<PackageName>().unwrap();
        RecordKey::head(&NetworkName::default(), &owner, &name)
    };
    let put = (0..20).map(|number| Put {
        key: key(number),
        attests: crate::package::Digest::from_bytes([0; 32]),
        acknowledged: Vec::new(),
        replicas: 0,
    });
    let storing = Storing {
        id: PackageId::named("tiny".parse().unwrap()),
        sequence: 1,
        pending: 0,
        fewest: Some(0),
        is_whole: true,
        put: put.collect(),
        clock: None,
        reasons: Default::default(),
    };
    let asked: Vec<_> = storing.unacknowledged().into_iter().map(|record| record.key).collect();
    assert_eq!(asked.len(), exchange::MAX_EXPLAINED);
    assert!(asked.contains(&key(19)) && !asked.contains(&key(0)), "the head is put last");
}

#[test]
fn a_peer_of_an_older_version_is_not_asked_what_it_would_take_for_nonsense() {
    let (mut lab, _) = publisher(&[OLD, NEW, OLD]);
    let (_, receipt, asked) = registered(&mut lab, &[], 0);
    let [(_, question, _)] = asked[..] else { panic!("{asked:?}") };
    say(&mut lab, question, Response::Refusals { codes: vec![Refusal::Older.code()] });
    assert_eq!(refusals(receipt), [(Refusal::Older, 1), (Refusal::Unknown, 2)]);
}

#[test]
fn a_peer_that_is_silent_already_is_not_asked_until_it_has_answered() {
    let (mut lab, peers) = publisher(&[NEW; 2]);
    let peer = peers[0];
    lab.learn(Fact::Silent { peer });
    let (_, receipt, asked) = registered(&mut lab, &peers[1..], 0);
    assert!(asked.is_empty());
    assert_eq!(refusals(receipt), [(Refusal::Unknown, 1)], "and its caller is answered at once");

    let (mut lab, peers) = publisher(&[NEW; 2]);
    let peer = peers[0];
    lab.learn(Fact::Silent { peer });
    lab.learn(Fact::Awake { peer });
    let (_, _, asked) = registered(&mut lab, &peers[1..], 0);
    assert_eq!(asked.len(), 1);
}

#[test]
fn nobody_is_asked_why_not_where_as_many_keep_it_as_are_to() {
    let (mut lab, peers) = publisher(&[NEW; 21]);
    let (_, receipt, asked) = registered(&mut lab, &peers[1..], 0);
    assert!(asked.is_empty());
    assert_eq!(refusals(receipt), []);
}

#[test]
fn peers_that_are_silent_do_not_keep_the_caller_waiting() {
    let (mut lab, _) = publisher(&[NEW; 2]);
    let (_, mut receipt, asked) = registered(&mut lab, &[], 0);
    assert_eq!(asked.len(), 2);
    lab.advance(Duration::from_millis(900));
    assert_eq!(receipt.try_recv(), Ok(None));
    lab.advance(Duration::from_millis(200));
    assert_eq!(refusals(receipt), [(Refusal::Unknown, 2)]);
    // What they say now is of no use to anybody, and does no harm.
    say(&mut lab, asked[0].1, Response::Refusals { codes: vec![1] });
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_peer_without_time_for_the_question_has_been_asked_too_much() {
    let (mut lab, _) = publisher(&[NEW]);
    let (_, receipt, asked) = registered(&mut lab, &[], 0);
    say(&mut lab, asked[0].1, Response::Declined { retry_after_secs: 5 });
    assert_eq!(refusals(receipt), [(Refusal::Rate, 1)]);
}

#[test]
fn reasons_of_a_later_version_and_answers_to_something_else_are_no_reasons() {
    let (mut lab, peers) = publisher(&[NEW; 3]);
    let (_, receipt, asked) = registered(&mut lab, &[], 0);
    say(&mut lab, asked[0].1, Response::Refusals { codes: vec![200, 200, 201] });
    say(&mut lab, asked[1].1, Response::Noted);
    lab.learn(Fact::Unanswered { question: asked[2].1, why: Unanswered::Gone });
    assert_eq!(refusals(receipt), [(Refusal::Unknown, 3)]);
    assert!(peers.iter().all(|peer| !lab.engine.is_blocked(peer)));
}

#[test]
fn a_caller_whose_time_is_up_is_told_what_is_known() {
    let (mut lab, _) = publisher(&[NEW; 2]);
    let manifest = Box::new(Manifest::new("tiny".parse().unwrap(), "1.0.0".parse().unwrap()));
    let (reply, receipt) = Reply::channel();
    let command = Command::Register { manifest, confirmation: 3, reply };
    let (asked, deadline) = (lab.mono, lab.mono + Duration::from_secs(1));
    let ticket = Ticket(99);
    lab.engine.command(lab.now(), Request { ticket, asked, deadline, command });
    let recall = only_recall(&mut lab);
    lab.end(recall, 3);
    for action in lab.actions() {
        if let Action::Put { query, .. } = action {
            lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 0 } });
        }
    }
    lab.advance(Duration::from_millis(1100));
    assert_eq!(refusals(receipt), [(Refusal::Unknown, 2)]);
    assert!(lab.engine.is_at_rest(), "nothing is read back any more");
}

#[test]
fn a_caller_who_goes_away_leaves_nothing_behind() {
    let (mut lab, _) = publisher(&[NEW; 2]);
    let (ticket, receipt, asked) = registered(&mut lab, &[], 0);
    drop(receipt);
    lab.engine.cancel(ticket);
    assert!(lab.engine.is_at_rest());
    say(&mut lab, asked[0].1, Response::Refusals { codes: vec![1] });
    lab.advance(Duration::from_secs(3));
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_change_that_is_to_be_read_back_is_read_back_after_the_reasons_are_known() {
    let (mut lab, peers) = publisher(&[NEW; 2]);
    let (_, receipt, asked) = registered(&mut lab, &peers[..1], 1);
    let [(_, question, _)] = asked[..] else { panic!("{asked:?}") };
    assert!(lab.lookups().is_empty());
    say(&mut lab, question, Response::Refusals { codes: vec![Refusal::Full.code()] });
    let read_backs = lab.lookups();
    assert_eq!(read_backs.len(), 3);
    for query in read_backs {
        lab.end(query, 1);
    }
    assert_eq!(refusals(receipt), [(Refusal::Full, 1)]);
}

#[test]
fn what_a_node_renews_by_itself_asks_nobody_for_reasons() {
    let (mut lab, _) = publisher(&[NEW; 2]);
    let (_, receipt, asked) = registered(&mut lab, &[], 0);
    for (_, question, _) in asked {
        say(&mut lab, question, Response::Refusals { codes: vec![1] });
    }
    assert_eq!(refusals(receipt), [(Refusal::Future, 2)]);
    for _ in 0..20 {
        lab.advance(Duration::from_secs(60));
        for action in lab.actions() {
            match action {
                Action::Get { query, .. } => lab.end(query, 2),
                Action::Put { query, .. } => {
                    lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 0 } });
                }
                Action::Ask { request, .. } => {
                    let request = exchange::Request::decode(&request).unwrap();
                    assert!(!matches!(request, exchange::Request::Explain { .. }));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_receipt_reads_the_same_after_it_was_written_down() {
    let (mut lab, _) = publisher(&[NEW]);
    let (_, receipt, asked) = registered(&mut lab, &[], 0);
    say(&mut lab, asked[0].1, Response::Refusals { codes: vec![Refusal::OwnerQuota.code()] });
    let receipt = answer(receipt).unwrap().unwrap();
    let text = serde_json::to_string(&receipt).unwrap();
    assert!(text.contains(r#""refusals":[{"reason":"owner_quota","peers":1}]"#), "{text}");
    assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), receipt);
    // As it was written before there were reasons.
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.remove("refusals");
    fields.remove("clock");
    assert!(serde_json::from_value::<Receipt>(value).unwrap().refusals.is_empty());
    assert!(!lab.events().into_iter().any(|event| matches!(event, Event::PeerBlocked { .. })));
}
