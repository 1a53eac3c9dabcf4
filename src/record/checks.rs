//! What must hold of a signed record beside its signatures, whichever kind it is of.

use libp2p::PeerId;

use super::{
    body::{Body, sealed::Succession},
    grant::Grant,
    limits::MAX_EXT_BYTES,
    network::NetworkName,
    rejected::Rejected,
    seen::Seen,
};
use crate::{
    error::{Error, Result},
    package::owner_key,
};

/// What a record is checked against: whose it is asked to be, the time in Unix seconds, and what must not be fallen below.
pub(super) struct Against<'a, S> {
    pub(super) network: &'a NetworkName,
    pub(super) now: u64,
    pub(super) seen: &'a S,
}

/// The bounds of an `ext`; what it carries is read apart from that.
pub(super) fn ext(ext: &[u8]) -> Result<()> {
    if ext.len() > MAX_EXT_BYTES {
        let reason = format!("is {} of at most {MAX_EXT_BYTES} bytes", ext.len());
        return Err(Error::invalid("ext", reason));
    }
    Ok(())
}

/// The delegation that a body carries.
pub(super) fn grant_of<T: Body>(body: &T) -> Result<Option<Grant>, Rejected> {
    if T::DELEGABLE { Grant::in_ext(body.common().ext) } else { Ok(None) }
}

/// Whether others will take this signer for one that may sign this body.
pub(super) fn authority<T: Body>(signer: &PeerId, body: &T) -> Result<()> {
    let owner = body.common().owner;
    let refused = |rejected: Rejected| Error::invalid("ext", rejected.to_string());
    match grant_of(body).map_err(refused)? {
        None if signer == owner => Ok(()),
        None => {
            let reason = format!("`{owner}` is not whose key pair signs, nor is it delegated");
            Err(Error::invalid("owner", reason))
        }
        Some(_) if signer == owner => {
            Err(Error::invalid("ext", "carries a delegation, and the owner itself signs"))
        }
        Some(grant) => {
            let key = |peer| owner_key(peer).ok_or_else(|| refused(Rejected::Signer));
            allowed(body, &grant).map_err(refused)?;
            let (owner, signer) = (key(owner)?, key(signer)?);
            grant.prove(body.common().network, (&owner, &signer), None).map_err(refused)
        }
    }
}

/// What a delegation allows, whatever the time.
pub(super) fn allowed<T: Body>(body: &T, grant: &Grant) -> Result<(), Rejected> {
    body.succession().map_or(Ok(()), |this| grant.check_record(this.rank.epoch, this.validity))
}

pub(super) fn network<T: Body>(body: &T, network: &NetworkName) -> Result<(), Rejected> {
    if body.common().network != network {
        return Err(Rejected::Network);
    }
    Ok(())
}

/// What is written once counts for as long as a head speaks of it, and its delegation may have ended honestly.
pub(super) fn time<T: Body>(body: &T, grant: Option<&Grant>, now: u64) -> Result<(), Rejected> {
    body.check_time(now)?;
    match grant {
        Some(grant) if body.succession().is_some() => grant.check_time(now),
        _ => Ok(()),
    }
}

pub(super) fn revision<T: Body>(
    body: &T,
    grant: Option<&Grant>,
    seen: &impl Seen,
) -> Result<(), Rejected> {
    let Some(Succession { name, rank: found, .. }) = body.succession() else { return Ok(()) };
    if let Some(known) = seen.rank(T::KIND, body.common().owner, name)
        && found < known
    {
        return Err(Rejected::Stale { known, found });
    }
    // The owner's own key is not revoked by any epoch.
    if grant.is_some() {
        let floor = seen.epoch(body.common().owner);
        if found.epoch < floor {
            return Err(Rejected::Revoked { epoch: found.epoch, floor });
        }
    }
    Ok(())
}
