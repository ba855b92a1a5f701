//! Opening what was sealed: with one key, or with those that several people have brought.

use tegata_pki::bundle::quorum::{Fault, unlock};
use tegata_pki::bundle::{DeviceKey, SealError};

use super::RestoreError;

/// Opens with whichever of the identities can, or with what several of them give together. What is wrong with shares that were not needed is
/// said.
pub fn opened<T>(sealed: &[u8], identities: &[DeviceKey], open: impl Fn(&DeviceKey) -> Result<T, SealError>) -> Result<T, RestoreError> {
    let (opened, faults) = opened_and_told(sealed, identities, open)?;
    for fault in faults {
        eprintln!("warning: {fault}; import the vendor's file again before another key is lost");
    }
    Ok(opened)
}

/// The same, and what is wrong with shares that were not needed.
pub fn opened_and_told<T>(
    sealed: &[u8],
    identities: &[DeviceKey],
    open: impl Fn(&DeviceKey) -> Result<T, SealError>,
) -> Result<(T, Vec<Fault>), RestoreError> {
    match unlock(sealed, identities).map_err(RestoreError::Quorum)? {
        Some(unlocked) => Ok((open(&unlocked.key).map_err(RestoreError::Closed)?, unlocked.faults)),
        None => each(identities, open).map(|opened| (opened, vec![])),
    }
}

fn each<T>(identities: &[DeviceKey], open: impl Fn(&DeviceKey) -> Result<T, SealError>) -> Result<T, RestoreError> {
    let mut last = SealError::NoRecipient;
    for identity in identities {
        match open(identity) {
            Ok(opened) => return Ok(opened),
            Err(error) => last = error,
        }
    }
    Err(RestoreError::Closed(last))
}

/// How many more keys of a backup's keepers it takes; `None` if none of these is one of them.
pub fn still_needed(recipients: &[String], threshold: u8, identities: &[DeviceKey]) -> Option<usize> {
    let have = recipients.iter().filter(|keeper| identities.iter().any(|identity| identity.recipient() == **keeper)).count();
    (have > 0).then(|| usize::from(threshold.max(1)).saturating_sub(have))
}
