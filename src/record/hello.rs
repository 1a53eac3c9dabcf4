use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{
    body::sealed::{Common, Wire},
    kind::Kind,
    limits::MAX_CLOCK_SKEW_SECS,
    network::NetworkName,
    rejected::Rejected,
    validity::Validity,
    wire::CoverageWire,
};
use crate::{
    coverage::Coverage,
    error::{Error, Result},
    package::{Digest, GeoLocation, Origin},
};

/// What a peer tells of itself to whom it is connected to: signed, not stored, not passed on.
///
/// All of it is the peer's own word. A location is a hint and nothing proves it; the digest only saves a comparison
/// of catalogues that are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello {
    /// The network that it belongs to.
    pub network: NetworkName,
    /// Who says it.
    pub peer: PeerId,
    /// When it was signed, in Unix seconds. It counts for [`MAX_AGE_SECS`](Self::MAX_AGE_SECS).
    pub issued: u64,
    /// Where the peer says that it is, if it says so.
    pub location: Option<Location>,
    /// Which packages its catalogue is about.
    pub coverage: Coverage,
    /// How many packages its catalogue holds.
    pub packages: u64,
    /// What recognises the catalogue's content, for those who hold the same.
    pub digest: Digest,
    /// What the peer can do, a bit each. Bits that are not known mean nothing.
    pub features: u64,
    /// What later versions sign; at most 512 bytes.
    pub ext: Vec<u8>,
}

impl Hello {
    /// From which age on a hello is refused, in seconds. As many in the future are forgiven, since clocks differ.
    pub const MAX_AGE_SECS: u64 = MAX_CLOCK_SKEW_SECS;

    /// The hello of a peer with an empty catalogue of all packages.
    #[must_use]
    pub fn new(network: NetworkName, peer: PeerId, issued: u64) -> Self {
        Self {
            network,
            peer,
            issued,
            location: None,
            coverage: Coverage::All,
            packages: 0,
            digest: Digest::from_bytes([0; 32]),
            features: 0,
            ext: Vec::new(),
        }
    }

    /// Whether it counts at this time.
    pub(crate) fn is_of(&self, now: u64) -> bool {
        self.check_time(now).is_ok()
    }
}

/// A declared place in millionths of a degree, about 11 cm: what a [`GeoLocation`] is without floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Location {
    /// North of the equator: -90,000,000 to 90,000,000.
    pub latitude: i32,
    /// East of Greenwich: -180,000,000 to 180,000,000.
    pub longitude: i32,
}

impl Location {
    /// The place at so many millionths of a degree.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when a number is outside of its range.
    pub fn new(latitude: i32, longitude: i32) -> Result<Self> {
        let location = Self { latitude, longitude };
        location.validate()?;
        Ok(location)
    }

    fn validate(self) -> Result<()> {
        for (field, value, bound) in [
            ("latitude", self.latitude, 90_000_000_u32),
            ("longitude", self.longitude, 180_000_000),
        ] {
            if value.unsigned_abs() > bound {
                let reason = format!("is {value}; -{bound} to {bound} are accepted");
                return Err(Error::invalid(field, reason));
            }
        }
        Ok(())
    }
}

impl From<GeoLocation> for Location {
    fn from(location: GeoLocation) -> Self {
        // Both are in range, so that nothing is cut off.
        let millionths = |degrees: f64| (degrees * 1e6).round() as i32;
        Self {
            latitude: millionths(location.latitude()),
            longitude: millionths(location.longitude()),
        }
    }
}

impl TryFrom<Location> for GeoLocation {
    type Error = Error;

    fn try_from(location: Location) -> Result<Self> {
        Self::new(f64::from(location.latitude) / 1e6, f64::from(location.longitude) / 1e6)
    }
}

/// What a hello has of its own, as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct HelloFields<'a> {
    issued: u64,
    /// Latitude and longitude.
    location: Option<(i32, i32)>,
    #[serde(borrow)]
    coverage: CoverageWire<'a>,
    packages: u64,
    digest: [u8; 32],
    features: u64,
}

impl Wire for Hello {
    const KIND: Kind = Kind::Hello;

    /// What a peer says of itself it signs itself.
    const DELEGABLE: bool = false;

    type Fields<'a> = HelloFields<'a>;

    fn common(&self) -> Common<'_> {
        Common { network: &self.network, owner: &self.peer, ext: &self.ext }
    }

    fn to_fields(&self) -> Result<HelloFields<'_>> {
        Ok(HelloFields {
            issued: self.issued,
            location: self.location.map(|location| (location.latitude, location.longitude)),
            coverage: CoverageWire::of(&self.coverage),
            packages: self.packages,
            digest: *self.digest.as_bytes(),
            features: self.features,
        })
    }

    fn from_fields(common: Common<'_>, fields: HelloFields<'_>) -> Result<Self, Rejected> {
        let HelloFields { issued, location, coverage, packages, digest, features } = fields;
        let (network, peer, ext) = common.owned();
        let location = location.map(|(latitude, longitude)| Location { latitude, longitude });
        let (coverage, digest) = (coverage.into_coverage()?, Digest::from_bytes(digest));
        Ok(Self { network, peer, issued, location, coverage, packages, digest, features, ext })
    }

    fn validate(&self, _origin: Origin) -> Result<()> {
        self.location.map_or(Ok(()), Location::validate)?;
        self.coverage.validate()
    }

    fn check_time(&self, now: u64) -> Result<(), Rejected> {
        Validity::starting(self.issued, Self::MAX_AGE_SECS).check_now(now)
    }
}
