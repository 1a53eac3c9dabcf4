//! When a change is announced: once peers hold it, and in any case soon.

use super::*;
use crate::engine::interface::QueryEnd;
use crate::{
    package::{Announcement, Receipt},
    record::RecordKey,
};

type Waiting = oneshot::Receiver<Result<Receipt>>;

/// Who hears of a change is for each test to say.
fn lab_of(config: Config) -> Lab {
    let mut lab =
        Setup::of(Keypair::generate_ed25519()).with_config(config).with_hearers_as_told().start();
    lab.joins();
    lab.actions();
    lab
}

/// What the engine wants of the network.
#[derive(Default)]
struct Wants {
    gets: Vec<(QueryKey, RecordKey)>,
    puts: Vec<(QueryKey, RecordKey, Vec<u8>)>,
    announced: Vec<(AnnouncementId, Vec<u8>)>,
}

fn wants(lab: &mut Lab) -> Wants {
    let mut wants = Wants::default();
    for action in lab.actions() {
        match action {
            Action::Get { query, key, .. } => wants.gets.push((query, key)),
            Action::Put { query, key, bytes } => wants.puts.push((query, key, bytes)),
            Action::Publish { id, data, .. } => wants.announced.push((id, data)),
            _ => {}
        }
    }
    wants
}

/// The heads that are to be announced now.
fn announced(lab: &mut Lab) -> Vec<(AnnouncementId, Vec<u8>)> {
    wants(lab).announced
}

fn tell(lab: &mut Lab, id: AnnouncementId, outcome: Published) {
    lab.learn(Fact::Published { id, outcome });
}

fn stored(lab: &mut Lab, put: &(QueryKey, RecordKey, Vec<u8>)) {
    lab.learn(Fact::QueryEnded { query: put.0, end: QueryEnd::Stored { replicas: 7 } });
}

/// Somebody hears announcements from now on.
fn subscribed(lab: &mut Lab) {
    lab.learn(Fact::Hearer { topic: "announcements".to_owned() });
}

fn own_head(lab: &Lab, name: &str) -> Vec<u8> {
    lab.engine.publishing.own()[name].head.bytes().to_vec()
}

/// What another device with the same key has published.
fn another_head(lab: &Lab) -> Signed<Head> {
    let (owner, own) = (lab.engine.cx.owner, &lab.engine.publishing.own()["tool"].head);
    let manifest = Manifest::new("tool".parse().unwrap(), "1.0.5".parse().unwrap());
    let release = Release::new(NetworkName::default(), owner, manifest.clone());
    let release = Signed::sign(&lab.engine.cx.keypair, release).unwrap();
    let head = Head::live(
        NetworkName::default(),
        owner,
        Revision::new(0, own.revision.sequence + 1),
        Validity::starting(lab.now().unix, 3600),
        manifest,
        vec![ReleaseEntry::of(&release)],
        None,
    );
    Signed::sign(&lab.engine.cx.keypair, head).unwrap()
}

/// A change that is signed, and on its way to peers.
struct Change {
    ticket: Ticket,
    waiting: Waiting,
    wants: Wants,
}

fn change_within(
    lab: &mut Lab,
    time: Duration,
    command: impl FnOnce(Reply<Receipt>) -> Command,
) -> Change {
    let (reply, waiting) = Reply::channel();
    let ticket = Ticket(lab.tickets);
    lab.tickets += 1;
    let (asked, deadline) = (lab.mono, lab.mono + time);
    let command = command(reply);
    lab.engine.command(lab.now(), Request { ticket, asked, deadline, command });
    for (query, _) in wants(lab).gets {
        lab.end(query, 3);
    }
    let wants = wants(lab);
    assert!(!wants.puts.is_empty());
    Change { ticket, waiting, wants }
}

fn register_within(lab: &mut Lab, time: Duration, version: &str, confirmation: u8) -> Change {
    let manifest = Manifest::new("tool".parse().unwrap(), version.parse().unwrap());
    let manifest = Box::new(manifest);
    change_within(lab, time, |reply| Command::Register { manifest, confirmation, reply })
}

fn register(lab: &mut Lab, version: &str, confirmation: u8) -> Change {
    register_within(lab, Duration::from_secs(30), version, confirmation)
}

/// A package of this node's that was announced a while ago.
fn lab_with_package() -> Lab {
    let mut lab = lab_of(Config::new());
    let change = register(&mut lab, "1.0.0", 0);
    change.wants.puts.iter().for_each(|put| stored(&mut lab, put));
    for (id, _) in change.wants.announced.into_iter().chain(announced(&mut lab)) {
        tell(&mut lab, id, Published::Sent);
    }
    assert!(answer(change.waiting).unwrap().is_ok());
    lab.advance(Duration::from_secs(5));
    lab
}

const TICK: Duration = Duration::from_millis(10);

#[test]
fn a_change_is_announced_when_its_last_put_has_ended_and_the_receipt_says_so() {
    let mut lab = lab_of(Config::new());
    let Change { mut waiting, wants, .. } = register(&mut lab, "1.0.0", 0);
    assert_eq!(wants.announced, [], "it is on its way");
    let (last, others) = wants.puts.split_last().unwrap();
    for put in others {
        stored(&mut lab, put);
        assert_eq!(announced(&mut lab), []);
    }
    stored(&mut lab, last);
    let out = announced(&mut lab);
    let [(id, head)] = &out[..] else { panic!("one announcement: {out:?}") };
    assert_eq!(*head, own_head(&lab, "tool"));
    assert_eq!((&mut waiting).now_or_never(), None, "who has heard it is known in a moment");
    tell(&mut lab, *id, Published::Sent);
    let receipt = answer(waiting).unwrap().unwrap();
    assert_eq!((receipt.replicas, receipt.announcement), (7, Announcement::Sent));
    assert!(lab.engine.is_at_rest());
    // That was all.
    subscribed(&mut lab);
    lab.advance(Duration::from_secs(5));
    assert_eq!(announced(&mut lab), []);
}

#[test]
fn where_nobody_hears_it_the_caller_is_told_and_whoever_subscribes_hears_it() {
    for outcome in [Published::Unheard, Published::Impossible] {
        let mut lab = lab_of(Config::new());
        let Change { waiting, wants, .. } = register(&mut lab, "1.0.0", 0);
        wants.puts.iter().for_each(|put| stored(&mut lab, put));
        let out = announced(&mut lab);
        tell(&mut lab, out[0].0, outcome);
        assert_eq!(answer(waiting).unwrap().unwrap().announcement, Announcement::Queued);
        subscribed(&mut lab);
        let expected = usize::from(outcome == Published::Unheard);
        assert_eq!(announced(&mut lab).len(), expected);
    }
}

#[test]
fn a_change_that_is_to_be_read_back_is_announced_when_it_was() {
    let mut lab = lab_of(Config::new());
    let Change { mut waiting, wants: begun, .. } = register(&mut lab, "1.0.0", 1);
    begun.puts.iter().for_each(|put| stored(&mut lab, put));
    let Wants { gets, announced: out, .. } = wants(&mut lab);
    assert_eq!((gets.len(), out), (3, Vec::new()));
    let served = |key| begun.puts.iter().find(|(_, put, _)| *put == key).unwrap().2.clone();
    for (query, key) in gets {
        assert_eq!(announced(&mut lab), []);
        lab.learn(Fact::Copy { query, from: Some(PeerId::random()), bytes: served(key) });
    }
    let out = announced(&mut lab);
    assert_eq!(out.len(), 1);
    assert_eq!((&mut waiting).now_or_never(), None);
    tell(&mut lab, out[0].0, Published::Sent);
    let receipt = answer(waiting).unwrap().unwrap();
    assert_eq!((receipt.confirmed, receipt.announcement), (1, Announcement::Sent));
}

#[test]
fn a_second_after_it_was_signed_a_change_is_announced_whatever_is_under_way() {
    for confirmation in [0, 1] {
        let mut lab = lab_of(Config::new());
        let Change { mut waiting, wants, .. } = register(&mut lab, "1.0.0", confirmation);
        let (slow, others) = wants.puts.split_last().unwrap();
        let stuck = if confirmation == 0 { others } else { &wants.puts[..] };
        stuck.iter().for_each(|put| stored(&mut lab, put));
        lab.advance(Duration::from_millis(980));
        assert_eq!(announced(&mut lab), []);
        lab.advance(Duration::from_millis(20) + TICK);
        let out = announced(&mut lab);
        assert_eq!(out.len(), 1);
        tell(&mut lab, out[0].0, Published::Sent);
        assert_eq!((&mut waiting).now_or_never(), None, "peers are still asked");
        if confirmation == 0 {
            stored(&mut lab, slow);
            assert_eq!(announced(&mut lab), [], "it has left");
            assert_eq!(answer(waiting).unwrap().unwrap().announcement, Announcement::Sent);
        }
    }
}

#[test]
fn a_caller_whose_time_is_up_keeps_nobody_from_hearing_of_the_change() {
    let mut lab = lab_of(Config::new());
    let time = Duration::from_millis(200);
    let Change { waiting, wants, .. } = register_within(&mut lab, time, "1.0.0", 2);
    lab.advance(time);
    assert_eq!(answer(waiting).unwrap().unwrap().replicas, 0);
    assert_eq!(announced(&mut lab).len(), 1);
    wants.puts.iter().for_each(|put| stored(&mut lab, put));
    lab.advance(Duration::from_secs(5));
    assert_eq!(announced(&mut lab), []);
    assert!(lab.engine.is_at_rest());
}

#[test]
fn a_caller_who_goes_away_keeps_nobody_from_hearing_of_the_change() {
    for puts_have_ended in [false, true] {
        let mut lab = lab_of(Config::new());
        let Change { ticket, waiting, wants: begun } = register(&mut lab, "1.0.0", 2);
        if puts_have_ended {
            begun.puts.iter().for_each(|put| stored(&mut lab, put));
        }
        let Wants { gets, announced: out, .. } = wants(&mut lab);
        assert_eq!(out, []);
        drop(waiting);
        lab.engine.cancel(ticket);
        assert_eq!(announced(&mut lab).len(), 1);
        if !puts_have_ended {
            begun.puts.iter().for_each(|put| stored(&mut lab, put));
        }
        gets.into_iter().for_each(|(query, _)| lab.end(query, 3));
        lab.advance(Duration::from_secs(5));
        assert_eq!(announced(&mut lab), []);
        assert!(lab.engine.is_at_rest());
    }
}

#[test]
fn whoever_gives_up_between_the_announcement_and_what_became_of_it_is_answered_once() {
    for gives_up in [true, false] {
        let mut lab = lab_of(Config::new());
        let Change { ticket, mut waiting, wants } = register(&mut lab, "1.0.0", 0);
        wants.puts.iter().for_each(|put| stored(&mut lab, put));
        let out = announced(&mut lab);
        if gives_up {
            lab.engine.cancel(ticket);
        } else {
            lab.advance(Duration::from_secs(30));
            let receipt = (&mut waiting).now_or_never().expect("answered").unwrap().unwrap();
            assert_eq!(receipt.replicas, 7);
        }
        assert!(lab.engine.is_at_rest());
        tell(&mut lab, out[0].0, Published::Sent);
        assert!(lab.engine.is_at_rest());
        let calls = lab.engine.counters().calls.register;
        assert_eq!((calls.cancelled, calls.answered), (u64::from(gives_up), u64::from(!gives_up)));
    }
}

#[test]
fn a_node_that_stops_announces_what_it_has_signed() {
    let mut lab = lab_of(Config::new());
    let Change { waiting, .. } = register(&mut lab, "1.0.0", 0);
    lab.engine.shut_down();
    assert_eq!(answer(waiting).unwrap().unwrap_err().kind(), "shutting_down");
    let out = announced(&mut lab);
    assert_eq!(out.len(), 1);
    tell(&mut lab, out[0].0, Published::Sent);
    lab.advance(Duration::from_secs(5));
    assert_eq!(announced(&mut lab), []);
}

#[test]
fn a_node_that_stops_tells_a_caller_whose_change_is_stored_that_it_is() {
    let mut lab = lab_of(Config::new());
    let Change { waiting, wants, .. } = register(&mut lab, "1.0.0", 0);
    wants.puts.iter().for_each(|put| stored(&mut lab, put));
    lab.engine.shut_down();
    assert_eq!(answer(waiting).unwrap().unwrap().replicas, 7);
}

#[test]
fn a_snapshot_has_what_is_not_announced_yet() {
    let mut lab = lab_of(Config::new());
    let Change { wants, .. } = register(&mut lab, "1.0.0", 0);
    let kept = |lab: &mut Lab| {
        let (_, snapshot) = lab.ask(|reply| Command::Snapshot { reply });
        let snapshot = answer(snapshot).unwrap().unwrap();
        snapshot.outbox().iter().map(|unheard| unheard.data.clone()).collect::<Vec<_>>()
    };
    assert_eq!(kept(&mut lab), [own_head(&lab, "tool")]);
    wants.puts.iter().for_each(|put| stored(&mut lab, put));
    let out = announced(&mut lab);
    assert_eq!(out.len(), 1);
    tell(&mut lab, out[0].0, Published::Sent);
    assert_eq!(kept(&mut lab), Vec::<Vec<u8>>::new());
}

#[test]
fn who_subscribes_while_peers_store_a_change_hears_of_it_when_they_have() {
    let mut lab = lab_of(Config::new());
    let Change { waiting, wants, .. } = register(&mut lab, "1.0.0", 0);
    for put in &wants.puts {
        subscribed(&mut lab);
        // Nor does it matter that the calendar is set.
        lab.set_calendar(-7200);
        lab.set_calendar(7200);
        assert_eq!(announced(&mut lab), []);
        stored(&mut lab, put);
    }
    let out = announced(&mut lab);
    assert_eq!(out.len(), 1);
    tell(&mut lab, out[0].0, Published::Sent);
    assert_eq!(answer(waiting).unwrap().unwrap().announcement, Announcement::Sent);
}

#[test]
fn of_two_changes_that_are_stored_at_the_same_time_the_newer_is_announced() {
    let mut lab = lab_with_package();
    let first = register(&mut lab, "1.1.0", 0);
    let second = register(&mut lab, "1.2.0", 0);
    first.wants.puts.iter().for_each(|put| stored(&mut lab, put));
    assert!(answer(first.waiting).unwrap().is_ok());
    assert_eq!(announced(&mut lab), [], "the newer one is on its way");
    second.wants.puts.iter().for_each(|put| stored(&mut lab, put));
    let out = announced(&mut lab);
    let [(id, head)] = &out[..] else { panic!("one announcement: {out:?}") };
    assert_eq!(*head, own_head(&lab, "tool"));
    tell(&mut lab, *id, Published::Sent);
    assert_eq!(answer(second.waiting).unwrap().unwrap().announcement, Announcement::Sent);
    lab.advance(Duration::from_secs(5));
    assert_eq!(announced(&mut lab), []);
}

#[test]
fn of_changes_that_follow_each_other_without_a_pause_something_is_heard_each_second() {
    let mut lab = lab_with_package();
    let mut out = 0;
    let mut before: Option<Change> = None;
    for minor in 1..40 {
        let change = register(&mut lab, &format!("1.{minor}.0"), 0);
        // Peers need longer for each than it takes until the next.
        if let Some(before) = before.replace(change) {
            before.wants.puts.iter().for_each(|put| stored(&mut lab, put));
        }
        lab.advance(Duration::from_millis(250));
        for (id, _) in announced(&mut lab) {
            tell(&mut lab, id, Published::Sent);
            out += 1;
        }
    }
    assert!((7..=10).contains(&out), "{out} in ten seconds");
}

#[test]
fn a_head_that_a_read_back_has_put_in_doubt_is_announced_if_no_other_takes_its_place() {
    let mut lab = lab_with_package();
    let Change { mut waiting, wants: begun, .. } = register(&mut lab, "1.1.0", 1);
    begun.puts.iter().for_each(|put| stored(&mut lab, put));
    // Another device has published as well.
    let other = another_head(&lab);
    let served = |key| begun.puts.iter().find(|(_, put, _)| *put == key).unwrap().2.clone();
    for (query, key) in wants(&mut lab).gets {
        if key == other.key() {
            lab.learn(copy(query, &other));
        }
        lab.learn(Fact::Copy { query, from: Some(PeerId::random()), bytes: served(key) });
        lab.end(query, 2);
    }
    let Wants { gets, announced: out, .. } = wants(&mut lab);
    assert_eq!(out, [], "another is to be above both");
    assert_eq!((&mut waiting).now_or_never(), None);
    // It is not heard in time whether that is all there is.
    let [(query, _)] = gets[..] else { panic!("one lookup: {gets:?}") };
    lab.learn(copy(query, &other));
    lab.learn(Fact::QueryEnded { query, end: QueryEnd::LookupCutShort });
    let out = announced(&mut lab);
    let [(id, head)] = &out[..] else { panic!("one announcement: {out:?}") };
    assert_eq!(*head, own_head(&lab, "tool"));
    tell(&mut lab, *id, Published::Sent);
    let receipt = answer(waiting).unwrap().unwrap();
    assert_eq!((receipt.confirmed, receipt.announcement), (1, Announcement::Sent));
}

#[test]
fn a_yank_and_a_withdrawal_are_announced_when_peers_hold_them() {
    let mut lab = lab_with_package();
    let yank = |reply| Command::Yank {
        of: Box::new(("tool".parse().unwrap(), "1.0.0".parse().unwrap())),
        reason: String::new(),
        confirmation: 0,
        reply,
    };
    let unregister =
        |reply| Command::Unregister { name: "tool".parse().unwrap(), confirmation: 0, reply };
    let commands: [fn(Reply<Receipt>) -> Command; 2] = [yank, unregister];
    for command in commands {
        let Change { waiting, wants, .. } =
            change_within(&mut lab, Duration::from_secs(30), command);
        assert_eq!(wants.announced, []);
        wants.puts.iter().for_each(|put| stored(&mut lab, put));
        let out = announced(&mut lab);
        let [(id, head)] = &out[..] else { panic!("one announcement: {out:?}") };
        assert_eq!(*head, own_head(&lab, "tool"));
        tell(&mut lab, *id, Published::Sent);
        assert_eq!(answer(waiting).unwrap().unwrap().announcement, Announcement::Sent);
        lab.advance(Duration::from_secs(5));
    }
}

#[test]
fn a_package_that_is_put_again_is_announced_when_peers_hold_it() {
    let mut lab = lab_with_package();
    (0..14).for_each(|_| lab.advance(Duration::from_secs(3600)));
    let recalled = wants(&mut lab);
    let head = own_head(&lab, "tool");
    for (query, _) in recalled.gets {
        lab.learn(Fact::Copy { query, from: Some(PeerId::random()), bytes: head.clone() });
        lab.end(query, 3);
    }
    let begun = wants(&mut lab);
    assert_eq!((begun.puts.is_empty(), begun.announced), (false, Vec::new()));
    begun.puts.iter().for_each(|put| stored(&mut lab, put));
    let out = announced(&mut lab);
    assert_eq!(out.len(), 1);
    tell(&mut lab, out[0].0, Published::Sent);
    assert!(lab.engine.is_at_rest());
}

#[test]
fn of_more_changes_than_there_are_places_for_announcements_each_is_announced() {
    for places in [1, 2, 3, 8] {
        let limits = Limits::new().with_queued_announcements(places);
        let mut lab = lab_of(Config::new().with_limits(limits));
        let (mut all, mut out) = (Vec::new(), Vec::new());
        for number in 0..10 {
            let name = format!("tool-{number}");
            let manifest = Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap());
            let manifest = Box::new(manifest);
            let mut change = change_within(&mut lab, Duration::from_secs(30), |reply| {
                Command::Register { manifest, confirmation: 0, reply }
            });
            for (id, data) in change.wants.announced.drain(..) {
                tell(&mut lab, id, Published::Sent);
                out.push(data);
            }
            all.push(change);
        }
        for change in all {
            change.wants.puts.iter().for_each(|put| stored(&mut lab, put));
            for (id, data) in announced(&mut lab) {
                tell(&mut lab, id, Published::Sent);
                out.push(data);
            }
            let receipt = answer(change.waiting).unwrap().unwrap();
            assert_eq!(receipt.announcement, Announcement::Sent);
        }
        out.sort();
        let mut heads: Vec<_> =
            (0..10).map(|number| own_head(&lab, &format!("tool-{number}"))).collect();
        heads.sort();
        assert_eq!(out, heads, "{places} places");
    }
}
