//! What people publish, and how they ask for it: names, manifests, digests, queries, places.
//!
//! Everything here is plain data with bounds. How it is signed and written down is the business of
//! [`record`](crate::record).

mod artifact;
mod deprecation;
mod digest;
mod geo;
mod id;
mod license;
mod manifest;
mod name;
mod owner;
mod published;
mod query;
mod requirement;
mod similar;
pub(crate) mod text;
pub(crate) mod validate;

#[cfg(test)]
mod tests;

pub use artifact::Artifact;
pub use deprecation::Deprecation;
pub use digest::Digest;
pub use geo::GeoLocation;
pub use id::PackageId;
pub(crate) use license::{fold_license, license_terms};
pub use manifest::{Dependency, Manifest};
pub use name::PackageName;
pub use owner::{owner_from_key, owner_key};
pub use published::{Announcement, Package, Receipt, SearchResults, Source, VersionInfo, Versions};
pub(crate) use query::Bounded;
pub use query::{Match, Query, Sort};
pub use requirement::Requirement;
pub use similar::SimilarName;
pub(crate) use validate::Origin;

/// Serialises a type as the string it displays, and reads it back through `FromStr`, so that what
/// is read has passed the same checks as what is typed.
macro_rules! serde_as_string {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_string;
