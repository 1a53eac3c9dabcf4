//! What a caller may choose about discovery on the local network.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a [query interval](MdnsConfig::with_query_interval) may be: no more than an hour by RFC 6762.
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3600);

/// What a [time to live](MdnsConfig::with_ttl) may be.
const TTLS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// How peers on the local network are discovered: see [`Config::mdns`](crate::Config::mdns).
///
/// ```
/// use std::time::Duration;
/// use peerage::{Config, MdnsConfig};
///
/// let mdns = MdnsConfig::new().with_query_interval(Duration::from_secs(60));
/// let config = Config::new().with_mdns(mdns);
/// assert!(config.mdns.is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MdnsConfig {
    #[serde(with = "humantime_serde")]
    query_interval: Duration,
    #[serde(with = "humantime_serde")]
    ttl: Duration,
    interfaces: Vec<IpAddr>,
}

impl Default for MdnsConfig {
    fn default() -> Self {
        Self {
            query_interval: Duration::from_secs(300),
            ttl: Duration::from_secs(360),
            interfaces: Vec::new(),
        }
    }
}

impl MdnsConfig {
    /// The defaults, as each setter documents them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest pause between two questions to the network. The first ones are one second apart, and each further
    /// pause is twice as long as the one before. Default: 5 min; 1 s to 1 h.
    #[must_use]
    pub fn with_query_interval(mut self, interval: Duration) -> Self {
        self.query_interval = interval.clamp(*INTERVALS.start(), *INTERVALS.end());
        self
    }

    /// For how long others may believe what this node says of its addresses, in whole seconds. Default: 6 min; 1 s to
    /// 1 day.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl.clamp(*TTLS.start(), *TTLS.end());
        self
    }

    /// Speaks only on the interfaces that have one of these addresses. Default: none of them is named, and the node speaks
    /// on all that are up, the loopback interface among them.
    #[must_use]
    pub fn with_interfaces(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.interfaces = addresses.into_iter().collect();
        self
    }

    /// See [`with_query_interval`](Self::with_query_interval).
    #[must_use]
    pub fn query_interval(&self) -> Duration {
        self.query_interval
    }

    /// See [`with_ttl`](Self::with_ttl).
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// See [`with_interfaces`](Self::with_interfaces).
    #[must_use]
    pub fn interfaces(&self) -> &[IpAddr] {
        &self.interfaces
    }

    /// Checks what was read from a file; the setters keep to the bounds by themselves.
    pub(crate) fn validate(&self) -> Result<()> {
        if !INTERVALS.contains(&self.query_interval) {
            return Err(Error::invalid(
                "mdns.query_interval",
                "must be between 1 second and 1 hour",
            ));
        }
        if !TTLS.contains(&self.ttl) {
            return Err(Error::invalid("mdns.ttl", "must be between 1 second and 1 day"));
        }
        Ok(())
    }
}
