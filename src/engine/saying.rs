//! What copies of records say, and which of two is kept: readers, and those who publish, judge copies by the same words.

use std::sync::Arc;

use libp2p::PeerId;

use crate::{
    package::Digest,
    record::{Record, kept},
};

/// The one of two records under one key that everybody keeps: of heads the newer, of claims the union. The owner who
/// signs two releases of one version is at fault, and all keep the lesser of them.
pub(crate) fn newest(left: &Arc<Record>, right: &Arc<Record>, unix: u64) -> Arc<Record> {
    let is_left = match (&**left, &**right) {
        (Record::Claims { set: known, .. }, Record::Claims { set, dropped }) => {
            return Arc::new(Record::Claims { set: known.merge(set, unix), dropped: *dropped });
        }
        (Record::Head(known), Record::Head(head)) => kept(known, head) == known,
        (known, record) => known.to_bytes() <= record.to_bytes(),
    };
    Arc::clone(if is_left { left } else { right })
}

/// What tells whether two copies say the same: the digest of what is signed, which a second signature over it does
/// not change.
pub(crate) fn saying(record: &Record) -> Digest {
    match record {
        Record::Head(head) => head.digest(),
        Record::Release(release) => release.digest(),
        Record::Page(page) => page.digest(),
        Record::Claims { set, .. } => Digest::of(set.to_bytes()),
    }
}

/// What a copy says for an owner who wants to know whether it is there: of a set of claims, what each of its own says.
pub(crate) fn attesting(record: &Record, owner: &PeerId) -> Vec<Digest> {
    match record {
        Record::Claims { set, .. } => {
            let own = set.iter().filter(|claim| claim.owner == *owner);
            own.map(|claim| claim.digest()).collect()
        }
        Record::Head(_) | Record::Release(_) | Record::Page(_) => vec![saying(record)],
    }
}
