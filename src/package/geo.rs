use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The mean radius of the Earth in kilometres (IUGG, R₁).
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// A place on Earth, in degrees: latitude north of the equator, longitude east of Greenwich.
///
/// ```
/// use peerage::package::GeoLocation;
///
/// let paris = GeoLocation::new(48.8566, 2.3522)?;
/// let tokyo = GeoLocation::new(35.6762, 139.6503)?;
/// assert!((paris.distance_km(&tokyo) - 9_712.0).abs() < 10.0);
/// # Ok::<(), peerage::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Degrees")]
pub struct GeoLocation {
    latitude: f64,
    longitude: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Degrees {
    latitude: f64,
    longitude: f64,
}

impl TryFrom<Degrees> for GeoLocation {
    type Error = Error;

    fn try_from(degrees: Degrees) -> Result<Self> {
        Self::new(degrees.latitude, degrees.longitude)
    }
}

impl GeoLocation {
    /// The place at these degrees: a latitude of -90 to 90, a longitude of -180 to 180.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when a number is outside of its range, or is none.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self> {
        for (field, value, bound) in [("latitude", latitude, 90.0), ("longitude", longitude, 180.0)]
        {
            // Not a number is in no range, and infinities are outside of every one.
            if !(-bound..=bound).contains(&value) {
                let reason = format!("is {value}; -{bound} to {bound} degrees are accepted");
                return Err(Error::invalid(field, reason));
            }
        }
        Ok(Self { latitude, longitude })
    }

    /// Degrees north of the equator, -90 to 90.
    #[must_use]
    pub fn latitude(&self) -> f64 {
        self.latitude
    }

    /// Degrees east of Greenwich, -180 to 180.
    #[must_use]
    pub fn longitude(&self) -> f64 {
        self.longitude
    }

    /// The great-circle distance in kilometres, on a sphere of the Earth's mean radius: within
    /// 0.6 % of the distance on the ellipsoid (haversine formula).
    #[must_use]
    pub fn distance_km(&self, other: &Self) -> f64 {
        let (a, b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_sine = |from: f64, to: f64| ((to - from) / 2.0).sin();
        let north = half_sine(a, b);
        let east = half_sine(self.longitude.to_radians(), other.longitude.to_radians());
        let haversine = north * north + a.cos() * b.cos() * east * east;
        // Between antipodes rounding may leave slightly more than 1, whose arc sine is no number.
        2.0 * EARTH_RADIUS_KM * haversine.clamp(0.0, 1.0).sqrt().asin()
    }
}
