//! What a caller may choose about TCP sockets.

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

/// Options for every socket of a [`Transport`](super::Transport).
///
/// ```
/// use peerage::net::tcp;
///
/// let config = tcp::Config::new().with_port_reuse(false).with_listen_backlog(64);
/// assert!(config.nodelay());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    nodelay: bool,
    ttl: Option<NonZeroU8>,
    listen_backlog: u32,
    port_reuse: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { nodelay: true, ttl: None, listen_backlog: 1024, port_reuse: true }
    }
}

impl Config {
    /// The defaults, as each setter documents them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether small writes leave at once (`TCP_NODELAY`) instead of waiting for an acknowledgement of
    /// earlier ones ([RFC 896]). Default: `true`, because the protocols above are short questions and
    /// answers which are written whole, and a multiplexer batches what it can.
    ///
    /// [RFC 896]: https://www.rfc-editor.org/rfc/rfc896
    #[must_use]
    pub fn with_nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// The number of hops after which a packet is discarded (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    /// Default: `None`, which leaves the operating system's choice.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<NonZeroU8>) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many finished handshakes may wait to be accepted by one listener. Default: 1024. The
    /// operating system may lower it (`net.core.somaxconn`) or round it.
    #[must_use]
    pub fn with_listen_backlog(mut self, backlog: u32) -> Self {
        self.listen_backlog = backlog;
        self
    }

    /// Whether a dial that asks for [`PortUse::Reuse`](libp2p::core::transport::PortUse) may leave from
    /// a listening port. Default: `true`. It has an effect only where the operating system has
    /// `SO_REUSEPORT`; everywhere else each dial leaves from a new port.
    #[must_use]
    pub fn with_port_reuse(mut self, port_reuse: bool) -> Self {
        self.port_reuse = port_reuse;
        self
    }

    /// See [`with_nodelay`](Self::with_nodelay).
    #[must_use]
    pub fn nodelay(&self) -> bool {
        self.nodelay
    }

    /// See [`with_ttl`](Self::with_ttl).
    #[must_use]
    pub fn ttl(&self) -> Option<NonZeroU8> {
        self.ttl
    }

    /// See [`with_listen_backlog`](Self::with_listen_backlog).
    #[must_use]
    pub fn listen_backlog(&self) -> u32 {
        self.listen_backlog
    }

    /// See [`with_port_reuse`](Self::with_port_reuse).
    #[must_use]
    pub fn port_reuse(&self) -> bool {
        self.port_reuse
    }
}
