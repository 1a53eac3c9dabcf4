//! Whose package a bare name means.

use libp2p::PeerId;

use crate::{
    error::{Error, Result},
    package::PackageName,
    record::{ClaimSet, ClaimStatus},
};

/// The owner that a bare name means, if there is only one: of those who claim it, and of those whose packages of that name
/// are listed. Somebody who has withdrawn does not stand in the way of somebody who has not, nor does somebody who
/// publishes a look-alike.
pub(super) fn only_owner(
    name: &PackageName,
    claims: Option<&ClaimSet>,
    listed: &[PeerId],
) -> Result<Option<PeerId>> {
    let claimed = || claims.into_iter().flat_map(|claims| claims.claims_to(name));
    let with_listed = |mut owners: Vec<PeerId>| {
        owners.extend(listed);
        owners.sort_unstable();
        owners.dedup();
        owners
    };
    let active = with_listed(claims.map(|claims| claims.active_owners(name)).unwrap_or_default());
    match active.as_slice() {
        // A full set may have left claims out: of 24 claimants who push everybody else out of it, all but one can
        // withdraw.
        [] | [_] if claims.is_some_and(|claims| claims.len() >= ClaimSet::MAX_CLAIMS) => {
            let claimants = with_listed(claimed().map(|claim| claim.owner).collect());
            if claimants.is_empty() {
                let what = format!(
                    "`{name}`: those who claim its look-alikes leave no room; ask as `owner/{name}`"
                );
                return Err(Error::not_found(what));
            }
            Err(Error::Ambiguous { name: name.clone(), claimants })
        }
        [owner] => Ok(Some(*owner)),
        [] => {
            let mut withdrawn = claimed().filter(|claim| claim.status == ClaimStatus::Withdrawn);
            match (withdrawn.next(), withdrawn.next()) {
                // Its head says that it is withdrawn, which is the better answer.
                (Some(claim), None) => Ok(Some(claim.owner)),
                _ => Ok(None),
            }
        }
        _ => Err(Error::Ambiguous { name: name.clone(), claimants: active }),
    }
}
