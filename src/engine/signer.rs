//! How this node signs for its owner.

use libp2p::{PeerId, identity::Keypair};

use crate::{
    engine::identity::Authority,
    error::{Error, Result},
    package::Manifest,
    record::{
        Claim, ClaimStatus, END_MARGIN_SECS, Head, MAX_LIFETIME_SECS, NetworkName, Notes,
        Pagination, Rank, Release, ReleaseEntry, Revision, Signed, Validity, paginate,
        paginate_delegated,
    },
};

/// The latest time that becomes a sequence, in Unix seconds: some 35,000 years from now. A clock that shows nonsense
/// uses up no epoch.
const LATEST_TIME: u64 = 1 << 40;

/// How long a live head holds at the most, in seconds, where nothing that it ends holds for longer: a day less than a
/// tombstone, which leaves room for as many ends in a row as there are margins in it.
const LONGEST_TTL: u64 = MAX_LIFETIME_SECS - 24 * END_MARGIN_SECS;

/// Who signs, for whom and how long, and at which time.
#[derive(Debug)]
pub(in crate::engine) struct Signer<'a> {
    pub(in crate::engine) keypair: &'a Keypair,
    pub(in crate::engine) authority: &'a Authority,
    pub(in crate::engine) network: &'a NetworkName,
    pub(in crate::engine) unix: u64,
    pub(in crate::engine) ttl: u64,
    /// The highest epoch seen of the owner, in any of its packages.
    pub(in crate::engine) floor: u32,
    /// What is wrong with the clock that shows the time, if something is.
    pub(in crate::engine) clock: Option<String>,
}

impl Signer<'_> {
    pub(in crate::engine) fn owner(&self) -> PeerId {
        self.authority.owner(self.keypair)
    }

    /// What a body carries that is signed here.
    pub(in crate::engine) fn ext(&self) -> Vec<u8> {
        match self.authority {
            Authority::Owner { .. } => Vec::new(),
            Authority::Delegate(delegation) => delegation.to_ext(),
        }
    }

    /// What a head carries that says this beside its list.
    pub(in crate::engine) fn head_ext(&self, notes: &Notes) -> Result<Vec<u8>> {
        Ok([self.ext(), notes.to_ext()?].concat())
    }

    /// When a live head holds: for as long as records are to, and until `at_least` (Unix seconds), but never for so long
    /// that a tombstone signed after it could not outlive it by [`END_MARGIN_SECS`].
    pub(in crate::engine) fn live_validity(&self, at_least: u64) -> Validity {
        let most = self.unix.saturating_add(MAX_LIFETIME_SECS - END_MARGIN_SECS);
        let usual = self.unix.saturating_add(self.ttl.min(LONGEST_TTL));
        let expires = usual.max(at_least).min(most);
        let ends = self.authority_ends();
        // In the last hours of a delegation there is no room for both; then being read comes first.
        let last = ends.saturating_sub(END_MARGIN_SECS);
        let is_early = last > self.unix.saturating_add(END_MARGIN_SECS);
        Validity { issued: self.unix, expires: expires.min(if is_early { last } else { ends }) }
    }

    /// When a tombstone holds: for as long as a record may, or as the delegation does. So no head that was signed before
    /// it outlives it, whoever signed that, and for however long.
    pub(in crate::engine) fn final_validity(&self) -> Validity {
        let expires = self.unix.saturating_add(MAX_LIFETIME_SECS);
        Validity { issued: self.unix, expires: expires.min(self.authority_ends()) }
    }

    /// Whether a live head that is signed now can outlive one of this validity, though it ends something.
    pub(in crate::engine) fn can_outlive(&self, validity: Validity) -> bool {
        let margins = END_MARGIN_SECS.saturating_mul(2);
        validity.expires.saturating_add(margins) <= self.unix.saturating_add(MAX_LIFETIME_SECS)
    }

    /// Whether a tombstone that is signed now can outlive a head of this validity.
    pub(in crate::engine) fn can_end(&self, validity: Validity) -> bool {
        let most = self.unix.saturating_add(MAX_LIFETIME_SECS);
        !validity.is_early(self.unix) || validity.expires.saturating_add(END_MARGIN_SECS) <= most
    }

    /// Whether a package can be withdrawn now, of which a head holds for longer than its tombstone would, if `is_endless`.
    /// It comes of a clock that was set back. Where peers say that this one is wrong, it is to be set first; else the
    /// earlier one was, and waiting does not help.
    pub(in crate::engine) fn check_end(&self, is_endless: bool) -> Result<()> {
        match &self.clock {
            Some(clock) if is_endless => Err(Error::invalid(
                "clock",
                format!(
                    "{clock}, and a head that was signed by a later time would outlive the withdrawal"
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// From when on nothing holds that is signed here, in Unix seconds.
    fn authority_ends(&self) -> u64 {
        match self.authority {
            Authority::Owner { .. } => u64::MAX,
            Authority::Delegate(delegation) => delegation.validity().expires,
        }
    }

    /// Whether others will believe what is signed here of a package, of which `seen` is the highest revision seen.
    pub(in crate::engine) fn check(&self, seen: Revision) -> Result<()> {
        let Authority::Delegate(delegation) = self.authority else { return Ok(()) };
        if let Err(rejected) = delegation.check_time(self.unix) {
            let remedy =
                "the owner has to sign a new delegation, and the node to be started with it";
            let error = Error::invalid("delegation", format!("{rejected}; {remedy}"));
            return Err(error.because(self.clock.clone()));
        }
        let (epoch, floor) = (delegation.epoch(), self.floor.max(seen.epoch));
        if epoch < floor {
            return Err(Error::Conflict {
                reason: format!(
                    "the delegation is revoked: its epoch is {epoch}, and the owner has gone on to {floor}; \
                     the owner has to delegate epoch {floor} or a higher one"
                ),
            });
        }
        Ok(())
    }

    /// Whether a head of this rank is the end of its package to whoever signs here: a higher epoch begins anew.
    pub(in crate::engine) fn is_bound_by(&self, rank: Rank) -> bool {
        rank.withdrawn && self.authority.epoch() <= rank.epoch
    }

    /// The revision after this one: the time, or one more where the time is not above what was seen. By counting alone, a
    /// node that starts again with nobody to ask would count from one and sign sequences for the second time.
    ///
    /// The owner goes on in the next epoch where one is used up, lest anybody who got hold of the last sequence could
    /// lock it out.
    pub(in crate::engine) fn revision_after(&self, seen: Revision) -> Result<Revision> {
        let epoch = match self.authority {
            // Lest a publisher who has been replaced outbids what the owner itself signs.
            Authority::Owner { epoch } => self.floor.max(*epoch),
            Authority::Delegate(delegation) => delegation.epoch(),
        };
        if seen.epoch < epoch {
            return Ok(Revision::new(epoch, self.by_time()));
        }
        self.revision_within(seen)
    }

    /// As [`revision_after`](Self::revision_after), but in the epoch of this one, whichever has been seen of others, unless
    /// it is used up.
    pub(in crate::engine) fn revision_within(&self, seen: Revision) -> Result<Revision> {
        let by_time = self.by_time();
        let next =
            seen.next().map(|next| Revision { sequence: next.sequence.max(by_time), ..next });
        next.or_else(|used_up| match self.authority {
            Authority::Owner { .. } => {
                let epoch = seen.epoch.checked_add(1).ok_or(used_up)?;
                Ok(Revision::new(epoch, by_time))
            }
            Authority::Delegate(_) => Err(Error::Conflict {
                reason: format!(
                    "epoch {} is used up; the owner has to delegate a higher one",
                    seen.epoch
                ),
            }),
        })
    }

    /// The time as a sequence.
    fn by_time(&self) -> u64 {
        self.unix.clamp(1, LATEST_TIME)
    }

    pub(in crate::engine) fn release(&self, manifest: Manifest) -> Result<Signed<Release>> {
        let mut release = Release::new(self.network.clone(), self.owner(), manifest);
        release.ext = self.ext();
        Signed::sign(self.keypair, release)
    }

    /// The claim that goes with a head.
    pub(in crate::engine) fn claim(
        &self,
        head: &Head,
        status: ClaimStatus,
    ) -> Result<Signed<Claim>> {
        let mut claim = Claim::new(
            head.network.clone(),
            head.owner,
            head.name.clone(),
            head.revision,
            head.validity,
            status,
        );
        claim.ext = self.ext();
        Signed::sign(self.keypair, claim)
    }

    pub(in crate::engine) fn paginate(
        &self,
        latest: &Manifest,
        ext_bytes: usize,
        releases: Vec<ReleaseEntry>,
    ) -> Result<Pagination> {
        match self.authority {
            Authority::Owner { .. } => {
                paginate(self.keypair, self.network, latest, ext_bytes, releases)
            }
            Authority::Delegate(delegation) => {
                paginate_delegated(self.keypair, delegation, latest, ext_bytes, releases)
            }
        }
    }
}
