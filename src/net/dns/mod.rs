//! Names in addresses.
//!
//! A bootstrap address, or one that an application dials, may begin with a name, as in the [libp2p addressing]
//! specification:
//!
//! | address | what is looked up |
//! |--|--|
//! | `/dns4/example.org/tcp/4001` | IPv4 addresses (A) |
//! | `/dns6/example.org/tcp/4001` | IPv6 addresses (AAAA) |
//! | `/dns/example.org/tcp/4001` | both |
//! | `/dnsaddr/example.org` | texts (TXT) of `_dnsaddr.example.org`, each `dnsaddr=` and an address, in which there may be names again |
//!
//! Each with or without a `/p2p/<peer>` behind it. Addresses of other transports than TCP are passed over: their names are
//! not looked up. Of what a `/dnsaddr` lists, only addresses that end in what follows the
//! name are dialed, so that `/dnsaddr/example.org/p2p/<peer>` leads to that peer and to no other. Whoever answers must be
//! the peer that the list names.
//!
//! # How it is dialed
//!
//! Addresses that are found are dialed by [RFC 8305], while others may still be looked up: IPv6 and IPv4 take turns, each
//! address has a start of 250 ms on the next, and one that fails makes room at once. The first peer that has proved who it
//! is wins, and the other attempts are given up. A list may name the node that dials, which passes over itself.
//!
//! # Who is asked
//!
//! The servers of [`DnsConfig`], or those of the operating system. The files of the system (`/etc/resolv.conf`) are read
//! again for each lookup, on a thread for it, so that a laptop that has moved asks the servers of where it is now. `/etc/hosts` is read when servers
//! have changed. Answers are remembered for as long as they hold, for an hour at most.
//!
//! Only names that the application itself has given are looked up. In addresses that other peers tell, a node follows no
//! names: anybody could have it ask about anything.
//!
//! # Bounds
//!
//! | what | most |
//! |--|--|
//! | names that lead from one to the next | 4 |
//! | lookups of a dial | 32, 4 of them at a time |
//! | lookups of all dials at a time | 64 |
//! | time to look up, for a dial | 20 s |
//! | addresses of a dial | 16 dialed, 64 remembered |
//! | answers that are remembered | 64 |
//!
//! # Errors
//!
//! A dial fails with a text for each address that was dialed and for each name that has led nowhere: "example.org has no
//! address", "example.org: no DNS server answered in time".
//!
//! # How it runs
//!
//! [`hickory_resolver`] asks the servers, over sockets of `async-io`. What it runs in the background is polled by this
//! transport; nothing is spawned.
//!
//! [libp2p addressing]: https://github.com/libp2p/specs/blob/master/addressing/README.md
//! [RFC 8305]: https://www.rfc-editor.org/rfc/rfc8305

mod dial;
mod places;
mod race;
mod resolver;
mod runtime;
mod search;

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures::FutureExt as _;
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{self, DialOpts, ListenerId, TransportError, TransportEvent},
};

use self::{
    dial::{Connection, Dial, Tools},
    resolver::Resolver,
    search::Shape,
};
use super::{Resolved, tasks::ConnectionTasks, transport::BoxedTransport};
use crate::place::begins_with_name;

pub use crate::config::DnsConfig;

/// Looks up the names in addresses, and dials over another transport what it finds; see the [module](self) for how.
///
/// The other transport is one that authenticates peers and limits the time of a dial, such as
/// [`transport::upgraded`](super::transport::upgraded) makes one. [`transport::tcp`](super::transport::tcp()) has names
/// already, which a node has as well unless it is given another transport. One that is given this one does not learn where
/// names have led: it knows connections by name, and does not count them by host.
///
/// ```
/// use peerage::{DnsConfig, Limits, TransportConfig, identity::Keypair, net::{dns, tcp, transport}};
///
/// let keypair = Keypair::generate_ed25519();
/// let tcp = tcp::Transport::new(tcp::Config::new().with_port_reuse(false));
/// let tcp = transport::upgraded(tcp, &keypair, &TransportConfig::new(), &Limits::new())?;
/// let local = keypair.public().to_peer_id();
/// let transport = dns::Transport::new(tcp, local, DnsConfig::new());
/// # Ok::<_, peerage::Error>(())
/// ```
pub struct Transport {
    tools: Tools,
    /// What `hickory` runs in the background.
    background: ConnectionTasks,
}

impl Transport {
    /// Dials for the node with this identity, over this transport.
    #[must_use]
    pub fn new(inner: BoxedTransport, local: PeerId, config: DnsConfig) -> Self {
        Self::over(inner, local, config, Resolved::default(), Shape::Any)
    }

    /// One over TCP that tells where names have led.
    pub(crate) fn telling(
        tcp: BoxedTransport,
        local: PeerId,
        config: DnsConfig,
        resolved: Resolved,
    ) -> Self {
        Self::over(tcp, local, config, resolved, Shape::Tcp)
    }

    fn over(
        inner: BoxedTransport,
        local: PeerId,
        config: DnsConfig,
        resolved: Resolved,
        shape: Shape,
    ) -> Self {
        let (background, spawner) = ConnectionTasks::new(None);
        let inner = Arc::new(Mutex::new(inner));
        let resolver = Resolver::new(config, spawner);
        Self { tools: Tools { local, inner, resolver, resolved, shape }, background }
    }

    fn inner(&self) -> MutexGuard<'_, BoxedTransport> {
        self.tools.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("resolver", &self.tools.resolver)
            .field("background", &self.background)
            .finish_non_exhaustive()
    }
}

impl transport::Transport for Transport {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = <BoxedTransport as transport::Transport>::ListenerUpgrade;
    type Dial = <BoxedTransport as transport::Transport>::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner().listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner().remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        if !begins_with_name(&address) {
            return self.inner().dial(address, opts);
        }
        Ok(Dial::new(self.tools.clone(), address, opts).run().boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        self.background.poll(cx);
        Pin::new(&mut *self.inner()).poll(cx)
    }
}
