//! What goes by hand to devices that cannot reach the server, and what comes back from them.
//!
//! A device gets by a file exactly what it would fetch by its link, and says by a file exactly what it would say by it: both end in the
//! functions that serve devices with a network. Only who speaks is proven otherwise: by a signature over the file instead of a handshake.

mod accept;
mod export;

use tegata_core::name::{DeviceId, TenantName};

pub use self::accept::{Heard, PartError, accept};
pub use self::export::export;

use crate::audit::Ledger;
use crate::issuers::authorities::AuthorityError;
use crate::policy::PolicyError;
use crate::serve::certificate::CertificateError;
use crate::store::{DeviceRow, StoreError};
use crate::turn::TurnError;
use crate::vendor::VendorError;

/// Why there is no bundle, or an answer is not taken at all.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// There is no such device in this tenant.
    #[error("there is no such device")]
    NotFound,
    /// The device has not enrolled, or its identity was ended.
    #[error("the device has not enrolled, or was revoked; enrolling needs the network once")]
    NotEnrolled,
    /// Nothing was decided for the device since it enrolled.
    #[error("nothing was planned for this device yet")]
    NothingYet,
    /// The answer cannot be read.
    #[error("the answer cannot be read; was it made by an agent of a newer version?")]
    Unreadable,
    /// Somebody else made the answer, or changed it.
    #[error("the answer is not signed by this device; it was changed on its way, or made before the device was enrolled anew")]
    NotSigned,
    /// The key of the server's certificate does not sign.
    #[error(transparent)]
    Sign(#[from] CertificateError),
    /// An issuer cannot be had.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A vendor's file cannot be had.
    #[error(transparent)]
    Vendor(#[from] VendorError),
    /// What the device sees cannot be kept.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The database failed, or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A device whose identity is in force.
async fn enrolled(ledger: &Ledger, tenant: &TenantName, device: &DeviceId) -> Result<DeviceRow, OfflineError> {
    let row = ledger.store().device(tenant, device).await?;
    if let Some(row) = row.filter(|row| row.revoked_at.is_none()) {
        return Ok(row);
    }
    let policy = ledger.policy(tenant).await?;
    let is_declared = policy.clinics.get(&device.clinic).is_some_and(|clinic| clinic.devices.contains_key(&device.device));
    Err(if is_declared { OfflineError::NotEnrolled } else { OfflineError::NotFound })
}
