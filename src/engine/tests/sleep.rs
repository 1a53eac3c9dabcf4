//! Machines that sleep, and calendars that are set to anything: what is known stays, and nothing old is served for it.

use super::*;
use crate::package::Query;

pub(super) const HOUR: u64 = 3600;
pub(super) const YEAR: i64 = 365 * 24 * 3600;

pub(super) fn hours(count: u64) -> i64 {
    i64::try_from(count * HOUR).unwrap()
}

/// Somebody else's package, with a head that holds for a fortnight.
pub(super) fn lasting(name: &str) -> (PackageId, Signed<Head>) {
    let keypair = Keypair::generate_ed25519();
    let (id, head) = published_by(&keypair, name, 1);
    let validity = Validity::starting(UNIX - 60, 14 * 24 * HOUR);
    (id, Signed::sign(&keypair, Head { validity, ..Head::clone(&head) }).unwrap())
}

/// Peers have nothing that is looked up, and hold whatever they are sent. Gives back the node's own heads that they were
/// sent.
pub(super) fn served(lab: &mut Lab) -> Vec<Signed<Head>> {
    let mut heads = lab.stores_heads_with(3);
    heads.retain(|head| head.owner == lab.engine.cx.local);
    heads
}

/// A node that publishes a package, which peers hold.
fn owner_of(name: &str) -> Lab {
    let mut lab = Lab::new(Config::new());
    register(&mut lab, name);
    lab
}

pub(super) fn register(lab: &mut Lab, name: &str) {
    assert_eq!(lab.publishes(name, "1.0.0", 3).replicas, 3);
}

pub(super) fn own_head(lab: &Lab) -> &Signed<Head> {
    &lab.engine.publishing.own().values().next().expect("published").head
}

/// Lets time pass, in which peers answer, and gives back the heads that they were sent.
pub(super) fn pass(lab: &mut Lab, seconds: u64) -> Vec<Signed<Head>> {
    let step = seconds.clamp(1, 10);
    let sent = (0..seconds / step).flat_map(|_| {
        lab.advance(Duration::from_secs(step));
        served(lab)
    });
    sent.collect()
}

fn changes(lab: &mut Lab) -> Vec<i64> {
    let events = lab.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::ClockChanged { by, .. } => Some(by),
            _ => None,
        })
        .collect()
}

pub(super) fn found(lab: &mut Lab, name: &str) -> bool {
    let query = Box::new(Query::new());
    let (_, found) = lab.ask(|reply| Command::Search { query, reply });
    let found = answer(found).unwrap().unwrap().packages;
    found.iter().any(|package| package.id.name().as_str() == name)
}

pub(super) fn is_listed(lab: &Lab, head: &Signed<Head>) -> bool {
    lab.engine.discovery.catalogue().by_digest(&head.digest(), lab.now().unix).is_some()
}

pub(super) fn hold(lab: &Lab, head: &Signed<Head>) {
    lab.engine.cx.store.insert(&head.key(), head.bytes()).unwrap();
}

pub(super) fn is_held(lab: &Lab, head: &Signed<Head>) -> bool {
    lab.engine.cx.store.held(&head.key()).is_some()
}

#[test]
fn own_packages_are_put_again_within_a_minute_after_sixty_hours_asleep() {
    let mut lab = owner_of("mine");
    let before = own_head(&lab).clone();
    lab.set_calendar(hours(60));
    assert!(before.validity.is_expired(lab.now().unix));
    let sent = pass(&mut lab, 60);
    let [head] = &sent[..] else { panic!("{} heads were put", sent.len()) };
    assert!(head.revision > before.revision && !head.validity.is_expired(lab.now().unix + HOUR));
    assert_eq!(own_head(&lab), head);
    let id = PackageId::named("mine".parse().unwrap());
    assert_eq!(lab.on_shelf(&id).unwrap().sequence, head.revision.sequence);
    assert_eq!(changes(&mut lab), [hours(60)]);
    assert_eq!(pass(&mut lab, 3600), [], "once");
}

#[test]
fn a_sleep_that_is_shorter_than_half_of_a_head_s_life_delays_no_round_either() {
    let mut lab = owner_of("mine");
    let head = own_head(&lab).clone();
    lab.set_calendar(hours(14));
    assert_eq!(pass(&mut lab, 60), [head]);
}

#[test]
fn many_naps_are_as_good_as_a_long_sleep() {
    let mut lab = owner_of("mine");
    for _ in 0..60 * HOUR / 10 {
        lab.drift += 9;
        lab.advance(Duration::from_secs(1));
        served(&mut lab);
        changes(&mut lab);
    }
    let head = own_head(&lab);
    assert!(!head.validity.is_expired(lab.now().unix + 12 * HOUR), "{:?}", head.validity);
}

#[test]
fn ordinary_renewals_do_not_delay_what_a_long_sleep_makes_overdue() {
    let mut lab = owner_of("mine");
    for _ in 0..12 {
        // The deadline is a moment later than what the calendar shows in whole seconds, and the sweep comes in between.
        let now = lab.now().unix;
        lab.engine.publishing.due().for_each(|due| *due = now);
        pass(&mut lab, 40);
    }
    lab.set_calendar(hours(60));
    pass(&mut lab, 60);
    assert!(!own_head(&lab).validity.is_expired(lab.now().unix + HOUR));
}

#[test]
fn a_machine_that_is_awake_for_ten_minutes_a_day_puts_its_packages_again_each_day() {
    let mut lab = owner_of("mine");
    for day in 1..=20 {
        lab.set_calendar(hours(24) - 600);
        let sent = pass(&mut lab, 60);
        assert!(!sent.is_empty(), "nothing was put on day {day}");
        assert!(!own_head(&lab).validity.is_expired(lab.now().unix), "day {day}");
        pass(&mut lab, 540);
    }
}

/// Says something on a topic that nobody hears yet.
fn queue_message(lab: &mut Lab) {
    let (_, said) =
        lab.ask(|reply| Command::Announce { topic: "news".to_owned(), data: vec![1], reply });
    for id in lab.engine.publishing.outbox().waiting_on("news") {
        lab.learn(Fact::Published { id, outcome: Published::Unheard });
    }
    assert_eq!(answer(said), Some(Ok(crate::package::Announcement::Queued)));
    lab.actions();
}

fn messages(lab: &mut Lab) -> usize {
    let actions = lab.actions().into_iter();
    actions
        .filter(|action| matches!(action, Action::Publish { topic, .. } if topic == "news"))
        .count()
}

#[test]
fn what_is_queued_is_still_sent_after_the_calendar_was_a_year_ahead_for_a_moment() {
    for is_heard_meanwhile in [false, true] {
        let mut lab = Lab::new(Config::new());
        queue_message(&mut lab);
        lab.set_calendar(YEAR);
        lab.advance(Duration::from_secs(30));
        if is_heard_meanwhile {
            // It would be refused by whoever hears it now.
            lab.learn(Fact::Hearer { topic: "news".to_owned() });
            assert_eq!(messages(&mut lab), 0);
        }
        lab.set_calendar(-YEAR);
        if !is_heard_meanwhile {
            lab.learn(Fact::Hearer { topic: "news".to_owned() });
        }
        assert_eq!(messages(&mut lab), 1, "{is_heard_meanwhile}");
    }
}

#[test]
fn what_seems_to_have_expired_makes_room_for_what_is_to_be_said_now() {
    let limits = Limits::new().with_queued_announcements(1);
    let mut lab = Lab::new(Config::new().with_limits(limits));
    queue_message(&mut lab);
    lab.set_calendar(YEAR);
    queue_message(&mut lab);
    lab.learn(Fact::Hearer { topic: "news".to_owned() });
    assert_eq!(messages(&mut lab), 1);
}

#[test]
fn what_has_expired_in_a_sleep_is_told_to_nobody_as_known() {
    let mut lab = Lab::new(Config::new());
    let (_, short) = published("short", 1);
    lab.hears_from(PeerId::random(), &short);
    let (_, head) = lasting("tool");
    let mut other = Lab::new(Config::new());
    for lab in [&mut lab, &mut other] {
        lab.hears_from(PeerId::random(), &head);
        lab.set_calendar(hours(60));
        assert_eq!(lab.engine.metadata().known_packages, 1);
    }
    // Both list the same, and need compare nothing.
    assert_eq!(
        lab.engine.discovery.catalogue().digest_sum(),
        other.engine.discovery.catalogue().digest_sum()
    );
    lab.set_calendar(-hours(60));
    assert_eq!(lab.engine.metadata().known_packages, 2);
    assert_ne!(
        lab.engine.discovery.catalogue().digest_sum(),
        other.engine.discovery.catalogue().digest_sum()
    );
}

fn page(lab: &mut Lab, offset: usize) -> (Vec<String>, bool) {
    let query = Query::new().with_text("tool").with_limit(10).with_offset(offset);
    let (_, found) = lab.ask(|reply| Command::Search { query: Box::new(query), reply });
    let found = answer(found).unwrap().unwrap();
    let names = found.packages.iter().map(|package| package.id.name().to_string());
    (names.collect(), found.truncated)
}

#[test]
fn pages_of_a_search_are_full_though_much_has_expired_in_a_sleep() {
    let mut lab = Lab::new(Config::new());
    for number in 0..25 {
        lab.hears_from(PeerId::random(), &published(&format!("tool-{number:02}"), 1).1);
        lab.hears_from(PeerId::random(), &lasting(&format!("tool-last-{number:02}")).1);
    }
    lab.set_calendar(hours(60));
    let pages = [0, 10, 20, 30].map(|offset| page(&mut lab, offset));
    let lengths = pages.each_ref().map(|(names, truncated)| (names.len(), *truncated));
    assert_eq!(lengths[0].0, 10);
    assert_eq!(lengths[1].0, 10);
    assert_eq!(lengths[2..], [(5, false), (0, false)]);
    let mut all: Vec<_> = pages.iter().flat_map(|(names, _)| names).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 25);
    assert!(all.iter().all(|name| name.starts_with("tool-last-")));
}

#[test]
fn an_answer_from_before_a_sleep_is_not_passed_off_as_fresh() {
    let mut lab = Lab::new(Config::new());
    let (id, head) = lasting("tool");
    read_once(&mut lab, &id, &head);
    let (fresh, _) = lasting("other");
    assert_eq!(told_now(&mut lab, &id), Some(1));
    lab.set_calendar(hours(60));
    assert_eq!(lab.on_shelf(&id), None);
    assert_eq!(told_now(&mut lab, &id), None);
    assert_eq!(lab.lookups().len(), 1, "it is looked up anew");
    // Nor is what was not there, before.
    let (_, absent) = lab.get(&fresh);
    let query = only_lookup(&mut lab);
    lab.end(query, 3);
    assert!(answer(absent).unwrap().is_err());
    lab.set_calendar(hours(60));
    let _asked = lab.get(&fresh);
    only_lookup(&mut lab);
}

#[test]
fn an_answer_is_served_for_its_whole_time_where_both_clocks_keep_step() {
    let mut lab = Lab::new(Config::new().with_cache_ttl(Duration::from_secs(300)));
    let (id, head) = lasting("tool");
    read_once(&mut lab, &id, &head);
    lab.advance(Duration::from_millis(299_900));
    assert_eq!(told_now(&mut lab, &id), Some(1));
    lab.advance(Duration::from_millis(100));
    assert_eq!(told_now(&mut lab, &id), None);
}

#[test]
fn what_has_expired_in_a_sleep_is_neither_found_nor_compared_nor_served_and_gone_after_an_hour() {
    let mut lab = Lab::new(Config::new());
    let (_, head) = published("tool", 1);
    lab.hears_from(PeerId::random(), &head);
    hold(&lab, &head);
    assert!(found(&mut lab, "tool"));
    lab.set_calendar(hours(60));
    assert!(!found(&mut lab, "tool") && !is_listed(&lab, &head) && !is_held(&lab, &head));
    let unix = lab.now().unix;
    assert_eq!(
        lab.engine.discovery.catalogue().items(&crate::coverage::Coverage::All, unix).count(),
        0
    );
    pass(&mut lab, 2 * HOUR);
    assert_eq!((lab.engine.discovery.catalogue().len(), lab.engine.cx.store.len()), (0, 0));
}

#[test]
fn a_calendar_set_back_by_years_loses_nothing_and_own_heads_are_dated_by_it() {
    let mut lab = owner_of("mine");
    let (id, head) = lasting("tool");
    read_once(&mut lab, &id, &head);
    hold(&lab, &head);
    for (by, renewals) in [(-10 * YEAR, 1), (10 * YEAR, 1)] {
        lab.set_calendar(by);
        assert_eq!(changes(&mut lab), [by]);
        // Own heads go on from the highest sequence.
        let before = own_head(&lab).clone();
        let sent = pass(&mut lab, 180);
        assert_eq!(sent.len(), renewals, "{by}");
        assert!(own_head(&lab).revision > before.revision);
        assert!(own_head(&lab).validity.issued <= lab.now().unix);
        assert!(is_listed(&lab, &head) && is_held(&lab, &head));
    }
    // By and by it would have been put again all the while.
    assert!(own_head(&lab).validity.expires > lab.now().unix + 24 * HOUR);
}

#[test]
fn a_calendar_that_goes_forth_by_years_and_back_loses_nothing_and_brings_nothing_back() {
    let mut lab = owner_of("mine");
    let (id, head) = lasting("tool");
    read_once(&mut lab, &id, &head);
    hold(&lab, &head);
    let keypair = Keypair::generate_ed25519();
    let (gone, live) = published_by(&keypair, "gone", 7);
    let end = tombstone(&keypair, &gone, 8);
    for head in [&live, &end] {
        assert_eq!(lab.hears_from(PeerId::random(), head), Verdict::Accept);
    }
    let pinned = Keypair::generate_ed25519().public().to_peer_id();
    let (name, pin) = ("pinned".parse().unwrap(), Some(pinned));
    let _ = lab.ask(|reply| Command::Pin { name, owner: pin, reply });

    lab.set_calendar(10 * YEAR);
    assert!(!is_listed(&lab, &head) && !is_held(&lab, &head));
    // Half an hour goes by in which everything seems to have expired.
    let sent = pass(&mut lab, 1800);
    assert_eq!(sent.len(), 1, "dated by it, as no peer will believe");
    assert_eq!(lab.hears_from(PeerId::random(), &live), Verdict::Ignore);

    lab.set_calendar(-10 * YEAR);
    assert_eq!(changes(&mut lab), [10 * YEAR, -10 * YEAR]);
    assert!(is_listed(&lab, &head) && is_held(&lab, &head) && is_listed(&lab, &end));
    assert_eq!(
        lab.hears_from(PeerId::random(), &live),
        Verdict::Ignore,
        "what is withdrawn stays so"
    );
    assert!(!found(&mut lab, "gone") && found(&mut lab, "tool"));
    assert_eq!(lab.engine.reading.pinned_owner(&"pinned".parse().unwrap()), Some(pinned));
    let before = own_head(&lab).clone();
    let sent = pass(&mut lab, 180);
    let [own] = &sent[..] else { panic!("{} heads were put", sent.len()) };
    assert!(own.revision > before.revision && own.validity.issued <= lab.now().unix);
    assert!(own.validity.expires < lab.now().unix + 30 * 24 * HOUR);
}

#[test]
fn a_snapshot_that_is_taken_while_the_calendar_is_years_ahead_has_all_that_is_held() {
    let mut lab = owner_of("mine");
    let (_, head) = lasting("tool");
    hold(&lab, &head);
    lab.hears_from(PeerId::random(), &head);
    let count = |lab: &mut Lab| {
        let (_, snapshot) = lab.ask(|reply| Command::Snapshot { reply });
        format!("{:?}", answer(snapshot).unwrap().unwrap())
    };
    let before = count(&mut lab);
    lab.set_calendar(10 * YEAR);
    assert_eq!(count(&mut lab), before);
}

#[test]
fn what_was_refused_for_its_date_is_fetched_once_the_calendar_is_right() {
    let mut lab = Lab::new(Config::new());
    let (_, head) = lasting("tool");
    lab.set_calendar(-10 * YEAR);
    assert_eq!(lab.hears_from(PeerId::random(), &head), Verdict::Ignore);
    lab.engine.discovery.vain().insert(head.digest(), lab.mono);
    lab.set_calendar(10 * YEAR);
    assert!(!lab.engine.discovery.vain().contains(&head.digest(), lab.mono));
    assert_eq!(lab.hears_from(PeerId::random(), &head), Verdict::Accept);
    assert!(is_listed(&lab, &head));
}

#[test]
fn a_calendar_that_never_rests_costs_few_signatures() {
    let mut lab = owner_of("mine");
    let mut sent = 0;
    for second in 0..6 * HOUR {
        lab.set_calendar(if second % 2 == 0 { 10 * YEAR } else { -10 * YEAR });
        sent += pass(&mut lab, 1).len();
        lab.engine.out.events.clear();
    }
    assert!((1..=16).contains(&sent), "{sent} in six hours");
}
