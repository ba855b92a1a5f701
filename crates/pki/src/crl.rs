//! Certificate revocation lists (RFC 5280, section 5).

use tegata_core::name::Serial;
use tegata_core::time::Timestamp;

use crate::authority::Authority;
use crate::key::KeyError;

/// A certificate that is invalid, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: Serial,
    /// Since when.
    pub at: Timestamp,
}

/// Makes a list, DER. `number` counts up with every list of the same authority.
pub fn create(
    authority: &Authority,
    number: u64,
    revoked: &[Revoked],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, KeyError> {
    let _ = (authority, number, revoked, this_update, next_update);
    todo!()
}
