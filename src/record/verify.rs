use std::sync::Arc;

use libp2p::PeerId;

use super::{
    body::Stored,
    checks::Against,
    claim::Claim,
    claim_set::ClaimSet,
    envelope::Envelope,
    head::Head,
    hello::Hello,
    key::RecordKey,
    kind::Kind,
    message::Message,
    network::NetworkName,
    page::Page,
    proven::Proven,
    rejected::Rejected,
    release::Release,
    seen::Seen,
    signed::Signed,
    unproven::{Unproven, found, unasked},
};
use crate::package::{Digest, owner_key};

/// What the DHT holds under a key, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// The head of a package.
    Head(Signed<Head>),
    /// A release of a package.
    Release(Signed<Release>),
    /// A page of a package's list of releases.
    Page(Signed<Page>),
    /// The claims to a name.
    Claims {
        /// The claims that hold.
        set: ClaimSet,
        /// How many others were among them, and are no longer.
        dropped: usize,
    },
}

impl Record {
    /// Verifies bytes that were found under a key: the one way from the DHT into the registry.
    ///
    /// `now` is in Unix seconds. `seen` knows what must not be fallen below; pass `()` where nothing has been seen.
    /// Who verifies many records, or the same ones again and again, has a [`Verifier`](super::Verifier) do it.
    ///
    /// # Errors
    ///
    /// [`Rejected`] says which check failed. They come cheapest first: size, format and kind, strict
    /// decoding, network, key, signer, time, revision and epoch, and the signatures last. Of a set of
    /// claims, those that fail are dropped, and the set is rejected when none is left.
    pub fn verify(
        network: &NetworkName,
        asked: &RecordKey,
        bytes: &[u8],
        now: u64,
        seen: impl Seen,
    ) -> Result<Self, Rejected> {
        Self::verify_knowing(asked, bytes, &Against { network, now, seen: &seen }, None)
    }

    /// As [`verify`](Self::verify), but for signatures that are known to be good.
    pub(super) fn verify_knowing(
        asked: &RecordKey,
        bytes: &[u8],
        against: &Against<'_, impl Seen>,
        proven: Option<&mut Proven>,
    ) -> Result<Self, Rejected> {
        match Kind::of(bytes)? {
            Kind::Head => found(asked, bytes, against, proven).map(Self::Head),
            Kind::Release => found(asked, bytes, against, proven).map(Self::Release),
            Kind::Page => found(asked, bytes, against, proven).map(Self::Page),
            Kind::ClaimSet => {
                let (set, dropped) = ClaimSet::verify(asked, bytes, against, proven)?;
                Ok(Self::Claims { set, dropped })
            }
            // A claim travels in a set, a message over gossip, and a hello from peer to peer.
            kind @ (Kind::Claim | Kind::Message | Kind::Hello) => Err(kind.misplaced()),
        }
    }

    /// The key that bytes say they belong under, before anything is proven. It helps tools to look
    /// at records; a registry compares keys in [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// [`Rejected`] when the bytes are too many, of another format or kind, or do not decode.
    pub fn claimed_key(bytes: &[u8]) -> Result<RecordKey, Rejected> {
        fn key<T: Stored>(bytes: &[u8]) -> Result<RecordKey, Rejected> {
            Unproven::<T>::open(bytes).map(|unproven| unproven.key())
        }
        match Kind::of(bytes)? {
            Kind::Head => key::<Head>(bytes),
            Kind::Release => key::<Release>(bytes),
            Kind::Page => key::<Page>(bytes),
            Kind::ClaimSet => ClaimSet::claimed_key(bytes),
            kind @ (Kind::Claim | Kind::Message | Kind::Hello) => Err(kind.misplaced()),
        }
    }

    /// When bytes say that they were issued, before anything is proven: of a set of claims, the newest of them. At that
    /// time they hold, if they ever do.
    pub(crate) fn claimed_issued(bytes: &[u8]) -> Result<Option<u64>, Rejected> {
        match Kind::of(bytes)? {
            Kind::Head => Ok(Some(Unproven::<Head>::open(bytes)?.body.validity.issued)),
            Kind::Message => Ok(Some(Unproven::<Message>::open(bytes)?.body.issued)),
            Kind::ClaimSet => ClaimSet::claimed_issued(bytes),
            Kind::Release | Kind::Page | Kind::Claim | Kind::Hello => Ok(None),
        }
    }

    /// Reads again what was verified before, or made here, and has been kept as bytes since.
    pub(crate) fn reopened(bytes: &Arc<[u8]>) -> Result<Self, Rejected> {
        match Kind::of(bytes)? {
            Kind::Head => Signed::reopened_alone(bytes).map(Self::Head),
            Kind::Release => Signed::reopened_alone(bytes).map(Self::Release),
            Kind::Page => Signed::reopened_alone(bytes).map(Self::Page),
            Kind::ClaimSet => ClaimSet::reopened(bytes).map(|set| Self::Claims { set, dropped: 0 }),
            kind @ (Kind::Claim | Kind::Message | Kind::Hello) => Err(kind.misplaced()),
        }
    }

    /// Whether bytes that were verified before are this peer's work, as their owner's or a publisher's: of a set of
    /// claims, all of it.
    pub(crate) fn is_signed_by(bytes: &[u8], peer: &PeerId) -> bool {
        let Some(signer) = owner_key(peer) else { return false };
        match Kind::of(bytes) {
            Ok(Kind::ClaimSet) => ClaimSet::is_signed_by(bytes, &signer),
            Ok(kind) => Envelope::parse(kind, bytes).is_ok_and(|record| *record.signer == signer),
            Err(_) => false,
        }
    }

    /// The key that it belongs under.
    #[must_use]
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Head(head) => head.key(),
            Self::Release(release) => release.key(),
            Self::Page(page) => page.key(),
            Self::Claims { set, .. } => set.key(),
        }
    }

    /// The bytes to store and to send. Of a set, they hold no claim that was dropped.
    #[must_use]
    pub fn to_bytes(&self) -> Arc<[u8]> {
        match self {
            Self::Head(head) => Arc::clone(head.bytes()),
            Self::Release(release) => Arc::clone(release.bytes()),
            Self::Page(page) => Arc::clone(page.bytes()),
            Self::Claims { set, .. } => set.to_bytes().into(),
        }
    }

    /// From when on it no longer holds, in Unix seconds: of a set, any of it. Releases and pages
    /// hold for as long as a head speaks of them.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        match self {
            Self::Head(head) => Some(head.validity.expires),
            Self::Release(_) | Self::Page(_) => None,
            Self::Claims { set, .. } => set.iter().map(|claim| claim.validity.expires).max(),
        }
    }
}

impl Signed<Head> {
    /// The digest of the body of what reads as a head, of which nothing is proven.
    pub(crate) fn claimed_digest(bytes: &[u8]) -> Option<Digest> {
        Unproven::<Head>::open(bytes).ok().map(|head| head.digest())
    }

    /// Verifies a head that nobody asked for, as gossip announces it. The checks are those of
    /// [`Record::verify`] but for the key.
    ///
    /// # Errors
    ///
    /// [`Rejected`] says which check failed.
    pub fn verify_announcement(
        network: &NetworkName,
        bytes: &[u8],
        now: u64,
        seen: impl Seen,
    ) -> Result<Self, Rejected> {
        unasked(bytes, &Against { network, now, seen: &seen }, None)
    }

    /// Verifies one that was verified before, in these very bytes: what depends on the time and on what has been seen since.
    pub(crate) fn verify_again(
        &self,
        network: &NetworkName,
        now: u64,
        seen: impl Seen,
    ) -> Result<(), Rejected> {
        self.check_again(&Against { network, now, seen: &seen })
    }
}

impl Signed<Claim> {
    /// Verifies a claim by itself, outside of a set.
    ///
    /// # Errors
    ///
    /// [`Rejected`] says which check failed.
    pub fn verify_claim(
        network: &NetworkName,
        bytes: &[u8],
        now: u64,
        seen: impl Seen,
    ) -> Result<Self, Rejected> {
        unasked(bytes, &Against { network, now, seen: &seen }, None)
    }
}

impl Signed<Message> {
    /// Verifies a message as gossip carries it. Whether it has been seen before is for the caller to
    /// remember, by its [`digest`](Signed::digest), for [`Message::MAX_AGE_SECS`] at most.
    ///
    /// # Errors
    ///
    /// [`Rejected`] says which check failed.
    pub fn verify_message(network: &NetworkName, bytes: &[u8], now: u64) -> Result<Self, Rejected> {
        unasked(bytes, &Against { network, now, seen: &() }, None)
    }
}

impl Signed<Hello> {
    /// Verifies what a peer tells of itself. It must be the word of `sender`, who has sent it: nobody passes on
    /// the hello of another.
    ///
    /// # Errors
    ///
    /// [`Rejected`] says which check failed; [`Rejected::Signer`] where it is another peer's hello.
    pub fn verify_hello(
        network: &NetworkName,
        sender: &PeerId,
        bytes: &[u8],
        now: u64,
    ) -> Result<Self, Rejected> {
        Self::open_hello(network, sender, bytes)?.check_time(now)?.prove(None)
    }

    /// As [`verify_hello`](Self::verify_hello), at whatever time it says that it was signed.
    pub(crate) fn verify_hello_of_any_time(
        network: &NetworkName,
        sender: &PeerId,
        bytes: &[u8],
    ) -> Result<Self, Rejected> {
        Self::open_hello(network, sender, bytes)?.prove(None)
    }

    fn open_hello<'a>(
        network: &NetworkName,
        sender: &PeerId,
        bytes: &'a [u8],
    ) -> Result<Unproven<'a, Hello>, Rejected> {
        let hello = Unproven::<Hello>::open(bytes)?.check_network(network)?;
        if hello.body.peer != *sender {
            return Err(Rejected::Signer);
        }
        hello.check_signer()
    }
}
