//! Machines without a clock of their own: what an earlier life knew is there once the calendar is right.

use super::{
    sleep::{HOUR, YEAR, hold, is_held, is_listed, lasting, own_head, pass, register},
    *,
};
use crate::engine::interface::QueryEnd;
use crate::record::RecordKey;

/// How many heads of others are listed: more than are verified in one go.
const LISTED: usize = 150;

/// A node that starts from what an earlier one knew, while the calendar is off by so many seconds.
fn start_at(keypair: Keypair, config: Config, snapshot: &Snapshot, by: i64) -> Lab {
    let unix = UNIX.saturating_add_signed(by);
    Setup::of(keypair).with_config(config).at(unix).with_snapshot(snapshot).start()
}

/// What a node knew that publishes one package, holds a few records of others, lists many, and has said something that
/// nobody has heard.
struct Known {
    keypair: Keypair,
    own: Signed<Head>,
    held: Signed<Head>,
    release: Signed<Release>,
    listed: Vec<Signed<Head>>,
    snapshot: Snapshot,
}

fn known() -> Known {
    let keypair = Keypair::generate_ed25519();
    let mut lab = Lab::of(keypair.clone(), Config::new());
    lab.joins();
    register(&mut lab, "mine");
    let (_, held) = lasting("held");
    hold(&lab, &held);
    let other = Keypair::generate_ed25519();
    let manifest = Manifest::new("other".parse().unwrap(), "1.0.0".parse().unwrap());
    let owner = other.public().to_peer_id();
    let release = Release::new(NetworkName::default(), owner, manifest);
    let release = Signed::sign(&other, release).unwrap();
    lab.engine.cx.store.insert(&release.key(), release.bytes()).unwrap();
    let set = claims(&[&other], "other");
    lab.engine.cx.store.insert(&set.key(), &set.to_bytes()).unwrap();
    let listed: Vec<_> = (0..LISTED).map(|n| lasting(&format!("tool-{n}")).1).collect();
    for head in &listed {
        assert_eq!(lab.hears_from(PeerId::random(), head), Verdict::Accept);
    }
    let _ = lab.ask(|reply| Command::Announce { topic: "news".to_owned(), data: vec![1], reply });
    let own = own_head(&lab).clone();
    let snapshot = lab.snapshot();
    Known { keypair, own, held, release, listed, snapshot }
}

/// Lets time pass among peers that hold the own package as it was before the restart.
fn pass_among_holders(lab: &mut Lab, own: &Signed<Head>, seconds: u64) {
    for _ in 0..seconds / 2 {
        lab.advance(Duration::from_secs(2));
        for action in lab.actions() {
            match action {
                Action::Get { query, key, .. } => {
                    if key == own.key() {
                        lab.learn(copy(query, own));
                    }
                    lab.end(query, 3);
                }
                Action::Put { query, .. } => {
                    lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 3 } });
                }
                _ => {}
            }
        }
    }
}

/// That everything is there, by a calendar that is right.
fn check(lab: &Lab, known: &Known) {
    assert!(is_held(lab, &known.held));
    assert!(lab.engine.cx.store.holds(&known.release.key(), known.release.bytes()));
    let claims = RecordKey::claims(&NetworkName::default(), &"other".parse().unwrap());
    assert!(lab.engine.cx.store.held(&claims).is_some());
    let listed = known.listed.iter().filter(|head| is_listed(lab, head)).count();
    assert_eq!(listed, LISTED);
    assert_eq!(lab.engine.publishing.outbox().waiting_on("news").len(), 1);
}

#[test]
fn a_node_that_starts_with_a_wrong_calendar_has_everything_back_once_it_is_right() {
    let known = known();
    for by in [-60 * YEAR, -YEAR, YEAR, 10 * YEAR] {
        let mut lab = start_at(known.keypair.clone(), Config::new(), &known.snapshot, by);
        lab.joins();
        pass(&mut lab, 20);
        lab.set_calendar(-by);
        let sent = pass(&mut lab, 90);
        check(&lab, &known);
        let own = own_head(&lab);
        assert!(own.revision > known.own.revision || *own == known.own, "{by}");
        assert!(!own.validity.is_early(lab.now().unix), "{by}");
        assert!(!own.validity.is_expired(lab.now().unix + HOUR), "{by}");
        assert!(sent.contains(own), "{by}: it is put again");
        // Nor is it lost later on.
        pass(&mut lab, 2 * HOUR);
        assert!(is_held(&lab, &known.held) && is_listed(&lab, &known.listed[0]));
    }
}

#[test]
fn a_snapshot_that_is_taken_meanwhile_holds_everything() {
    let known = known();
    for by in [-60 * YEAR, -YEAR, YEAR, 10 * YEAR] {
        let mut wrong = start_at(known.keypair.clone(), Config::new(), &known.snapshot, by);
        wrong.joins();
        pass(&mut wrong, 60);
        let meanwhile = wrong.snapshot();
        let mut right = start_at(known.keypair.clone(), Config::new(), &meanwhile, 0);
        right.joins();
        pass_among_holders(&mut right, &known.own, 90);
        check(&right, &known);
        assert!(!own_head(&right).validity.is_expired(right.now().unix + HOUR), "{by}");
        assert!(!own_head(&right).validity.is_early(right.now().unix), "{by}");
    }
}

#[test]
fn an_own_package_that_the_store_has_no_room_for_is_resumed_once_the_calendar_is_right() {
    let known = known();
    let config = || Config::new().with_limits(Limits::new().with_store_records(1));
    for by in [-YEAR, YEAR] {
        let mut lab = start_at(known.keypair.clone(), config(), &known.snapshot, by);
        lab.joins();
        // What peers hold is refused for its date, and nothing else is found.
        pass_among_holders(&mut lab, &known.own, 2 * HOUR);
        let meanwhile = lab.snapshot();
        let kept = start_at(known.keypair.clone(), config(), &meanwhile, 0);
        let is_published = |lab: &Lab| {
            lab.engine.publishing.resuming().contains(&known.own.name)
                || !lab.engine.publishing.own().is_empty()
        };
        assert!(is_published(&lab) && is_published(&kept), "{by}");
        lab.set_calendar(-by);
        pass_among_holders(&mut lab, &known.own, 60);
        assert!(!own_head(&lab).validity.is_expired(lab.now().unix), "{by}");
        assert!(!own_head(&lab).validity.is_early(lab.now().unix), "{by}");
    }
}

#[test]
fn what_has_expired_while_the_machine_was_off_is_hidden_at_once_and_gone_after_an_hour() {
    let known = known();
    let keypair = Keypair::generate_ed25519();
    let mut lab = start_at(keypair, Config::new(), &known.snapshot, 20 * 24 * 3600);
    pass(&mut lab, 10);
    assert!(!is_held(&lab, &known.held) && !is_listed(&lab, &known.listed[0]));
    assert_eq!(lab.engine.metadata().known_packages, 0);
    pass(&mut lab, HOUR + 60);
    assert_eq!((lab.engine.discovery.catalogue().len(), lab.engine.cx.store.len()), (0, 0));
}
