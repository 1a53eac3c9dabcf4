//! Which addresses a wildcard listener can be reached at, and how they change.
//!
//! `0.0.0.0` and `::` are no addresses that a peer could dial, so a listener on one of them stands for
//! each address that the machine's interfaces have, and these come and go: a laptop changes networks,
//! a container gets its address after the process has started.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_io::Timer;
use futures::future::Future as _;
use if_watch::{IfEvent, smol::IfWatcher};

/// How long to wait before asking once more for a watcher that could not be had.
const RETRY_WATCH: Duration = Duration::from_secs(30);

/// The addresses of one family that the interfaces have.
#[derive(Debug)]
pub(super) struct Interfaces {
    family: Family,
    watch: Watch,
    addresses: Addresses,
}

/// What happened to the interfaces.
#[derive(Debug)]
pub(super) enum InterfaceEvent {
    /// An address appeared.
    Up(IpAddr),
    /// An address went away.
    Down(IpAddr),
    /// The changes cannot be followed. It is said once; what is known stays, and there will be another
    /// attempt.
    Failed(io::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

#[derive(Debug)]
enum Watch {
    On {
        watcher: Box<IfWatcher>,
        stage: Stage,
    },
    /// There is no watcher until the timer fires.
    Off {
        retry: Timer,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The watcher is still listing what there is.
    Listing,
    /// The watcher has listed what there is and tells of changes.
    Following,
}

impl Interfaces {
    /// Follows the addresses of the family of `wildcard`.
    pub(super) fn new(wildcard: IpAddr) -> Self {
        Self::with_watcher(wildcard, IfWatcher::new())
    }

    /// As [`new`](Self::new); without a watcher the loopback address stands in, which is up wherever
    /// the family works at all.
    pub(super) fn with_watcher(wildcard: IpAddr, watcher: io::Result<IfWatcher>) -> Self {
        let family = if wildcard.is_ipv4() { Family::V4 } else { Family::V6 };
        let mut addresses = Addresses::default();
        let watch = match watcher {
            Ok(watcher) => Watch::On { watcher: Box::new(watcher), stage: Stage::Listing },
            Err(error) => {
                addresses.fail(error, family);
                Watch::Off { retry: Timer::after(RETRY_WATCH) }
            }
        };
        Self { family, watch, addresses }
    }

    /// Whether `ip` is an address of the family that is known to be up.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        self.addresses.known.contains(&ip)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<InterfaceEvent> {
        loop {
            if let Some(event) = self.addresses.events.pop_front() {
                return Poll::Ready(event);
            }
            match &mut self.watch {
                Watch::On { watcher, stage } => match watcher.poll_if_event(cx) {
                    Poll::Ready(Ok(IfEvent::Up(net))) => {
                        if self.family.has(net.addr()) {
                            self.addresses.up(net.addr());
                        }
                    }
                    Poll::Ready(Ok(IfEvent::Down(net))) => {
                        let ip = net.addr();
                        // Two interfaces, or two prefixes, can have one address.
                        if !watcher.iter().any(|other| other.addr() == ip) {
                            self.addresses.down(ip);
                        }
                    }
                    Poll::Ready(Err(error)) => {
                        // A watcher that has failed says so at every poll: it must not be polled again.
                        self.watch = Watch::Off { retry: Timer::after(RETRY_WATCH) };
                        self.addresses.fail(error, self.family);
                    }
                    Poll::Pending => {
                        if *stage == Stage::Following || watcher.iter().next().is_none() {
                            return Poll::Pending;
                        }
                        // It has listed what there is. Whatever it left out is gone.
                        *stage = Stage::Following;
                        self.addresses.expire_unconfirmed();
                    }
                },
                Watch::Off { retry } => {
                    ready!(Pin::new(retry).poll(cx));
                    self.watch = match IfWatcher::new() {
                        Ok(watcher) => {
                            self.addresses.unconfirm();
                            Watch::On { watcher: Box::new(watcher), stage: Stage::Listing }
                        }
                        Err(error) => {
                            tracing::debug!(%error, "still no watcher of the network interfaces");
                            Watch::Off { retry: Timer::after(RETRY_WATCH) }
                        }
                    };
                }
            }
        }
    }
}

impl Family {
    fn has(self, ip: IpAddr) -> bool {
        match self {
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }

    fn loopback(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }
}

/// What was told, and what has yet to be.
///
/// Each address is up at most once, and goes down only if it was up.
#[derive(Debug, Default)]
struct Addresses {
    known: BTreeSet<IpAddr>,
    /// Those of `known` that a new watcher has not confirmed.
    unconfirmed: BTreeSet<IpAddr>,
    events: VecDeque<InterfaceEvent>,
}

impl Addresses {
    fn up(&mut self, ip: IpAddr) {
        self.unconfirmed.remove(&ip);
        if self.known.insert(ip) {
            self.events.push_back(InterfaceEvent::Up(ip));
        }
    }

    fn down(&mut self, ip: IpAddr) {
        self.unconfirmed.remove(&ip);
        if self.known.remove(&ip) {
            self.events.push_back(InterfaceEvent::Down(ip));
        }
    }

    /// What is known stays: it was true a moment ago, and is more use than nothing.
    fn fail(&mut self, error: io::Error, family: Family) {
        self.unconfirmed.clear();
        self.events.push_back(InterfaceEvent::Failed(error));
        if self.known.is_empty() {
            self.up(family.loopback());
        }
    }

    /// A new watcher begins to list what there is.
    fn unconfirm(&mut self) {
        self.unconfirmed.clone_from(&self.known);
    }

    fn expire_unconfirmed(&mut self) {
        for ip in std::mem::take(&mut self.unconfirmed) {
            self.down(ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, last).into()
    }

    /// `+` is up, `-` is down, `!` is a failure.
    fn told(addresses: &mut Addresses) -> Vec<(char, Option<IpAddr>)> {
        addresses
            .events
            .drain(..)
            .map(|event| match event {
                InterfaceEvent::Up(ip) => ('+', Some(ip)),
                InterfaceEvent::Down(ip) => ('-', Some(ip)),
                InterfaceEvent::Failed(_) => ('!', None),
            })
            .collect()
    }

    #[test]
    fn an_address_is_told_once_however_often_it_is_seen() {
        let mut addresses = Addresses::default();
        addresses.up(ip(1));
        addresses.up(ip(1));
        addresses.down(ip(2));
        addresses.down(ip(1));
        assert_eq!(told(&mut addresses), [('+', Some(ip(1))), ('-', Some(ip(1)))]);
    }

    #[test]
    fn a_failure_keeps_what_is_known() {
        let mut addresses = Addresses::default();
        addresses.up(ip(2));
        addresses.fail(io::ErrorKind::Other.into(), Family::V4);
        assert_eq!(told(&mut addresses), [('+', Some(ip(2))), ('!', None)]);
    }

    #[test]
    fn a_new_watcher_expires_only_what_it_does_not_list() {
        let mut addresses = Addresses::default();
        addresses.fail(io::ErrorKind::Other.into(), Family::V4);
        addresses.up(ip(2));
        told(&mut addresses);

        addresses.unconfirm();
        addresses.up(ip(2));
        addresses.up(ip(3));
        addresses.expire_unconfirmed();
        assert_eq!(told(&mut addresses), [('+', Some(ip(3))), ('-', Some(ip(1)))]);
    }
}
