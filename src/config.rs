//! What an application may choose, and what it gets when it does not.

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

use crate::{
    coverage::Coverage,
    error::{Error, Result},
    package::{GeoLocation, PackageName},
    record::NetworkName,
};

/// Writes one consuming setter for each field.
macro_rules! setters {
    ($($(#[$doc:meta])* $setter:ident: $field:ident: $type:ty),* $(,)?) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $setter(mut self, $field: $type) -> Self {
                self.$field = $field;
                self
            }
        )*
    };
}

mod dns;
mod gossip;
mod limits;
pub(crate) mod tcp;
mod transport;

pub(crate) use gossip::Budget;

pub use dns::DnsConfig;
pub use limits::Limits;
pub use transport::TransportConfig;

/// How a node is set up. Every field has a default; [`Config::new`] is a node of the network `main` that
/// listens on every interface and knows nobody.
///
/// Durations read and write as words (`"30s"`, `"5m"`) in formats meant for people.
///
/// ```
/// use std::time::Duration;
///
/// let config = peerage::Config::new()
///     .with_network("plugins".parse()?)
///     .with_bootstrap(["/ip4/127.0.0.1/tcp/4001".parse()?])
///     .with_query_timeout(Duration::from_secs(10));
/// config.validate()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The network's name. It is part of every protocol, topic, key and signature, so that two networks never
    /// mix. Default: `main`.
    pub network: NetworkName,
    /// Where to listen. Default: `/ip4/0.0.0.0/tcp/0` and `/ip6/::/tcp/0`, that is a free port on every
    /// interface. Empty: do not listen.
    pub listen: Vec<Multiaddr>,
    /// Addresses under which this node can be reached from elsewhere (a forwarded port, say). They are told
    /// to other peers beside those it listens on. Not by name: peers look up none that others tell. Default: none.
    pub external_addresses: Vec<Multiaddr>,
    /// Peers to dial at the start, and again as long as they are not connected: see
    /// [`rejoin_interval`](Self::rejoin_interval). Each with or without a trailing `/p2p/<peer>`, and by IP address or by
    /// [name](crate::guide::configuration#names-in-addresses). Default: none.
    pub bootstrap: Vec<Multiaddr>,
    /// How long a bootstrap peer or a close neighbour that has left is left alone before it is dialed again. Further
    /// pauses are longer and longer, up to ten times as long, less in a network of a few peers; while nobody is there
    /// who can be asked, they are 1 s up to 60 s, or this interval if it is shorter. A peer that has no room is
    /// left alone for five times as long, a bootstrap peer without room also while nobody is there; a node with many others
    /// dials that one ever more rarely, down to once in 1,440 times this interval, and looks for no neighbour without room.
    /// Default: 1 min; 1 s to 1 h.
    #[serde(with = "humantime_serde")]
    pub rejoin_interval: Duration,
    /// Whether this node serves the DHT. Default: [`DhtMode::Server`].
    pub mode: DhtMode,
    /// The topic on which packages are announced. Peers with another topic do not hear of each other's
    /// packages. Default: `announcements`.
    pub announcements_topic: String,
    /// How many calls may stand between the handles and the node before further callers wait for
    /// room. Their deadlines run meanwhile. At most 1,000,000. Default: 100.
    pub command_capacity: usize,
    /// How long a call may take, counted from the first poll of its future at the latest. Default: 30 s.
    #[serde(with = "humantime_serde")]
    pub query_timeout: Duration,
    /// How long an [`announce`](crate::Handle::announce) may take, counted from the first poll of its future.
    /// Default: 5 s.
    #[serde(with = "humantime_serde")]
    pub announce_timeout: Duration,
    /// The granularity of deadlines: one tick of the timer wheel. An answer is never later than its deadline
    /// and one of these. Default: 10 ms.
    #[serde(with = "humantime_serde")]
    pub sweep_granularity: Duration,
    /// For how long what was read or announced is answered without asking again. Default: 300 s.
    #[serde(with = "humantime_serde")]
    pub cache_ttl: Duration,
    /// For how long a lookup that found nothing is not repeated, unless the package is announced or published
    /// meanwhile. Default: 2 s; zero repeats each.
    #[serde(with = "humantime_serde")]
    pub absence_ttl: Duration,
    /// For how long a signed head or claim is valid. An owner that stays away for longer vanishes from the
    /// network. Default: 48 h; at most 30 days, of which live heads hold for no more than 29, so that a tombstone outlives
    /// them.
    #[serde(with = "humantime_serde")]
    pub record_ttl: Duration,
    /// How often own records are put into the DHT again. Default: 12 h; at most a third of `record_ttl`.
    #[serde(with = "humantime_serde")]
    pub republish_interval: Duration,
    /// Which packages of others this node keeps a catalogue of. Default: [`Coverage::All`].
    pub coverage: Coverage,
    /// How often the catalogue is compared with that of a connected peer, each in turn, beside the comparisons with peers
    /// that have just been dialed. Default: 5 min.
    #[serde(with = "humantime_serde")]
    pub reconcile_interval: Duration,
    /// Where this node stands. Told to connected peers, for whom it is a hint about whom to ask first, and by
    /// [`metadata`](crate::Registry::metadata). Default: not said.
    pub location: Option<GeoLocation>,
    /// Owners to trust for bare names, whoever else claims them. Default: none.
    pub pins: BTreeMap<PackageName, PeerId>,
    /// Whether the first owner to whom a bare name resolves is pinned for the life of this node (trust on
    /// first use). Default: no.
    pub pin_on_first_use: bool,
    /// Transport settings.
    pub transport: TransportConfig,
    /// Bounds on everything that could grow.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        let any = |protocol| Multiaddr::empty().with(protocol).with(Protocol::Tcp(0));
        Self {
            network: NetworkName::default(),
            listen: vec![
                any(Protocol::Ip4(std::net::Ipv4Addr::UNSPECIFIED)),
                any(Protocol::Ip6(std::net::Ipv6Addr::UNSPECIFIED)),
            ],
            external_addresses: Vec::new(),
            bootstrap: Vec::new(),
            rejoin_interval: Duration::from_secs(60),
            mode: DhtMode::default(),
            announcements_topic: "announcements".to_owned(),
            command_capacity: 100,
            query_timeout: Duration::from_secs(30),
            announce_timeout: Duration::from_secs(5),
            sweep_granularity: Duration::from_millis(10),
            cache_ttl: Duration::from_secs(300),
            absence_ttl: Duration::from_secs(2),
            record_ttl: Duration::from_secs(48 * 3600),
            republish_interval: Duration::from_secs(12 * 3600),
            coverage: Coverage::All,
            reconcile_interval: Duration::from_secs(300),
            location: None,
            pins: BTreeMap::new(),
            pin_on_first_use: false,
            transport: TransportConfig::default(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// The default configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets [`network`](Self::network).
        with_network: network: NetworkName,
        /// Sets [`rejoin_interval`](Self::rejoin_interval).
        with_rejoin_interval: rejoin_interval: Duration,
        /// Sets [`mode`](Self::mode).
        with_mode: mode: DhtMode,
        /// Sets [`command_capacity`](Self::command_capacity).
        with_command_capacity: command_capacity: usize,
        /// Sets [`query_timeout`](Self::query_timeout).
        with_query_timeout: query_timeout: Duration,
        /// Sets [`announce_timeout`](Self::announce_timeout).
        with_announce_timeout: announce_timeout: Duration,
        /// Sets [`sweep_granularity`](Self::sweep_granularity).
        with_sweep_granularity: sweep_granularity: Duration,
        /// Sets [`cache_ttl`](Self::cache_ttl).
        with_cache_ttl: cache_ttl: Duration,
        /// Sets [`absence_ttl`](Self::absence_ttl).
        with_absence_ttl: absence_ttl: Duration,
        /// Sets [`record_ttl`](Self::record_ttl).
        with_record_ttl: record_ttl: Duration,
        /// Sets [`republish_interval`](Self::republish_interval).
        with_republish_interval: republish_interval: Duration,
        /// Sets [`coverage`](Self::coverage).
        with_coverage: coverage: Coverage,
        /// Sets [`reconcile_interval`](Self::reconcile_interval).
        with_reconcile_interval: reconcile_interval: Duration,
        /// Sets [`pin_on_first_use`](Self::pin_on_first_use).
        with_pin_on_first_use: pin_on_first_use: bool,
        /// Sets [`transport`](Self::transport).
        with_transport: transport: TransportConfig,
        /// Sets [`limits`](Self::limits).
        with_limits: limits: Limits,
    }

    /// Sets [`listen`](Self::listen).
    #[must_use]
    pub fn with_listen(mut self, addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        self.listen = addresses.into_iter().collect();
        self
    }

    /// Sets [`bootstrap`](Self::bootstrap).
    #[must_use]
    pub fn with_bootstrap(mut self, addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        self.bootstrap = addresses.into_iter().collect();
        self
    }

    /// Sets [`external_addresses`](Self::external_addresses).
    #[must_use]
    pub fn with_external_addresses(
        mut self,
        addresses: impl IntoIterator<Item = Multiaddr>,
    ) -> Self {
        self.external_addresses = addresses.into_iter().collect();
        self
    }

    /// Sets [`announcements_topic`](Self::announcements_topic).
    #[must_use]
    pub fn with_announcements_topic(mut self, topic: impl Into<String>) -> Self {
        self.announcements_topic = topic.into();
        self
    }

    /// Sets [`location`](Self::location).
    #[must_use]
    pub fn with_location(mut self, location: GeoLocation) -> Self {
        self.location = Some(location);
        self
    }

    /// Adds a pin to [`pins`](Self::pins).
    #[must_use]
    pub fn with_pin(mut self, name: PackageName, owner: PeerId) -> Self {
        self.pins.insert(name, owner);
        self
    }

    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first field that does not, and what would.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("query_timeout", self.query_timeout),
            ("announce_timeout", self.announce_timeout),
            ("sweep_granularity", self.sweep_granularity),
            ("cache_ttl", self.cache_ttl),
            ("republish_interval", self.republish_interval),
        ];
        for (field, duration) in positive {
            if duration < Duration::from_millis(1) {
                return Err(Error::invalid(field, "must be at least 1 ms"));
            }
        }
        let month = Duration::from_secs(30 * 24 * 3600);
        if self.reconcile_interval < Duration::from_secs(1) {
            return Err(Error::invalid("reconcile_interval", "must be at least 1 second"));
        }
        let rejoin = Duration::from_secs(1)..=Duration::from_secs(3600);
        if !rejoin.contains(&self.rejoin_interval) {
            return Err(Error::invalid("rejoin_interval", "must be between 1 second and 1 hour"));
        }
        if !(Duration::from_secs(60)..=month).contains(&self.record_ttl) {
            return Err(Error::invalid("record_ttl", "must be between 1 minute and 30 days"));
        }
        // A head is signed anew in the first round of the second half of its life, and rounds are up to a tenth
        // late.
        if self.republish_interval > self.record_ttl / 3 {
            return Err(Error::invalid(
                "republish_interval",
                "must be at most a third of `record_ttl`, or own records lapse between two rounds",
            ));
        }
        if !(1..=1_000_000).contains(&self.command_capacity) {
            return Err(Error::invalid("command_capacity", "must be between 1 and 1,000,000"));
        }
        validate_topic("announcements_topic", &self.announcements_topic)?;
        self.coverage.validate()?;
        self.transport.validate()?;
        self.limits.validate()
    }
}

/// A topic's name is part of each message of it, and of what peers remember: it is kept short and printable.
pub(crate) fn validate_topic(field: &'static str, topic: &str) -> Result<()> {
    if topic.is_empty() || topic.len() > 128 || topic.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must be 1 to 128 bytes without control characters"));
    }
    Ok(())
}

/// Whether a node serves the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DhtMode {
    /// Holds records for others and answers their lookups: for a node that others can dial.
    #[default]
    Server,
    /// Only asks: for a node behind a firewall, or one that comes and goes.
    Client,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_no_memory_holds_is_refused_and_does_not_panic() {
        for capacity in [0, 1_000_001, usize::MAX] {
            let refused = Config::new().with_command_capacity(capacity).validate();
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{capacity}");
        }
        assert_eq!(Config::new().with_command_capacity(1_000_000).validate(), Ok(()));
    }
}
