//! The application is told once what is said of packages that it knows, whichever way the head comes that says so.

use super::{equivocations::noted, *};
use crate::freshness::Freshness;

/// A head of two releases, of which the older one is yanked or is not.
fn head(key: &Keypair, sequence: u64, yanked: bool) -> Signed<Head> {
    let releases = [("1.1.0", false), ("1.0.0", yanked)];
    noted(key, sequence, &releases, None, &[("1.0.0", sequence)])
}

/// A peer hands a head to this node to hold it.
fn put(lab: &mut Lab, head: &Signed<Head>) {
    lab.engine.cx.store.insert(&head.key(), head.bytes()).unwrap();
    lab.engine.learn_stored();
}

fn read(lab: &mut Lab, head: &Signed<Head>) {
    let id = PackageId::owned(head.owner, head.name.clone());
    let (_, waiting) = lab.get_as(&id, Freshness::All);
    let query = only_lookup(lab);
    lab.learn(copy(query, head));
    lab.end(query, 3);
    assert!(answer(waiting).unwrap().is_ok());
}

/// What the application has been told since the last time.
fn told(lab: &mut Lab) -> Vec<&'static str> {
    let events = lab.events().into_iter();
    let kind = |event| match event {
        Event::Discovered { .. } => Some("discovered"),
        Event::Yanked { .. } => Some("yanked"),
        Event::Unyanked { .. } => Some("unyanked"),
        Event::Deprecated { .. } | Event::Undeprecated { .. } => Some("deprecation"),
        _ => None,
    };
    events.filter_map(kind).collect()
}

#[test]
fn a_yank_is_told_once_though_its_head_is_put_here_before_it_is_announced() {
    let (key, mut lab) = (Keypair::generate_ed25519(), Lab::new(Config::new()));
    lab.hears_news(&head(&key, 5, false));
    assert_eq!(told(&mut lab), ["discovered"]);
    let yanked = head(&key, 6, true);
    put(&mut lab, &yanked);
    assert_eq!(told(&mut lab), ["yanked"]);
    lab.hears_news(&yanked);
    assert_eq!(told(&mut lab), ["discovered"], "the yank was told");
    lab.hears_news(&head(&key, 7, false));
    assert_eq!(told(&mut lab), ["discovered", "unyanked"]);
}

#[test]
fn a_yank_and_its_end_are_told_where_a_read_finds_them() {
    let (key, mut lab) = (Keypair::generate_ed25519(), Lab::new(Config::new()));
    lab.hears_news(&head(&key, 5, false));
    assert_eq!(told(&mut lab), ["discovered"]);
    read(&mut lab, &head(&key, 6, true));
    assert_eq!(told(&mut lab), ["yanked"]);
    read(&mut lab, &head(&key, 7, false));
    assert_eq!(told(&mut lab), ["unyanked"]);
    // An older copy is no news.
    read(&mut lab, &head(&key, 7, false));
    assert_eq!(told(&mut lab), [""; 0]);
}

#[test]
fn of_a_package_that_the_application_does_not_know_no_yank_is_told() {
    let (key, mut lab) = (Keypair::generate_ed25519(), Lab::new(Config::new()));
    read(&mut lab, &head(&key, 5, false));
    read(&mut lab, &head(&key, 6, true));
    assert_eq!(told(&mut lab), [""; 0]);
}
