//! Why a package matters here.

/// Why a head is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interest {
    // The order is that of their worth.
    /// It was heard of.
    Heard,
    /// The application was answered with it.
    Used,
    /// Its name is pinned to its owner.
    Pinned,
    /// This node publishes it.
    Own,
}
