//! Which interfaces there are to speak on, and how they change.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_io::Timer;
use if_watch::{IpNet, smol::IfWatcher};

use super::Interface;

/// How long to wait before asking once more for a watcher that could not be had.
const RETRY_WATCH: Duration = Duration::from_secs(30);

/// The interfaces, each with the networks that it is in.
pub(super) type Interfaces = BTreeMap<Interface, Vec<IpNet>>;

/// Follows the interfaces.
#[derive(Debug)]
pub(super) struct Watch {
    /// Only those with one of these addresses; all if there are none.
    only: Vec<IpAddr>,
    watcher: Watcher,
}

#[derive(Debug)]
enum Watcher {
    On(Box<IfWatcher>),
    /// There is none until the timer fires.
    Off(Timer),
}

impl Watch {
    /// Follows the interfaces that have one of these addresses, or all if none is named.
    pub(super) fn new(only: Vec<IpAddr>) -> Self {
        let watcher = Watcher::new().unwrap_or_else(|error| Watcher::after(&error));
        Self { only, watcher }
    }

    /// Ready with all interfaces that there are when something has changed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Interfaces> {
        let mut has_changed = false;
        loop {
            match &mut self.watcher {
                Watcher::On(watcher) => match watcher.poll_if_event(cx) {
                    Poll::Ready(Ok(_)) => has_changed = true,
                    Poll::Ready(Err(error)) => self.watcher = Watcher::after(&error),
                    Poll::Pending if has_changed => {
                        return Poll::Ready(grouped(watcher.iter(), &self.only, index_of));
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Watcher::Off(retry) => {
                    ready!(Future::poll(Pin::new(retry), cx));
                    self.watcher = Watcher::new().unwrap_or_else(|error| {
                        tracing::debug!(%error, "still no watcher of the network interfaces");
                        Watcher::later()
                    });
                }
            }
        }
    }
}

impl Watcher {
    fn new() -> io::Result<Self> {
        IfWatcher::new().map(Box::new).map(Self::On)
    }

    fn after(error: &io::Error) -> Self {
        tracing::warn!(%error, "interfaces cannot be followed: peers on those that come now are not discovered");
        Self::later()
    }

    fn later() -> Self {
        Self::Off(Timer::after(RETRY_WATCH))
    }
}

/// Groups networks by the sockets that they take: one for each IPv4 address, and for IPv6 one for each interface.
fn grouped<'a>(
    networks: impl Iterator<Item = &'a IpNet>,
    only: &[IpAddr],
    index_of: impl Fn(Ipv6Addr) -> Option<u32>,
) -> Interfaces {
    let mut interfaces = Interfaces::new();
    for network in networks {
        if !only.is_empty() && !only.contains(&network.addr()) {
            continue;
        }
        let interface = match network.addr() {
            IpAddr::V4(address) => Interface::V4(address),
            IpAddr::V6(address) => match index_of(address) {
                Some(index) => Interface::V6(index),
                None => continue,
            },
        };
        interfaces.entry(interface).or_default().push(*network);
    }
    // In the same order whatever order they came in.
    interfaces.values_mut().for_each(|networks| networks.sort());
    interfaces
}

/// The index of the interface that has an address. The watcher does not tell it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn index_of(address: Ipv6Addr) -> Option<u32> {
    index_in(&std::fs::read_to_string("/proc/net/if_inet6").ok()?, address)
}

/// Elsewhere all IPv6 addresses are taken for those of the interface that the operating system chooses.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn index_of(_: Ipv6Addr) -> Option<u32> {
    Some(0)
}

/// Each line has an address and the index of its interface, both in hexadecimal: see proc_net(5).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn index_in(table: &str, address: Ipv6Addr) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let bits = u128::from_str_radix(columns.next()?, 16).ok()?;
        let index = u32::from_str_radix(columns.next()?, 16).ok()?;
        (Ipv6Addr::from(bits) == address).then_some(index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_interface_has_a_socket_for_each_ipv4_address_and_one_for_ipv6() {
        let all =
            networks(&["10.0.0.1/8", "192.168.0.2/24", "fd00::1/64", "fe80::1/64", "fd01::1/64"]);
        let index = |ip: Ipv6Addr| (ip.segments()[0] != 0xfd01).then_some(2);
        let found = grouped(all.iter(), &[], index);
        let expected = [
            (Interface::V4([10, 0, 0, 1].into()), networks(&["10.0.0.1/8"])),
            (Interface::V4([192, 168, 0, 2].into()), networks(&["192.168.0.2/24"])),
            (Interface::V6(2), networks(&["fd00::1/64", "fe80::1/64"])),
        ];
        assert_eq!(found, expected.into(), "one whose interface has just gone has none");
        let only = grouped(all.iter(), &["10.0.0.1".parse().unwrap()], index);
        assert_eq!(only.len(), 1);
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn the_index_of_an_interface_is_read_from_the_table_of_the_system() {
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fe800000000000000000000000000007 0b 40 20 80     eth0\nnonsense\n";
        assert_eq!(index_in(table, "::1".parse().unwrap()), Some(1));
        assert_eq!(index_in(table, "fe80::7".parse().unwrap()), Some(11));
        assert_eq!(index_in(table, "fe80::8".parse().unwrap()), None);
    }
}
