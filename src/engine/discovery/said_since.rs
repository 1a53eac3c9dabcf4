//! What a newer head of a package says of it that the one before did not: yanks, deprecation, and their ends.

use crate::{
    event::Event,
    package::PackageId,
    record::{Head, ReleaseEntry},
};

/// The events of it. Of releases, those that stand in both heads are compared.
pub(super) fn said_since(before: &Head, after: &Head) -> Vec<Event> {
    let (known, notes) = (before.notes(), after.notes());
    let id = PackageId::owned(after.owner, after.name.clone());
    let mut events = Vec::new();
    for entry in after.releases() {
        let is_it = |known: &&ReleaseEntry| known.version == entry.version;
        let Some(earlier) = before.releases().iter().find(is_it) else { continue };
        let reason = notes.reason(&entry.version);
        let id = id.clone().with_version(entry.version.clone());
        match (earlier.yanked, entry.yanked) {
            (false, false) => {}
            (true, false) => events.push(Event::Unyanked { id }),
            (true, true) if known.reason(&entry.version) == reason => {}
            (_, true) => events.push(Event::Yanked { id, reason: reason.map(str::to_owned) }),
        }
    }
    match (known.deprecation(), notes.deprecation()) {
        (known, now) if known == now => {}
        (_, Some(deprecation)) => {
            events.push(Event::Deprecated { id, deprecation: deprecation.clone() });
        }
        (_, None) => events.push(Event::Undeprecated { id }),
    }
    events
}

#[cfg(test)]
mod tests {
    use libp2p::{PeerId, identity::Keypair};

    use super::*;
    use crate::package::Deprecation;
    use crate::package::Digest;
    use crate::package::Manifest;
    use crate::record::DeprecationNote;
    use crate::record::NetworkName;
    use crate::record::Notes;
    use crate::record::ReleaseNote;
    use crate::record::Revision;
    use crate::record::Validity;

    fn owner() -> PeerId {
        Keypair::ed25519_from_bytes([1; 32]).unwrap().public().to_peer_id()
    }

    /// A head of these releases, of which some are yanked for a reason.
    fn head(releases: &[(&str, Option<&str>)], deprecation: Option<&str>) -> Head {
        let changed = Revision::new(0, 1);
        let entry = |(text, yanked): &(&str, Option<&str>)| ReleaseEntry {
            version: text.parse().unwrap(),
            digest: Digest::of(text),
            yanked: yanked.is_some(),
        };
        let note = |(text, yanked): &(&str, Option<&str>)| {
            let (version, reason) = (text.parse().unwrap(), (*yanked)?.to_owned());
            Some(ReleaseNote { version, changed, reason })
        };
        let deprecation = deprecation
            .map(|text| DeprecationNote { changed, deprecation: Some(Deprecation::new(text)) });
        let notes = Notes { deprecation, releases: releases.iter().filter_map(note).collect() };
        let latest = Manifest::new("tool".parse().unwrap(), releases[0].0.parse().unwrap());
        let (network, validity) = (NetworkName::default(), Validity::starting(0, 60));
        let entries = releases.iter().map(entry).collect();
        let mut head = Head::live(network, owner(), changed, validity, latest, entries, None);
        head.ext = notes.to_ext().unwrap();
        head
    }

    fn id(version: &str) -> PackageId {
        PackageId::owned(owner(), "tool".parse().unwrap()).with_version(version.parse().unwrap())
    }

    #[test]
    fn each_thing_that_is_said_anew_is_told_once() {
        let before = head(&[("1.2.0", Some("old")), ("1.1.0", None), ("1.0.0", Some(""))], None);
        assert_eq!(said_since(&before, &before), []);
        let after = head(
            &[
                ("1.3.0", Some("new")),
                ("1.2.0", Some("worse")),
                ("1.1.0", Some("")),
                ("1.0.0", None),
            ],
            Some("use another"),
        );
        let yanked = |version, reason: Option<&str>| Event::Yanked {
            id: id(version),
            reason: reason.map(str::to_owned),
        };
        let package = id("1.0.0").without_version();
        let deprecation = Deprecation::new("use another");
        let expected = [
            yanked("1.2.0", Some("worse")),
            yanked("1.1.0", None),
            Event::Unyanked { id: id("1.0.0") },
            Event::Deprecated { id: package.clone(), deprecation },
        ];
        assert_eq!(said_since(&before, &after), expected);
        let undone = said_since(&after, &before);
        assert_eq!(undone.last(), Some(&Event::Undeprecated { id: package }));
        assert!(undone.contains(&Event::Unyanked { id: id("1.1.0") }), "{undone:?}");
        assert!(undone.contains(&yanked("1.0.0", None)), "{undone:?}");
    }
}
