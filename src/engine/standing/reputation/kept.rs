//! What is remembered of peers after a restart: how often they have delivered, lied and failed.
//!
//! Strangers are left out, of whom too little is known to matter. What has faded while the node was away is reckoned by the
//! calendar; one that was set back meanwhile lets nothing fade. How fast a peer answers, and what it did last, is seen anew.

use std::time::Duration;

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{conduct::Conduct, remembered::Reputations};
use crate::{
    engine::{dirty::Portion, interface::Now},
    storage::{Change, Row, Table},
};

/// Remembered counts are written in so many parts of one.
const PARTS: f64 = 1000.0;

/// As it is written.
#[derive(Serialize, Deserialize)]
struct ConductWire {
    peer: Vec<u8>,
    /// When it was written, in Unix seconds.
    unix: u64,
    /// All that was seen: valid, invalid, failed.
    seen: [u64; 3],
    /// What of it had not faded by then: deliveries, lies, failures.
    remembered: [u32; 3],
}

impl ConductWire {
    fn of(now: Now, peer: &PeerId, conduct: &Conduct) -> Self {
        let parts = |count: f64| (count * PARTS) as u32;
        Self {
            peer: peer.to_bytes(),
            unix: now.unix,
            seen: conduct.counts(),
            remembered: conduct.remembered(now.mono).map(parts),
        }
    }

    fn read(now: Now, (_, value): &Row) -> Option<(PeerId, Conduct)> {
        let (wire, rest) = postcard::take_from_bytes::<Self>(value).ok()?;
        let peer = PeerId::from_bytes(&wire.peer).ok().filter(|_| rest.is_empty())?;
        let away = Duration::from_secs(now.unix.saturating_sub(wire.unix));
        let remembered = wire.remembered.map(|parts| f64::from(parts) / PARTS);
        Some((peer, Conduct::restored(now.mono, wire.seen, remembered, away)))
    }
}

/// What the node's storage is to have of these.
impl Reputations {
    pub(in crate::engine) fn note_changes(&mut self) {
        self.changed.turn_on();
    }

    /// Takes the rows that are to be written now. No commit is made for them alone: they go along with others.
    pub(in crate::engine) fn take_changes(&mut self, now: Now, changes: &mut Vec<Change>) {
        for peer in self.changed.take(Portion::ROWS) {
            let conduct = self.known(&peer);
            let wire = conduct.map(|conduct| ConductWire::of(now, &peer, conduct));
            let value = wire.and_then(|wire| postcard::to_stdvec(&wire).ok());
            changes.push(Change { table: Table::Reputations, key: peer.to_bytes(), value });
        }
    }

    pub(in crate::engine) fn settle_changes(&mut self, is_written: bool) {
        self.changed.settle(is_written);
    }

    /// Takes in what an earlier life has seen. Tells which rows mean nothing: they cannot be read, there was no room, or
    /// what they tell of has faded.
    pub(in crate::engine) fn restore(&mut self, now: Now, rows: &[Row]) -> Vec<Change> {
        let mut obsolete = Vec::new();
        for row in rows {
            let read = ConductWire::read(now, row).filter(|(peer, _)| peer.to_bytes() == row.0);
            let is_known = read.is_some_and(|(peer, conduct)| {
                self.remember(peer, conduct);
                self.known(&peer).is_some()
            });
            if !is_known {
                let key = row.0.clone();
                obsolete.push(Change { table: Table::Reputations, key, value: None });
            }
        }
        obsolete
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{engine::standing::reputation::conduct::Nearness, reputation::Reputation};

    const UNIX: u64 = 2_000_000_000;

    fn now(seconds: u64) -> Now {
        Now { mono: Duration::from_secs(seconds), unix: UNIX + seconds }
    }

    fn reputations(now: Now) -> Reputations {
        let mut reputations = Reputations::new(64);
        reputations.set_time(now.mono);
        reputations.note_changes();
        reputations
    }

    fn rows(reputations: &mut Reputations, at: Now) -> Vec<Row> {
        let mut changes = Vec::new();
        reputations.take_changes(at, &mut changes);
        reputations.settle_changes(true);
        changes.into_iter().filter_map(|change| Some((change.key, change.value?))).collect()
    }

    #[test]
    fn a_liar_is_known_as_one_after_a_restart_and_forgiven_in_the_same_time() {
        let (liar, mut before) = (PeerId::random(), reputations(now(0)));
        (0..8).for_each(|_| before.invalid(liar));
        let rows = rows(&mut before, now(0));
        let score_after = |seconds: u64| {
            // The clock of the next process begins anew, and the calendar goes on.
            let at = Now { mono: Duration::from_secs(5), unix: UNIX + seconds };
            let mut after = reputations(at);
            let is_faded = seconds >= 24 * 3600;
            assert_eq!(after.restore(at, &rows).len(), usize::from(is_faded));
            after.score(&liar)
        };
        let stayed = |seconds: u64| {
            let mut stayed = Reputations::new(64);
            (0..8).for_each(|_| stayed.invalid(liar));
            stayed.set_time(Duration::from_secs(seconds));
            stayed.score(&liar)
        };
        assert!(score_after(60) < Reputation::default().score());
        for hours in [1, 6, 24, 24 * 30] {
            // What it did last is not kept, which is a part of the score.
            let (after, stayed) = (score_after(hours * 3600), stayed(hours * 3600));
            assert!(after.abs_diff(stayed) <= 8, "{hours} h: {after}, {stayed}");
        }
        let set_back = Now { mono: Duration::from_secs(5), unix: UNIX - 1_000_000 };
        let mut after = reputations(set_back);
        after.restore(set_back, &rows);
        assert_eq!(
            after.score(&liar),
            score_after(0),
            "a calendar that was set back fades nothing"
        );
    }

    #[test]
    fn strangers_and_junk_are_not_kept() {
        let mut before = reputations(now(0));
        before.failed(PeerId::random());
        assert!(rows(&mut before, now(0)).is_empty());
        let junk = vec![(b"junk".to_vec(), vec![0xFF; 9]), (b"more".to_vec(), vec![])];
        assert_eq!(before.restore(now(0), &junk).len(), 2);
    }

    /// The rows of these peers, each of whom has delivered often.
    fn rows_of(peers: &[PeerId]) -> Vec<Row> {
        let mut before = reputations(now(0));
        for peer in peers {
            (0..8).for_each(|_| before.delivered(*peer, Duration::ZERO, Nearness::Unknown));
        }
        rows(&mut before, now(0))
    }

    #[test]
    fn what_has_faded_is_removed() {
        let peers = [(); 9].map(|()| PeerId::random());
        let rows = rows_of(&peers);
        assert_eq!(rows.len(), peers.len());
        let next_day = Now { mono: Duration::ZERO, unix: UNIX + 24 * 3600 };
        let gone = reputations(next_day).restore(next_day, &rows);
        let keys: BTreeSet<_> = gone.iter().map(|change| change.key.clone()).collect();
        assert_eq!(keys, BTreeSet::from(peers.map(PeerId::to_bytes)));
        assert!(gone.iter().all(|change| change.value.is_none()));
    }

    /// The limit was lowered, or the row stands where it does not belong.
    #[test]
    fn what_is_not_taken_in_is_removed() {
        let rows = rows_of(&[(); 9].map(|()| PeerId::random()));
        let mut nobody = Reputations::new(0);
        assert_eq!(nobody.restore(now(0), &rows).len(), rows.len());
        let mut few = Reputations::new(4);
        few.note_changes();
        assert_eq!(few.restore(now(0), &rows).len(), 0);
        let mut changes = Vec::new();
        few.take_changes(now(0), &mut changes);
        assert_eq!(changes.iter().filter(|change| change.value.is_none()).count(), 5);
        let misplaced = [(b"elsewhere".to_vec(), rows[0].1.clone())];
        assert_eq!(reputations(now(0)).restore(now(0), &misplaced).len(), 1);
    }
}
