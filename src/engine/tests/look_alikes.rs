//! Names that people confuse: what a reader is told who has missed one, and an owner who publishes one.

use super::*;
use crate::engine::interface::QueryEnd;
use crate::{
    engine::discovery::catalogue::Interest, error::Error, package::SimilarName, record::RecordKey,
};

fn named(text: &str) -> PackageId {
    PackageId::named(text.parse().unwrap())
}

fn similar(answer: Option<Result<Box<Package>>>) -> (String, Vec<(String, Vec<PeerId>)>) {
    let error = answer.expect("answered").unwrap_err();
    let text = error.to_string();
    let Error::NotFound { similar, .. } = error else { panic!("{text}") };
    let similar =
        similar.into_iter().map(|SimilarName { name, owners }| (name.to_string(), owners));
    (text, similar.collect())
}

fn is_meant(text: &str, owners: &[PeerId]) -> (String, Vec<PeerId>) {
    (text.to_owned(), owners.to_vec())
}

#[test]
fn a_name_that_nobody_claims_is_answered_with_the_look_alike_that_somebody_does() {
    let (owner, mut lab) = (Keypair::generate_ed25519(), Lab::new(Config::new()));
    let (_, waiting) = lab.get(&named("yt-dlp"));
    let query = only_lookup(&mut lab);
    lab.learn(bytes_of(query, claims(&[&owner], "yt_dlp").to_bytes()));
    lab.end(query, 3);
    let (text, similar) = similar(answer(waiting));
    assert_eq!(text, "not found: `yt-dlp`; did you mean `yt_dlp`?");
    assert_eq!(similar, [is_meant("yt_dlp", &[owner.public().to_peer_id()])]);
}

#[test]
fn the_exact_spelling_decides_what_is_meant_where_both_are_claimed() {
    let [ours, theirs] = [(); 2].map(|()| Keypair::generate_ed25519());
    let mut lab = Lab::new(Config::new());
    let (_, _waiting) = lab.get(&named("yt-dlp"));
    let query = only_lookup(&mut lab);
    let set = claims(&[&ours], "yt-dlp").merge(&claims(&[&theirs], "yt_dlp"), UNIX);
    assert_eq!(set.len(), 2);
    lab.learn(bytes_of(query, set.to_bytes()));
    lab.end(query, 3);
    let head = RecordKey::head(
        &NetworkName::default(),
        &ours.public().to_peer_id(),
        &"yt-dlp".parse().unwrap(),
    );
    let reads_it = |action| matches!(action, Action::Get { key, .. } if key == head);
    assert!(lab.actions().into_iter().any(reads_it), "its owner's package is read");
}

#[test]
fn where_look_alikes_leave_no_room_the_only_claimant_may_not_be_the_only_one() {
    let owners: Vec<Keypair> =
        (0..ClaimSet::MAX_CLAIMS).map(|_| Keypair::generate_ed25519()).collect();
    let (only, others) = owners.split_first().unwrap();
    let others: Vec<&Keypair> = others.iter().collect();
    let set = claims(&[only], "yt-dlp").merge(&claims(&others, "yt_dlp"), UNIX);
    assert_eq!(set.len(), ClaimSet::MAX_CLAIMS);
    let mut lab = Lab::new(Config::new());
    let (_, waiting) = lab.get(&named("yt-dlp"));
    let query = only_lookup(&mut lab);
    lab.learn(bytes_of(query, set.to_bytes()));
    lab.end(query, 3);
    let error = answer(waiting).unwrap().unwrap_err();
    assert_eq!(error.kind(), "ambiguous");
    let expected = "`yt-dlp` is claimed or published by one owner, and perhaps by others whose";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn a_slip_of_the_finger_is_told_from_what_the_catalogue_lists() {
    let (id, head) = published("serde", 1);
    let (other, look_alike) = published("serd.e", 1);
    let (_, far) = published("tokio", 1);
    let mut lab = Lab::new(Config::new());
    for head in [&head, &look_alike, &far] {
        lab.engine.list(head, None, Interest::Heard);
    }
    for slip in ["serd", "sered", "sarde", "serdee", "serd-e"] {
        let (_, waiting) = lab.get(&named(slip));
        let query = only_lookup(&mut lab);
        lab.end(query, 3);
        let (_, similar) = similar(answer(waiting));
        let expected = [
            is_meant("serde", &[*id.owner().unwrap()]),
            is_meant("serd.e", &[*other.owner().unwrap()]),
        ];
        assert_eq!(similar.len(), 2, "{slip}: {similar:?}");
        assert!(expected.iter().all(|expected| similar.contains(expected)), "{slip}: {similar:?}");
        // A moment later nobody is asked, and the answer is as good.
        let (_, again) = lab.get(&named(slip));
        assert_eq!(answer(again).unwrap().unwrap_err().to_string().matches("did you").count(), 1);
    }
    let (_, waiting) = lab.get(&named("something-else"));
    let query = only_lookup(&mut lab);
    lab.end(query, 3);
    assert_eq!(similar(answer(waiting)).1, []);
}

#[test]
fn of_a_package_whose_owner_is_named_only_names_of_that_owner_are_told() {
    let (id, head) = published("serde", 1);
    let (_, others) = published("serde", 1);
    let mut lab = Lab::new(Config::new());
    for head in [&head, &others] {
        lab.engine.list(head, None, Interest::Heard);
    }
    let owner = *id.owner().unwrap();
    let (_, waiting) = lab.get(&PackageId::owned(owner, "sered".parse().unwrap()));
    let query = only_lookup(&mut lab);
    lab.end(query, 3);
    assert_eq!(similar(answer(waiting)).1, [is_meant("serde", &[owner])]);
}

#[test]
fn who_publishes_another_owners_look_alike_is_warned() {
    let (id, head) = published("yt_dlp", 1);
    let mut lab = Lab::new(Config::new());
    lab.engine.list(&head, None, Interest::Heard);
    let receipt = lab.publishes("yt-dlp", "1.0.0", 3);
    assert_eq!(receipt.look_alikes.len(), 1);
    assert_eq!(receipt.look_alikes[0].name.as_str(), "yt_dlp");
    assert_eq!(receipt.look_alikes[0].owners, [*id.owner().unwrap()]);
    // Its own packages are no look-alikes of one another.
    assert_eq!(lab.publishes("yt.dlp", "1.0.0", 3).look_alikes, receipt.look_alikes);
    assert_eq!(lab.publishes("something-else", "1.0.0", 3).look_alikes, []);
}

#[test]
fn a_look_alike_is_told_of_however_many_names_merely_read_the_same() {
    let mut lab = Lab::new(Config::new());
    for _ in 0..80 {
        lab.engine.list(&published("ytdlp", 1).1, None, Interest::Heard);
    }
    let (id, head) = published("yt_dlp", 1);
    lab.engine.list(&head, None, Interest::Heard);
    let receipt = lab.publishes("yt-dlp", "1.0.0", 3);
    let alike: Vec<_> =
        receipt.look_alikes.iter().map(|alike| (alike.name.as_str(), &*alike.owners)).collect();
    assert_eq!(alike, [("yt_dlp", &[*id.owner().unwrap()][..])]);
}

#[test]
fn names_that_windows_cannot_store_are_refused_with_what_to_do() {
    for name in ["con", "nul", "com1", "lpt9.tool", "aux.", "tool."] {
        let manifest = Box::new(Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap()));
        let mut lab = Lab::untouched(Config::new());
        let (_, waiting) = lab.ask(|reply| Command::Register { manifest, confirmation: 0, reply });
        let error = answer(waiting).expect("answered").unwrap_err();
        assert!(matches!(&error, Error::Invalid { field, .. } if field == "name"), "{error}");
        assert!(error.to_string().contains("Windows"), "{error}");
    }
    for name in ["console", "com", "com10", "null", "context.con"] {
        Lab::untouched(Config::new()).publishes(name, "1.0.0", 3);
    }
}

/// The lookups that a call for this release has begun, by what they are for: those of its head, and those of its claims.
struct Registering {
    head: Vec<QueryKey>,
    claims: Vec<QueryKey>,
    ticket: Ticket,
    waiting: oneshot::Receiver<Result<crate::package::Receipt>>,
}

fn begin(lab: &mut Lab, name: &str, version: &str) -> Registering {
    let manifest = Box::new(Manifest::new(name.parse().unwrap(), version.parse().unwrap()));
    let (network, owner) = (NetworkName::default(), lab.engine.cx.owner);
    let of_claims = RecordKey::claims(&network, &manifest.name);
    let of_head = RecordKey::head(&network, &owner, &manifest.name);
    let (ticket, waiting) = lab.ask(|reply| Command::Register { manifest, confirmation: 0, reply });
    let (mut head, mut claims) = (Vec::new(), Vec::new());
    for action in lab.actions() {
        match action {
            Action::Get { query, key, .. } if key == of_head => head.push(query),
            Action::Get { query, key, .. } if key == of_claims => claims.push(query),
            Action::Get { .. } => panic!("nothing else is to be asked for"),
            _ => {}
        }
    }
    Registering { head, claims, ticket, waiting }
}

/// Every put is acknowledged.
fn store(lab: &mut Lab) {
    loop {
        let actions = lab.actions();
        let puts = actions.iter().filter_map(|action| match action {
            Action::Put { query, .. } => Some(*query),
            _ => None,
        });
        let puts: Vec<QueryKey> = puts.collect();
        if puts.is_empty() {
            return;
        }
        for query in puts {
            lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 3 } });
        }
    }
}

fn told(receipt: &crate::package::Receipt) -> Vec<(&str, &[PeerId])> {
    let told = receipt.look_alikes.iter();
    told.map(|alike| (alike.name.as_str(), &*alike.owners)).collect()
}

#[test]
fn what_others_claim_is_looked_up_beside_the_head_of_a_package_that_is_new_here() {
    let other = Keypair::generate_ed25519();
    let by = [other.public().to_peer_id()];
    let mut lab = Lab::new(Config::new());
    let Registering { head, claims: asked, waiting, .. } = begin(&mut lab, "yt-dlp", "1.0.0");
    let ([head], [asked]) = (&head[..], &asked[..]) else { panic!("both at once") };
    lab.learn(bytes_of(*asked, claims(&[&other], "yt_dlp").to_bytes()));
    lab.end(*asked, 3);
    lab.end(*head, 3);
    store(&mut lab);
    assert_eq!(told(&answer(waiting).unwrap().unwrap()), [("yt_dlp", &by[..])]);
    assert!(lab.engine.is_at_rest());

    // Of what it publishes, it asks no more than before.
    let Registering { head, claims: asked, waiting, .. } = begin(&mut lab, "yt-dlp", "1.1.0");
    assert_eq!((head.len(), asked.len()), (1, 0));
    lab.end(head[0], 3);
    store(&mut lab);
    assert!(answer(waiting).unwrap().is_ok());
}

#[test]
fn a_lookup_of_claims_that_goes_on_keeps_no_receipt_waiting_and_what_it_found_is_told() {
    let other = Keypair::generate_ed25519();
    let by = [other.public().to_peer_id()];
    for copies in [0, 1] {
        let mut lab = Lab::new(Config::new());
        let Registering { head, claims: asked, waiting, .. } = begin(&mut lab, "yt-dlp", "1.0.0");
        for _ in 0..copies {
            lab.learn(bytes_of(asked[0], claims(&[&other], "yt_dlp").to_bytes()));
        }
        lab.end(head[0], 3);
        store(&mut lab);
        let receipt = answer(waiting).expect("not kept waiting").unwrap();
        assert_eq!(told(&receipt), [("yt_dlp", &by[..])][..copies]);
        lab.end(asked[0], 0);
        assert!(lab.engine.is_at_rest());
    }
}

#[test]
fn where_nobody_tells_who_claims_a_name_it_is_registered_all_the_same() {
    for end in [QueryEnd::answered_by(0), QueryEnd::LookupCutShort, QueryEnd::answered_by(3)] {
        let mut lab = Lab::new(Config::new());
        let Registering { head, claims: asked, waiting, .. } = begin(&mut lab, "yt-dlp", "1.0.0");
        lab.learn(Fact::QueryEnded { query: asked[0], end });
        lab.end(head[0], 3);
        store(&mut lab);
        assert_eq!(answer(waiting).unwrap().unwrap().look_alikes, []);
        assert!(lab.engine.is_at_rest());
    }
}

#[test]
fn who_claims_a_name_is_asked_no_longer_once_the_call_is_over() {
    let finishes = |lab: &mut Lab, query: QueryKey| {
        lab.actions()
            .iter()
            .any(|action| matches!(action, Action::Finish { query: of } if *of == query))
    };
    let mut lab = Lab::new(Config::new());
    // Its caller goes away.
    let Registering { head, claims: asked, ticket, .. } = begin(&mut lab, "yt-dlp", "1.0.0");
    lab.engine.cancel(ticket);
    assert!(finishes(&mut lab, asked[0]));
    lab.end(asked[0], 0);
    lab.end(head[0], 0);
    assert!(lab.engine.is_at_rest());
    // Its time is up, and what was found of the head is not enough to sign.
    let Registering { head, claims: asked, waiting, .. } = begin(&mut lab, "yt-dlp", "1.0.0");
    lab.advance(Duration::from_secs(31));
    assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), "timeout");
    assert!(finishes(&mut lab, asked[0]));
    lab.end(asked[0], 0);
    lab.end(head[0], 0);
    assert!(lab.engine.is_at_rest());
    // It is refused.
    let Registering { head, claims: asked, waiting, .. } = begin(&mut lab, "con", "1.0.0");
    lab.end(head[0], 3);
    assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), "invalid");
    assert!(finishes(&mut lab, asked[0]));
    lab.end(asked[0], 0);
    assert!(lab.engine.is_at_rest());
}
