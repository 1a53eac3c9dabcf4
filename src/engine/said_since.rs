//! What a newer head of a package says of it that the one before did not: yanks, deprecation, and their ends.

use crate::{
    Event, PackageId,
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
