//! The network between the nodes: connections whose bytes take their time, and everything that can happen to them.
//!
//! It is a network of streams, as TCP gives them: the order within a connection is kept, a lost packet comes later, and a path
//! that is cut holds bytes back until it heals or the sender gives up. The other end does not hear of that: its connection is
//! half-open until it sends something itself.

mod cities;
mod connection;
mod delivery;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod transport;

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::identity::Keypair;
use peerage::{
    BoxedTransport, Limits, Multiaddr,
    net::transport::{TransportConfig, upgraded},
};
use process::Random;

use self::{state::State, transport::SimulatedTransport};

pub(crate) use self::cities::CITIES;

/// The port on which every node listens.
const PORT: u16 = 4001;

/// What the paths between hosts are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// By how much of its time a packet is late at the most.
    pub(crate) jitter: f64,
    /// Of all packets, how many are lost and sent again.
    pub(crate) loss: f64,
    /// Of all packets, with how many the connection ends for both.
    pub(crate) resets: f64,
    /// What a host can send, in bytes a second.
    pub(crate) bandwidth: u64,
    /// How long a host goes on with a connection on which nothing arrives any more.
    pub(crate) patience: Duration,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            jitter: 0.2,
            loss: 0.002,
            resets: 0.0,
            // 20 Mbit/s, which many homes can send.
            bandwidth: 2_500_000,
            patience: Duration::from_secs(60),
        }
    }
}

/// What a host has sent and received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) packets_out: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
}

/// A network. Its clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Network(Arc<Mutex<State>>);

impl Network {
    pub(crate) fn new(random: Random, conditions: Conditions) -> Self {
        Self(Arc::new(Mutex::new(State::new(random, conditions))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new host in this city. Answers with its number, which are counted from zero.
    pub(crate) fn add_host(&self, city: usize) -> usize {
        self.state().add_host(city)
    }

    /// Where a host listens.
    pub(crate) fn address(&self, host: usize) -> Multiaddr {
        multiaddr(self.state().address(host))
    }

    /// Another address for a host, as when a laptop comes to another network.
    pub(crate) fn move_host(&self, host: usize) {
        let listener = self.state().move_host(host);
        listener.into_iter().for_each(|waker| waker.wake());
    }

    /// What a node on this host moves bytes with.
    pub(crate) fn transport(
        &self,
        host: usize,
        keypair: &Keypair,
        config: &TransportConfig,
    ) -> BoxedTransport {
        let raw = SimulatedTransport::new(self.clone(), host);
        upgraded(raw, keypair, config, &Limits::default()).expect("a key that can sign")
    }

    /// When the next packet arrives.
    pub(crate) fn next_event(&self) -> Option<Duration> {
        self.state().next_event()
    }

    /// Lets arrive what is due.
    pub(crate) fn run_due(&self) {
        loop {
            let due = self.state().run_one();
            match due {
                // Whoever is woken may look at the network at once.
                Some(wakers) => wakers.into_iter().for_each(|waker| waker.wake()),
                None => return,
            }
        }
    }

    /// Nothing comes from the first host of each pair to the second any more, or it does again, unless it was cut twice.
    pub(crate) fn cut(&self, pairs: impl IntoIterator<Item = (usize, usize)>, is_cut: bool) {
        let mut state = self.state();
        for (from, to) in pairs {
            state.cut(from, to, is_cut);
        }
        if !is_cut {
            state.heal();
        }
    }

    /// The host has lost its network, or has it again.
    pub(crate) fn unplug(&self, host: usize, is_unplugged: bool) {
        self.state().unplug(host, is_unplugged);
    }

    /// The host has lost its power: nothing that it does from now on reaches anybody. To be called before its node is dropped.
    pub(crate) fn power_off(&self, host: usize) {
        self.state().power_off(host);
    }

    /// Ends one of a host's connections for both ends, if it has any.
    pub(crate) fn reset_one(&self, host: usize) {
        let wakers = self.state().reset_one(host);
        wakers.into_iter().for_each(|waker| waker.wake());
    }

    pub(crate) fn traffic(&self, host: usize) -> Traffic {
        self.state().traffic(host)
    }

    /// Connections that stand or that one end still believes in.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> usize {
        self.state().connections()
    }
}

fn multiaddr(address: SocketAddrV4) -> Multiaddr {
    use libp2p::multiaddr::Protocol;
    Multiaddr::empty().with(Protocol::Ip4(*address.ip())).with(Protocol::Tcp(address.port()))
}

/// Public addresses, each in a /16 of its own, so that nodes count them as they would those of strangers.
fn ip(city: usize, number: usize) -> Ipv4Addr {
    let [.., high, low] = (number as u32 + 1).to_be_bytes();
    Ipv4Addr::new(20 + city as u8, low, high, 7)
}
