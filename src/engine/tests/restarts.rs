//! What a node that starts from a snapshot knows, says and does not say again.

use super::*;
use crate::{coverage::Coverage, package::Query};

/// A node that starts from what another one knew, of the same key or not, and knows nobody yet.
fn start_from(keypair: Keypair, config: Config, snapshot: &Snapshot) -> Lab {
    Setup::of(keypair).with_config(config).with_snapshot(snapshot).start()
}

fn names(lab: &mut Lab) -> Vec<String> {
    let query = Query::new().with_limit(100);
    let (_, found) = lab.ask(|reply| Command::Search { query: Box::new(query), reply });
    let found = answer(found).unwrap().unwrap().packages;
    let mut names: Vec<_> = found.iter().map(|package| package.id.name().to_string()).collect();
    names.sort();
    names
}

fn discovered(lab: &mut Lab) -> usize {
    lab.events().into_iter().filter(|event| matches!(event, Event::Discovered { .. })).count()
}

/// What is handed to the network to announce on a topic.
fn published_on(lab: &mut Lab, wanted: &str) -> Vec<(AnnouncementId, Vec<u8>)> {
    let actions = lab.actions().into_iter();
    actions
        .filter_map(|action| match action {
            Action::Publish { id, topic, data } if topic == wanted => Some((id, data)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_snapshot_that_is_taken_while_the_catalogue_is_still_read_back_has_all_of_it() {
    let mut before = Lab::new(Config::new());
    for number in 0..300 {
        before.hears_news(&published(&format!("tool-{number}"), 1).1);
    }
    let first = before.snapshot();
    let mut between = start_from(Keypair::generate_ed25519(), Config::new(), &first);
    assert!(between.engine.discovery.catalogue().len() < 300, "it is being read");
    let second = between.snapshot();
    let mut after = start_from(Keypair::generate_ed25519(), Config::new(), &second);
    (0..5).for_each(|_| after.advance(Duration::from_secs(1)));
    assert_eq!(after.engine.discovery.catalogue().len(), 300);
}

#[test]
fn what_was_known_before_a_restart_is_searched_after_it_and_no_discovery() {
    let mut before = Lab::new(Config::new());
    let (_, head) = published("tool", 1);
    before.hears_news(&head);
    let snapshot = before.snapshot();
    let mut after = start_from(Keypair::generate_ed25519(), Config::new(), &snapshot);
    assert_eq!(names(&mut after), ["tool"]);
    after.hears_news(&head);
    assert_eq!(discovered(&mut after), 0);
}

#[test]
fn packages_of_this_nodes_owner_are_searched_after_a_restart_whoever_has_published_them() {
    let keypair = Keypair::generate_ed25519();
    let config = || Config::new().with_coverage(Coverage::None);
    let mut before = Lab::of(keypair.clone(), config());
    // One that it publishes itself, and one of which it has merely heard.
    drop(before.registers("mine", "1.0.0"));
    let (_, elsewhere) = published_by(&keypair, "elsewhere", 1);
    before.hears_news(&elsewhere);
    assert_eq!(names(&mut before), ["elsewhere", "mine"]);
    let snapshot = before.snapshot();
    let mut after = start_from(keypair, config(), &snapshot);
    assert_eq!(names(&mut after), ["elsewhere", "mine"]);
}

#[test]
fn own_packages_are_put_again_after_a_restart_though_the_store_was_full() {
    let keypair = Keypair::generate_ed25519();
    let config = || Config::new().with_limits(Limits::new().with_store_records(8));
    let mut before = Lab::of(keypair.clone(), config());
    for number in 0..5 {
        drop(before.registers(&format!("mine-{number}"), "1.0.0"));
    }
    for number in 0..30 {
        let (_, head) = published(&format!("other-{number}"), 1);
        let _ = before.engine.cx.store.insert(&head.key(), head.bytes());
    }
    let snapshot = before.snapshot();
    let after = start_from(keypair, config(), &snapshot);
    assert_eq!(after.engine.publishing.resuming().names().count(), 5);
}

#[test]
fn an_earlier_life_is_not_resumed_from_memory_where_nobody_says_what_has_come_since() {
    let keypair = Keypair::generate_ed25519();
    let mut before = Lab::of(keypair.clone(), Config::new());
    drop(before.registers("mine", "1.0.0"));
    let old = before.snapshot();
    // What is signed from here on, the snapshot does not know.
    drop(before.registers("mine", "1.1.0"));
    let mut after = start_from(keypair, Config::new(), &old);
    after.joins();
    after.actions();
    for _ in 0..3 {
        after.advance(Duration::from_secs(3600));
        let query = only_lookup(&mut after);
        after.end(query, 0);
        assert!(after.engine.publishing.own().is_empty(), "signed a sequence for the second time");
        assert_eq!(published_on(&mut after, "announcements"), []);
    }
    after.advance(Duration::from_secs(3600));
    let query = only_lookup(&mut after);
    let head = before.engine.publishing.own().values().next().unwrap().head.clone();
    after.learn(copy(query, &head));
    after.end(query, 1);
    // The newest release is looked up next: it is in force and need not be signed again.
    for query in after.lookups() {
        after.end(query, 1);
    }
    let own = after.engine.publishing.own().values().next().expect("resumed");
    assert!(head.revision < own.head.revision);
}

#[test]
fn what_the_application_has_used_is_still_in_use_after_a_restart() {
    let limits = || Config::new().with_limits(Limits::new().with_catalogue_packages(32));
    let mut before = Lab::new(limits());
    let used: Vec<Signed<Head>> = (0..24)
        .map(|number| {
            let (id, head) = published(&format!("used-{number}"), 1);
            read_once(&mut before, &id, &head);
            head
        })
        .collect();
    let snapshot = before.snapshot();
    let mut after = start_from(Keypair::generate_ed25519(), limits(), &snapshot);
    for number in 0..100 {
        let keypair = Keypair::generate_ed25519();
        let (_, flood) = published_by(&keypair, &format!("flood-{number}"), 1);
        // As fresh as can be, from as many peers.
        let validity = Validity::starting(UNIX, 3600);
        let head = Head { validity, ..Head::clone(&flood) };
        after.hears_news(&Signed::sign(&keypair, head).unwrap());
    }
    let stays = |head: &Signed<Head>| {
        after.engine.discovery.catalogue().by_digest(&head.digest(), UNIX).is_some()
    };
    assert!(used.iter().all(stays));
    assert_eq!(after.engine.discovery.catalogue().len(), 32);
}

#[test]
fn what_nobody_had_heard_is_announced_once_to_whoever_subscribes_after_a_restart() {
    let keypair = Keypair::generate_ed25519();
    let mut before = Lab::of(keypair.clone(), Config::new());
    before.joins();
    drop(before.registers("mine", "1.0.0"));
    let recall = only_recall(&mut before);
    before.end(recall, 1);
    let (_, said) =
        before.ask(|reply| Command::Announce { topic: "news".to_owned(), data: vec![1], reply });
    for (topic, count) in [("announcements", 1), ("news", 1)] {
        let queued = before.engine.publishing.outbox().waiting_on(topic);
        assert_eq!(queued.len(), count, "{topic}");
        for id in queued {
            before.learn(Fact::Published { id, outcome: Published::Unheard });
        }
    }
    assert_eq!(answer(said), Some(Ok(crate::package::Announcement::Queued)));
    let own = before.engine.publishing.own().values().next().unwrap().head.clone();

    let snapshot = before.snapshot();
    let mut after = start_from(keypair, Config::new(), &snapshot);
    assert_eq!(after.engine.counters().announcements.queued, 2);
    assert_eq!(published_on(&mut after, "announcements"), [], "nobody is there");
    after.learn(Fact::Hearer { topic: "announcements".to_owned() });
    let sent = published_on(&mut after, "announcements");
    assert_eq!(sent.iter().map(|(_, data)| &data[..]).collect::<Vec<_>>(), [own.bytes().as_ref()]);
    after.learn(Fact::Published { id: sent[0].0, outcome: Published::Sent });
    // The second to subscribe hears of it from the first.
    after.learn(Fact::Hearer { topic: "announcements".to_owned() });
    assert_eq!(published_on(&mut after, "announcements"), []);
    after.learn(Fact::Hearer { topic: "news".to_owned() });
    assert_eq!(published_on(&mut after, "news").len(), 1);
}

#[test]
fn a_message_that_nobody_heard_in_time_makes_room_and_is_not_passed_off_as_sent() {
    let limits = Limits::new().with_queued_announcements(2);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    let say = |lab: &mut Lab| {
        let (_, said) =
            lab.ask(|reply| Command::Announce { topic: "news".to_owned(), data: vec![1], reply });
        for (id, _) in published_on(lab, "news") {
            lab.learn(Fact::Published { id, outcome: Published::Unheard });
        }
        answer(said).unwrap()
    };
    assert_eq!(say(&mut lab), Ok(crate::package::Announcement::Queued));
    assert_eq!(say(&mut lab), Ok(crate::package::Announcement::Queued));
    assert!(matches!(say(&mut lab), Err(Error::Busy { .. })));
    // Whoever hears it from now on refuses it.
    lab.advance(Duration::from_secs(crate::record::Message::MAX_AGE_SECS));
    lab.learn(Fact::Hearer { topic: "news".to_owned() });
    assert_eq!(published_on(&mut lab, "news"), []);
    assert_eq!(lab.engine.counters().announcements.queued, 0);
    assert_eq!(say(&mut lab), Ok(crate::package::Announcement::Queued));
}
