//! What a peer has told so far, and waiting until it has told enough.

use std::{
    collections::HashMap,
    pin::pin,
    time::{Duration, Instant},
};

use futures::{
    StreamExt,
    channel::mpsc,
    future::{Either, select},
};
use peerage::{Event, Multiaddr, PackageId};

use crate::peer::Told;

/// How long to wait for what must come. The peers share one machine: what takes longer than this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a peer has told so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) address: Option<Multiaddr>,
    pub(crate) peers: usize,
    /// The newest state of each package that was announced: its sequence, and when it was heard.
    pub(crate) heads: HashMap<PackageId, (u64, Instant)>,
    pub(crate) withdrawn: HashMap<PackageId, Instant>,
}

impl Seen {
    fn note(&mut self, (when, event): Told) {
        match event {
            Event::Listening { address } => self.address = Some(address),
            Event::Connected { .. } => self.peers += 1,
            Event::Disconnected { .. } => self.peers = self.peers.saturating_sub(1),
            Event::Discovered { package } => {
                let id = package.id.clone().without_version();
                let (sequence, heard) = self.heads.entry(id).or_insert((0, when));
                if package.sequence > *sequence {
                    (*sequence, *heard) = (package.sequence, when);
                }
            }
            Event::Withdrawn { id } => {
                self.withdrawn.entry(id.without_version()).or_insert(when);
            }
            _ => {}
        }
    }
}

/// Follows one peer's events.
#[derive(Debug)]
pub(crate) struct Watch {
    told: mpsc::UnboundedReceiver<Told>,
    pub(crate) seen: Seen,
}

impl Watch {
    pub(crate) fn new(told: mpsc::UnboundedReceiver<Told>) -> Self {
        Self { told, seen: Seen::default() }
    }

    /// Waits until what was seen is enough, and says whether it is; when patience runs out, it is not.
    pub(crate) async fn until(&mut self, enough: impl Fn(&Seen) -> bool) -> bool {
        let mut patience = pin!(async_io::Timer::after(PATIENCE));
        while !enough(&self.seen) {
            match select(self.told.next(), &mut patience).await {
                Either::Left((Some(told), _)) => self.seen.note(told),
                Either::Left((None, _)) | Either::Right(_) => return enough(&self.seen),
            }
        }
        true
    }
}
