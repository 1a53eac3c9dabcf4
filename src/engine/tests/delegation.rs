//! Publishing for an owner whose key is elsewhere, and what becomes of it when keys are rotated.

use super::*;
use crate::{
    engine::{discovery::catalogue::Interest, store::Refused},
    error::Error,
    freshness::Freshness,
    package::Source,
    record::{Delegation, EquivocationProof, Kind, Record, RecordKey, Rejected, ReleaseList},
};

mod revoked;

/// The owner's key, which no engine ever holds.
fn owner() -> Keypair {
    Keypair::ed25519_from_bytes([9; 32]).unwrap()
}

fn keypair(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn delegation(publisher: &Keypair, epoch: u32, seconds: u64) -> Delegation {
    let (network, peer) = (NetworkName::default(), publisher.public().to_peer_id());
    Delegation::sign(&owner(), &network, peer, epoch, Validity::starting(UNIX - 60, seconds))
        .unwrap()
}

const MONTH: u64 = 30 * 24 * 3600;

/// A node of this identity.
fn lab_of(identity: Identity, has_peer: bool) -> Lab {
    let mut lab = Setup::of(identity).start();
    if has_peer {
        lab.joins();
    }
    lab.actions();
    lab
}

/// A publisher of the owner's packages, who has nobody to ask.
fn publisher(seed: u8, epoch: u32, seconds: u64) -> Lab {
    let keypair = keypair(seed);
    let delegation = Box::new(delegation(&keypair, epoch, seconds));
    lab_of(Identity::new(keypair, Authority::Delegate(delegation)), false)
}

/// Registers with nobody to ask, and gives back what was signed.
fn signed(lab: &mut Lab, name: &str, version: &str) -> Signed<Head> {
    let answer = answer(lab.registers(name, version));
    assert!(!matches!(answer, Some(Err(_))), "{answer:?}");
    lab.own_head(name).clone()
}

fn refused(lab: &mut Lab, name: &str) -> Error {
    let answer = answer(lab.registers(name, "1.0.0"));
    let Some(Err(error)) = answer else { panic!("{answer:?}") };
    error
}

fn proofs(lab: &mut Lab) -> Vec<EquivocationProof> {
    let proof = |event| match event {
        Event::Equivocation { owner, name, proof } => {
            assert_eq!((&owner, &name), (proof.owner(), proof.name()));
            Some(proof)
        }
        _ => None,
    };
    lab.events().into_iter().filter_map(proof).collect()
}

#[test]
fn a_publisher_s_packages_are_the_owner_s() {
    let mut lab = publisher(1, 4, MONTH);
    let head = signed(&mut lab, "tool", "1.0.0");
    let owner_id = owner().public().to_peer_id();
    assert_eq!((*head.owner(), head.signer()), (owner_id, keypair(1).public().to_peer_id()));
    assert_eq!(head.revision, Revision::new(4, UNIX));
    assert_eq!(head.delegation(), Some(delegation(&keypair(1), 4, MONTH)));
    // It answers for them itself, by either name, and others believe all that it has signed.
    for id in [PackageId::owned(owner_id, head.name.clone()), PackageId::named(head.name.clone())] {
        assert_eq!(lab.on_shelf(&id).unwrap().owner, owner_id);
        let (_, waiting) = lab.get(&id);
        assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Own);
    }
    let mut reader = Lab::new(Config::new());
    assert_eq!(reader.hears(&head), Verdict::Accept);
    assert_eq!(told_now(&mut reader, &PackageId::owned(owner_id, head.name.clone())), Some(UNIX));
    let change = own::Change::Renew { name: head.name.clone() };
    let own = lab.engine.publishing.own().get(&head.name).cloned();
    let signer = lab.engine.cx.signer();
    let standing = own::Confidence::Unheard;
    let changed = own::apply(own.as_ref(), &[], &change, standing, head.rank(), &signer);
    for record in changed.unwrap().records {
        let network = NetworkName::default();
        let read = Record::verify(&network, &record.key(), &record.to_bytes(), UNIX, ());
        assert_eq!(read, Ok(record));
    }
}

#[test]
fn nothing_outlives_the_delegation_and_then_nothing_is_published() {
    let mut lab = publisher(1, 0, 3600);
    let head = signed(&mut lab, "tool", "1.0.0");
    assert_eq!(head.validity.expires, UNIX - 60 + 3600);
    let now = Now { mono: lab.mono, unix: UNIX + 3600 };
    let (reply, waiting) = Reply::channel();
    let manifest = Manifest::new("tool".parse().unwrap(), "1.1.0".parse().unwrap());
    let command = Command::Register { manifest: Box::new(manifest), confirmation: 0, reply };
    let deadline = lab.mono + Duration::from_secs(30);
    let request = Request { ticket: Ticket(99), asked: lab.mono, deadline, command };
    lab.engine.command(now, request);
    let Some(Err(error)) = answer(waiting) else { panic!("published") };
    assert!(matches!(&error, Error::Invalid { field, .. } if field == "delegation"), "{error}");
    assert!(error.to_string().contains("sign a new delegation"), "{error}");
}

#[test]
fn a_head_is_not_signed_again_where_that_makes_it_last_no_longer() {
    let mut lab = publisher(1, 0, 3600);
    let head = signed(&mut lab, "tool", "1.0.0");
    let change = own::Change::Renew { name: head.name.clone() };
    let own = lab.engine.publishing.own().get(&head.name);
    let late = Now { mono: lab.mono, unix: UNIX + 3000 };
    let standing = own::Confidence::Unheard;
    lab.engine.cx.now = late;
    let signer = lab.engine.cx.signer();
    let changed = own::apply(own, &[], &change, standing, head.rank(), &signer).unwrap();
    assert_eq!(changed.package.head, head);
}

#[test]
fn a_replaced_publisher_is_told_so_for_every_package() {
    let (mut old, mut new) = (publisher(1, 1, MONTH), publisher(2, 2, MONTH));
    signed(&mut old, "tool", "1.0.0");
    let rotated = signed(&mut new, "other", "1.0.0");
    assert_eq!(old.hears(&rotated), Verdict::Accept);
    for name in ["tool", "other", "third"] {
        let error = refused(&mut old, name);
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
        assert!(error.to_string().contains("owner has to delegate epoch 2"), "{error}");
    }
}

#[test]
fn whoever_has_seen_the_new_epoch_refuses_the_old_key() {
    let (mut old, mut new) = (publisher(1, 1, MONTH), publisher(2, 2, MONTH));
    let first = signed(&mut old, "tool", "1.0.0");
    let mut reader = Lab::new(Config::new());
    assert_eq!(reader.hears(&first), Verdict::Accept);
    let rotated = signed(&mut new, "other", "1.0.0");
    assert_eq!(reader.hears(&rotated), Verdict::Accept);
    reader.events();

    // A thief of the old key publishes under another name, and a newer release under the same one.
    let stolen = signed(&mut old, "third", "6.6.6");
    let newer = signed(&mut old, "tool", "6.6.6");
    for head in [&stolen, &newer] {
        // Forwarding it is nobody's fault: not everyone has heard of the rotation.
        assert_eq!(reader.hears(head), Verdict::Ignore);
        let refused = reader.engine.cx.store.insert(&head.key(), head.bytes());
        assert!(matches!(
            refused,
            Err(Refused::Rejected(Rejected::Revoked { epoch: 1, floor: 2 }))
        ));
    }
    assert_eq!(reader.events(), []);
    let id = PackageId::owned(*first.owner(), first.name.clone());
    assert_eq!(told_now(&mut reader, &id), Some(UNIX), "what was read before is still known");

    // A replica that answers with it has been heard, and does not decide.
    let (_, waiting) = reader.get(&PackageId::owned(*first.owner(), stolen.name.clone()));
    let query = only_lookup(&mut reader);
    reader.learn(copy(query, &stolen));
    reader.end(query, 1);
    assert!(matches!(answer(waiting), Some(Err(Error::NotFound { .. }))));
    // Whoever has not heard of it yet cannot know.
    assert_eq!(Lab::new(Config::new()).hears(&stolen), Verdict::Accept);
}

#[test]
fn a_claim_tells_of_the_new_epoch_too() {
    let mut new = publisher(2, 2, MONTH);
    let rotated = signed(&mut new, "other", "1.0.0");
    let key = RecordKey::claims(&rotated.network, &rotated.name);
    let (bytes, _) = new.engine.cx.store.bytes(&key).unwrap();
    let mut replica = Lab::new(Config::new());
    replica.engine.cx.store.insert(&key, &bytes).unwrap();
    let stolen = signed(&mut publisher(1, 1, MONTH), "tool", "6.6.6");
    assert_eq!(replica.hears(&stolen), Verdict::Ignore);
}

#[test]
fn the_next_publisher_goes_on_from_what_the_last_one_left() {
    let mut old = publisher(1, 1, MONTH);
    signed(&mut old, "tool", "1.0.0");
    let last = signed(&mut old, "tool", "1.1.0");
    let keypair = keypair(2);
    let delegation = Box::new(delegation(&keypair, 2, MONTH));
    let mut new = lab_of(Identity::new(keypair, Authority::Delegate(delegation)), true);
    let waiting = new.registers("tool", "2.0.0");
    let query = only_recall(&mut new);
    new.learn(copy(query, &last));
    new.end(query, 1);
    assert!(answer(waiting).is_none(), "it is being stored");
    let head = new.own_head("tool").clone();
    assert_eq!(head.revision, Revision::new(2, UNIX));
    let versions: Vec<_> =
        ReleaseList::of(&head).releases().iter().map(|entry| entry.version.major).collect();
    assert_eq!(versions, [2, 1, 1]);
}

#[test]
fn what_another_publisher_of_the_owner_has_published_is_read_where_it_is_listed() {
    let head = signed(&mut publisher(1, 1, MONTH), "tool", "1.0.0");
    let keypair = keypair(2);
    let delegation = Box::new(delegation(&keypair, 1, MONTH));
    let mut lab = lab_of(Identity::new(keypair, Authority::Delegate(delegation)), true);
    lab.engine.list(&head, None, Interest::Heard);
    let id = PackageId::owned(*head.owner(), head.name.clone());
    let (_, waiting) = lab.get(&id);
    // A change waits for the same lookup, and goes on from what peers hold alone.
    let change = lab.registers("tool", "2.0.0");
    let query = only_recall(&mut lab);
    lab.end(query, 3);
    let package = answer(waiting).expect("answered").unwrap();
    assert_eq!((package.manifest.version.major, package.source), (1, Source::Catalogue));
    assert!(answer(change).is_none(), "it is being stored");
    let own = lab.own_head("tool").clone();
    assert_eq!(own.releases().len(), 1);
    // What this node publishes itself is its own.
    let (_, waiting) = lab.get(&id);
    assert_eq!(answer(waiting).unwrap().unwrap().source, Source::Own);
}

#[test]
fn what_the_last_publisher_has_registered_is_registered() {
    let mut old = publisher(1, 1, MONTH);
    let last = signed(&mut old, "tool", "1.0.0");
    let key =
        RecordKey::release(&last.network, last.owner(), &last.name, &"1.0.0".parse().unwrap());
    let Some(Record::Release(release)) = old.engine.cx.store.own(&key) else { panic!("none") };
    let keypair = keypair(2);
    let delegation = Box::new(delegation(&keypair, 2, MONTH));
    let mut new = lab_of(Identity::new(keypair, Authority::Delegate(delegation)), true);
    let waiting = new.registers("tool", "1.0.0");
    let query = only_recall(&mut new);
    new.learn(copy(query, &last));
    new.end(query, 1);
    // Only the release itself tells whether it says the same.
    let query = only_lookup(&mut new);
    new.learn(bytes_of(query, release.bytes().to_vec()));
    new.end(query, 1);
    assert!(answer(waiting).is_none(), "it is being stored");
    let head = new.own_head("tool").clone();
    assert_eq!(head.revision, Revision::new(2, UNIX));
    assert!(ReleaseList::of(&head).releases()[0].is_of(&release));
}

#[test]
fn the_last_sequence_of_an_epoch_does_not_lock_the_owner_out() {
    let keypair = owner();
    let (_, last) = published_by(&keypair, "tool", u64::MAX);
    let mut lab = lab_of(keypair.into(), true);
    let waiting = lab.registers("tool", "2.0.0");
    let query = only_recall(&mut lab);
    lab.learn(copy(query, &last));
    lab.end(query, 1);
    assert!(answer(waiting).is_none(), "it is being stored");
    assert_eq!(lab.own_head("tool").revision, Revision::new(1, UNIX));
}

#[test]
fn a_publisher_whose_epoch_is_used_up_is_told_what_the_owner_has_to_do() {
    let delegation = delegation(&keypair(1), 3, MONTH);
    let (_, last) = published_by(&owner(), "tool", 1);
    let mut last = last.body().clone();
    (last.revision, last.ext) = (Revision::new(3, u64::MAX), delegation.to_ext());
    let last = Signed::sign(&keypair(1), last).unwrap();
    let delegation = Authority::Delegate(Box::new(delegation));
    let mut lab = lab_of(Identity::new(keypair(1), delegation), true);
    let waiting = lab.registers("tool", "2.0.0");
    let query = only_recall(&mut lab);
    lab.learn(copy(query, &last));
    lab.end(query, 1);
    let Some(Err(Error::Conflict { reason })) = answer(waiting) else { panic!("published") };
    assert!(
        reason.contains("epoch 3 is used up; the owner has to delegate a higher one"),
        "{reason}"
    );

    // The next epoch is the remedy.
    let mut next = publisher(1, 4, MONTH);
    next.engine.cx.store.raise_high_water(&last);
    assert_eq!(signed(&mut next, "tool", "2.0.0").revision, Revision::new(4, UNIX));
}

#[test]
fn the_owner_revokes_by_an_epoch_of_its_own() {
    let mut by_owner = lab_of(Identity::new(owner(), Authority::Owner { epoch: 5 }), false);
    let head = signed(&mut by_owner, "other", "1.0.0");
    assert_eq!((head.revision, head.delegation()), (Revision::new(5, UNIX), None));
    let mut reader = Lab::new(Config::new());
    assert_eq!(reader.hears(&head), Verdict::Accept);
    let stolen = signed(&mut publisher(1, 4, MONTH), "tool", "6.6.6");
    assert_eq!(reader.hears(&stolen), Verdict::Ignore);
    // Its own older records need no renewal.
    let (_, own) = published_by(&owner(), "third", 1);
    assert_eq!(reader.hears(&own), Verdict::Accept);
}

/// What whoever has stolen the first publisher's key says about "tool".
fn stolen_end() -> Signed<Head> {
    let mut thief = publisher(1, 0, MONTH);
    signed(&mut thief, "tool", "1.0.0");
    let name = "tool".parse().unwrap();
    let (_, waiting) = thief.ask(|reply| Command::Unregister { name, confirmation: 0, reply });
    assert!(!matches!(answer(waiting), Some(Err(_))));
    thief.own_head("tool").clone()
}

#[test]
fn within_an_epoch_the_end_of_a_package_is_the_end() {
    let end = stolen_end();
    assert!(end.is_withdrawn());
    let mut reader = Lab::new(Config::new());
    assert_eq!(reader.hears(&end), Verdict::Accept);
    let mut honest = publisher(1, 0, MONTH);
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        let head = signed(&mut honest, "tool", version);
        assert_eq!(reader.hears(&head), Verdict::Ignore, "{}", head.rank());
    }
    // Whoever has published it is told so, too.
    honest.engine.cx.store.raise_high_water(&end);
    assert!(matches!(refused(&mut honest, "tool"), Error::Withdrawn { .. }));
    // In the other order it ends there as well.
    let mut reader = Lab::new(Config::new());
    assert_eq!(reader.hears(honest.own_head("tool")), Verdict::Accept);
    assert_eq!(reader.hears(&end), Verdict::Accept);
    let mark = reader.engine.cx.store.high_water(Kind::Head, &end.owner, &end.name);
    assert_eq!(mark, Some(end.rank()));
}

#[test]
fn an_owner_begins_anew_after_whoever_stole_a_publisher_s_key_has_ended_its_package() {
    let end = stolen_end();
    let mut reader = Lab::new(Config::new());
    assert_eq!(reader.hears(&end), Verdict::Accept);
    let mut next = publisher(2, 1, MONTH);
    next.engine.cx.store.raise_high_water(&end);
    let head = signed(&mut next, "tool", "1.0.1");
    assert_eq!((head.revision, head.is_withdrawn()), (Revision::new(1, UNIX), false));
    assert_eq!(reader.hears(&head), Verdict::Accept);
    assert_eq!(reader.hears(&end), Verdict::Ignore);
}

#[test]
fn messages_are_in_the_publisher_s_own_name() {
    let mut lab = publisher(1, 0, MONTH);
    let _waiting =
        lab.ask(|reply| Command::Announce { topic: "chat".into(), data: b"hi".to_vec(), reply });
    let sent = lab.actions().into_iter().find_map(|action| match action {
        Action::Publish { topic, data, .. } if topic == "chat" => Some(data),
        _ => None,
    });
    let network = NetworkName::default();
    let message = Signed::verify_message(&network, &sent.unwrap(), UNIX).unwrap();
    assert_eq!(message.author, keypair(1).public().to_peer_id());
}

/// Two heads of one revision.
fn two_stories(name: &str) -> [Signed<Head>; 2] {
    let (_, one) = published_by(&keypair(7), name, 3);
    let mut other = one.body().clone();
    other.validity.expires += 60;
    [one, Signed::sign(&keypair(7), other).unwrap()]
}

#[test]
fn two_stories_over_gossip_are_told_once_with_their_proof() {
    let mut lab = Lab::new(Config::new());
    let [one, other] = two_stories("tool");
    for head in [&one, &other, &one, &other] {
        lab.hears(head);
    }
    let expected = EquivocationProof::new(&one, &other).unwrap();
    assert_eq!(proofs(&mut lab), std::slice::from_ref(&expected));
    let (_, waiting) = lab.ask(|reply| Command::Equivocations { reply });
    assert_eq!(answer(waiting), Some(Ok(vec![expected.clone()])));
    let read = EquivocationProof::verify(&NetworkName::default(), &expected.to_bytes());
    assert_eq!(read, Ok(expected));
}

#[test]
fn two_replicas_that_answer_with_two_stories_give_the_owner_away() {
    let mut lab = Lab::new(Config::new());
    let [one, other] = two_stories("tool");
    let id = PackageId::owned(*one.owner(), one.name.clone());
    let (_, waiting) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(&mut lab);
    for head in [&one, &other, &one] {
        lab.learn(copy(query, head));
    }
    lab.end(query, 3);
    assert!(answer(waiting).unwrap().is_ok());
    assert_eq!(proofs(&mut lab), [EquivocationProof::new(&one, &other).unwrap()]);
}

#[test]
fn two_stories_that_are_put_here_give_the_owner_away() {
    let mut lab = Lab::new(Config::new());
    let [one, other] = two_stories("tool");
    for head in [&one, &other, &one] {
        let _ = lab.engine.cx.store.insert(&head.key(), head.bytes());
        lab.engine.learn_stored();
    }
    assert_eq!(proofs(&mut lab), [EquivocationProof::new(&one, &other).unwrap()]);
    // By whichever way it comes again.
    lab.hears(&other);
    assert_eq!(proofs(&mut lab), []);
}

#[test]
fn two_nodes_with_one_key_find_out_about_each_other() {
    let [mut one, mut other] = [(); 2].map(|()| publisher(1, 0, MONTH));
    signed(&mut one, "tool", "1.0.0");
    let contradiction = signed(&mut other, "tool", "2.0.0");
    one.events();
    assert_eq!(one.hears(&contradiction), Verdict::Accept);
    let [proof] = &proofs(&mut one)[..] else { panic!("one proof") };
    assert_eq!(proof.owner(), contradiction.owner());
}

#[test]
fn the_last_proofs_are_kept_and_no_more() {
    let mut lab = Lab::new(Config::new());
    for n in 0..70 {
        let heads = two_stories(&format!("tool-{n}"));
        for head in &heads {
            assert_eq!(lab.hears(head), Verdict::Accept);
        }
    }
    assert_eq!(proofs(&mut lab).len(), 70);
    let kept = lab.engine.standing.equivocations().list();
    assert_eq!(kept.len(), 64);
    assert_eq!(kept.last().unwrap().name().as_str(), "tool-69");
}
