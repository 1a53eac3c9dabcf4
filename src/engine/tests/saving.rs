//! When what has changed is written, and when those who have changed it hear that it is.

use super::{harness::Hearers, *};
use crate::{
    engine::interface::QueryEnd,
    package::{Announcement, Receipt},
    storage::{Change, StorageError, Table},
};

type Waiting<T> = oneshot::Receiver<Result<T>>;

/// A node with a storage, which knows one peer and is told by the test what becomes of its announcements.
fn lab_of(config: Config) -> Lab {
    let mut lab = Lab { hearers: Hearers::AsTold, ..Lab::new(config) };
    lab.engine.note_changes(0);
    // There was nothing to read.
    lab.engine.all_read();
    lab
}

fn lab() -> Lab {
    lab_of(Config::new())
}

/// What is written now, if anything is. As a node does, it looks at those whose time is up.
fn begun(lab: &mut Lab) -> Option<Vec<Change>> {
    let now = lab.now();
    let changes = lab.engine.save(now);
    lab.engine.release(now);
    changes
}

fn rows_of(changes: &[Change], table: Table) -> usize {
    changes.iter().filter(|change| change.table == table).count()
}

fn written(lab: &mut Lab) {
    lab.engine.saved(lab.now(), &Ok(1));
    lab.engine.release(lab.now());
}

fn full(lab: &mut Lab) {
    lab.engine.saved(lab.now(), &Err(StorageError::Full));
    lab.engine.release(lab.now());
}

/// All that is to be written is.
fn at_rest(lab: &mut Lab) {
    lab.advance(Duration::from_secs(1));
    while begun(lab).is_some() {
        written(lab);
    }
}

fn pin(lab: &mut Lab, name: &str) -> Waiting<Option<PeerId>> {
    let (name, owner) = (name.parse().unwrap(), Some(PeerId::random()));
    lab.ask(|reply| Command::Pin { name, owner, reply }).1
}

/// A package of which peers have said what they hold. Its puts are under way.
fn signed(lab: &mut Lab, name: &str) -> (Waiting<Receipt>, Vec<QueryKey>) {
    let manifest = Manifest::new(name.parse().unwrap(), "1.0.0".parse().unwrap());
    let manifest = Box::new(manifest);
    let (_, waiting) = lab.ask(|reply| Command::Register { manifest, confirmation: 0, reply });
    for lookup in lab.lookups() {
        lab.end(lookup, 3);
    }
    let puts = lab.actions().into_iter().filter_map(|action| match action {
        Action::Put { query, .. } => Some(query),
        _ => None,
    });
    (waiting, puts.collect())
}

fn announced(lab: &mut Lab) -> Vec<AnnouncementId> {
    let ids = lab.actions().into_iter().filter_map(|action| match action {
        Action::Publish { id, .. } => Some(id),
        _ => None,
    });
    ids.collect()
}

/// Peers hold it and what has waited for its place behind it, and somebody has heard of it.
fn put(lab: &mut Lab, mut puts: Vec<QueryKey>) {
    while let Some(query) = puts.pop() {
        lab.learn(Fact::QueryEnded { query, end: QueryEnd::Stored { replicas: 7 } });
        for action in lab.actions() {
            match action {
                Action::Put { query, .. } => puts.push(query),
                Action::Publish { id, .. } => {
                    lab.learn(Fact::Published { id, outcome: Published::Sent });
                }
                _ => {}
            }
        }
    }
}

fn announce(lab: &mut Lab, outcome: Published) -> Waiting<Announcement> {
    let topic = "news".to_owned();
    let (_, waiting) = lab.ask(|reply| Command::Announce { topic, data: b"hello".to_vec(), reply });
    for id in announced(lab) {
        lab.learn(Fact::Published { id, outcome });
    }
    waiting
}

fn unsaved<T>(waiting: Waiting<T>) -> bool {
    matches!(answer(waiting), Some(Err(Error::Storage { .. })))
}

#[test]
fn a_commit_that_hangs_keeps_no_caller_beyond_its_time() {
    let mut lab = lab();
    let first = pin(&mut lab, "first");
    assert!(begun(&mut lab).is_some());
    lab.advance(Duration::from_secs(10));
    let second = pin(&mut lab, "second");
    for (waiting, until) in [(first, 30), (second, 40)] {
        let until = STARTED + Duration::from_secs(until);
        assert!(begun(&mut lab).is_none());
        assert_eq!(lab.engine.next_save(), Some(until));
        lab.mono = until;
        assert!(begun(&mut lab).is_none());
        assert!(unsaved(waiting));
    }
    assert_eq!(lab.engine.next_save(), None, "nobody waits, and the commit ends by itself");
}

#[test]
fn whoever_has_changed_something_that_is_written_waits_for_nothing_that_others_have_changed() {
    let mut lab = lab();
    let (mut waiting, puts) = signed(&mut lab, "tool");
    let changes = begun(&mut lab).expect("its rows");
    assert!(rows_of(&changes, Table::Own) > 0);
    written(&mut lab);
    lab.advance(Duration::from_secs(29));
    let mut another = pin(&mut lab, "another");
    assert!(begun(&mut lab).is_some(), "it takes its time");
    let mut third = pin(&mut lab, "third");
    assert!((&mut waiting).now_or_never().is_none());
    put(&mut lab, puts);
    assert!(answer(waiting).unwrap().is_ok());
    // Those wait for the commits that hold what they have changed, each for its own.
    assert!((&mut another).now_or_never().is_none());
    written(&mut lab);
    assert_eq!(answer(another), Some(Ok(None)));
    assert!((&mut third).now_or_never().is_none());
    assert!(begun(&mut lab).is_some());
    written(&mut lab);
    assert_eq!(answer(third), Some(Ok(None)));
}

#[test]
fn whoever_is_answered_when_the_time_is_up_hears_that_it_is_written() {
    let mut lab = lab();
    let (mut waiting, _puts) = signed(&mut lab, "tool");
    // The answer comes with the deadline, and nothing of it was tried to be written before.
    lab.advance(Duration::from_secs(30));
    assert!((&mut waiting).now_or_never().is_none());
    assert!(begun(&mut lab).is_some());
    lab.advance(Duration::from_millis(200));
    assert!(begun(&mut lab).is_none());
    written(&mut lab);
    assert!(answer(waiting).unwrap().is_ok());
}

#[test]
fn the_time_that_is_given_to_a_late_answer_is_short() {
    let mut lab = lab();
    let (waiting, _puts) = signed(&mut lab, "tool");
    lab.advance(Duration::from_secs(30));
    assert!(begun(&mut lab).is_some());
    lab.advance(Duration::from_millis(250));
    assert!(begun(&mut lab).is_none());
    assert!(unsaved(waiting));
}

#[test]
fn a_change_that_could_not_be_written_is_tried_once_more_for_its_caller() {
    let mut lab = lab();
    let (mut waiting, puts) = signed(&mut lab, "tool");
    assert!(begun(&mut lab).is_some());
    full(&mut lab);
    assert!((&mut waiting).now_or_never().is_none(), "its puts are under way");
    lab.advance(Duration::from_secs(1));
    put(&mut lab, puts);
    assert!((&mut waiting).now_or_never().is_none(), "it is not written");
    assert!(begun(&mut lab).is_some());
    written(&mut lab);
    assert!(answer(waiting).unwrap().is_ok());
}

#[test]
fn a_change_is_written_as_soon_as_it_is_signed() {
    let mut lab = lab();
    let (mut waiting, puts) = signed(&mut lab, "tool");
    let changes = begun(&mut lab).expect("in the same poll");
    assert!(rows_of(&changes, Table::Own) > 0);
    written(&mut lab);
    assert!((&mut waiting).now_or_never().is_none(), "its puts are under way");
    lab.advance(Duration::from_millis(10));
    put(&mut lab, puts);
    assert!(answer(waiting).unwrap().is_ok());
    assert!(begun(&mut lab).is_none(), "one commit, and none for an announcement that has left");
}

#[test]
fn many_changes_at_once_share_their_commits() {
    let mut lab = lab();
    let mut commits = 0;
    let calls: Vec<_> = (0..12)
        .map(|at| {
            let call = signed(&mut lab, &format!("tool-{at}"));
            commits += usize::from(begun(&mut lab).is_some());
            call
        })
        .collect();
    assert_eq!(commits, 1, "it runs");
    written(&mut lab);
    assert!(begun(&mut lab).is_some());
    let (answers, puts): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
    put(&mut lab, puts.concat());
    written(&mut lab);
    for (at, waiting) in answers.into_iter().enumerate() {
        assert!(answer(waiting).is_some_and(|told| told.is_ok()), "call {at}");
    }
    assert!(begun(&mut lab).is_none());
}

#[test]
fn a_failing_disk_is_not_tried_for_each_change_of_which_nobody_waits() {
    let mut lab = lab();
    let (_waiting, _puts) = signed(&mut lab, "tool");
    assert!(begun(&mut lab).is_some());
    full(&mut lab);
    let mut tries = 0;
    for _ in 0..100 {
        lab.advance(Duration::from_millis(100));
        if begun(&mut lab).is_some() {
            tries += 1;
            full(&mut lab);
        }
    }
    assert!((4..8).contains(&tries), "{tries} tries in ten seconds");
}

#[test]
fn a_message_that_was_heard_or_cannot_be_sent_waits_for_no_disk() {
    let mut lab = lab();
    at_rest(&mut lab);
    assert_eq!(answer(announce(&mut lab, Published::Sent)), Some(Ok(Announcement::Sent)));
    let impossible = announce(&mut lab, Published::Impossible);
    assert!(matches!(answer(impossible), Some(Err(Error::Transport { .. }))));
    lab.advance(Duration::from_secs(2));
    let changes = begun(&mut lab).unwrap_or_default();
    assert_eq!(rows_of(&changes, Table::Outbox), 0, "there is nothing to remove");
}

#[test]
fn a_message_that_nobody_has_heard_is_written_before_its_caller_hears_of_it_and_removed_when_sent()
{
    let mut lab = lab();
    at_rest(&mut lab);
    let mut queued = announce(&mut lab, Published::Unheard);
    assert!((&mut queued).now_or_never().is_none());
    let changes = begun(&mut lab).expect("at once");
    assert_eq!(rows_of(&changes, Table::Outbox), 1);
    written(&mut lab);
    assert_eq!(answer(queued), Some(Ok(Announcement::Queued)));
    lab.learn(Fact::Hearer { topic: "news".to_owned() });
    for id in announced(&mut lab) {
        lab.learn(Fact::Published { id, outcome: Published::Sent });
    }
    assert!(begun(&mut lab).is_none(), "nobody waits for its removal");
    lab.advance(Duration::from_secs(1));
    let changes = begun(&mut lab).expect("its removal");
    let [removed] =
        &changes.iter().filter(|row| row.table == Table::Outbox).collect::<Vec<_>>()[..]
    else {
        panic!("one row: {changes:?}")
    };
    assert_eq!(removed.value, None);
}

#[test]
fn while_a_commit_hangs_no_more_callers_wait_for_it_than_may() {
    let limits = Limits::new().with_waiting_calls(3);
    let mut lab = lab_of(Config::new().with_limits(limits));
    let mut waiting: Vec<_> = (0..3).map(|_| announce(&mut lab, Published::Unheard)).collect();
    assert!(begun(&mut lab).is_some());
    let refused = announce(&mut lab, Published::Unheard);
    assert_eq!(answer(refused), Some(Err(Error::busy("waiting_calls"))));
    written(&mut lab);
    for queued in waiting.drain(..) {
        assert_eq!(answer(queued), Some(Ok(Announcement::Queued)));
    }
}

/// So many records of others come to lie here.
fn hold(lab: &mut Lab, records: u32) {
    for number in 0..records {
        let (_, head) = published(&format!("tool-{number}"), 1);
        lab.engine.cx.store.insert(&head.key(), head.bytes()).unwrap();
    }
}

#[test]
fn what_is_held_for_others_is_written_in_portions_with_no_pause_between_them() {
    let mut lab = lab();
    at_rest(&mut lab);
    hold(&mut lab, 600);
    assert!(begun(&mut lab).is_none(), "nobody waits");
    lab.advance(Duration::from_secs(1));
    let mut portions = Vec::new();
    while let Some(changes) = begun(&mut lab) {
        assert!(changes.len() <= 1024);
        portions.push(rows_of(&changes, Table::Held));
        written(&mut lab);
    }
    assert_eq!(portions, [256, 256, 88]);
}

#[test]
fn own_changes_are_written_at_once_however_much_of_others_waits() {
    let mut lab = lab();
    at_rest(&mut lab);
    hold(&mut lab, 600);
    let pinned = pin(&mut lab, "tool");
    let changes = begun(&mut lab).expect("at once");
    assert_eq!(rows_of(&changes, Table::Pins), 1);
    written(&mut lab);
    assert_eq!(answer(pinned), Some(Ok(None)));
}

fn told(lab: &mut Lab) -> (usize, usize) {
    let events: Vec<Event> = std::iter::from_fn(|| lab.engine.next_event()).collect();
    let failed = events.iter().filter(|event| matches!(event, Event::StorageFailed { .. }));
    let recovered = events.iter().filter(|event| matches!(event, Event::StorageRecovered));
    (failed.count(), recovered.count())
}

#[test]
fn that_a_storage_has_recovered_is_told_once_all_is_written_that_could_not_be() {
    let mut lab = lab();
    at_rest(&mut lab);
    hold(&mut lab, 600);
    let waiting = pin(&mut lab, "tool");
    assert!(begun(&mut lab).is_some());
    full(&mut lab);
    assert!(unsaved(waiting));
    assert_eq!(told(&mut lab), (1, 0));
    lab.advance(Duration::from_secs(1));
    for _ in 0..2 {
        assert!(begun(&mut lab).is_some());
        written(&mut lab);
        assert_eq!(told(&mut lab), (0, 0), "there is more");
    }
    assert!(begun(&mut lab).is_some());
    written(&mut lab);
    assert_eq!(told(&mut lab), (0, 1));
}

#[test]
fn what_is_being_written_counts_as_unsaved() {
    let mut lab = lab();
    at_rest(&mut lab);
    let unsaved = |lab: &Lab| lab.engine.storage_report().unwrap().unsaved;
    let _waiting = pin(&mut lab, "tool");
    assert_eq!(unsaved(&lab), 1);
    assert!(begun(&mut lab).is_some());
    assert_eq!(unsaved(&lab), 1);
    written(&mut lab);
    assert_eq!(unsaved(&lab), 0);
}

#[test]
fn a_node_that_stops_tries_a_failing_disk_once_more_and_does_not_wait_for_it() {
    let mut lab = lab();
    at_rest(&mut lab);
    let _waiting = pin(&mut lab, "tool");
    assert!(begun(&mut lab).is_some());
    full(&mut lab);
    lab.engine.shut_down();
    assert!(lab.engine.is_saving());
    assert!(begun(&mut lab).is_some(), "at once");
    assert!(lab.engine.is_saving());
    full(&mut lab);
    assert!(!lab.engine.is_saving());
}
