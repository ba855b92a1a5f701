//! What people ask for by hand: renewals, revocations, and which files are installers.

use tegata_api::v1::fleet::RecordInstaller;
use tegata_core::name::{DeviceId, Serial, TenantName};
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::policy::PolicyError;
use crate::store::{Change, DeviceRow, StoreError};

/// Why a wish was not granted.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such thing in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The wish itself makes no sense, such as a hash that is none.
    #[error("{0}")]
    Malformed(String),
    /// The database failed or the state changed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy cannot be had.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Has a certificate replaced, however long it would still live.
pub async fn ask_renewal(ledger: &Ledger, bells: &Bells, tenant: &TenantName, serial: &Serial, actor: &str, now: Timestamp) -> Result<(), AskError> {
    let _ = (ledger, bells, tenant, serial, actor, now);
    todo!()
}

/// Makes a certificate invalid from now on. Repeating it changes nothing.
pub async fn revoke_certificate(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    serial: &Serial,
    note: &str,
    actor: &str,
    now: Timestamp,
) -> Result<(), AskError> {
    let _ = (ledger, bells, tenant, serial, note, actor, now);
    todo!()
}

/// Ends a device's identity: it is served nothing any more. Repeating it changes nothing.
pub async fn revoke_device(ledger: &Ledger, bells: &Bells, tenant: &TenantName, device: &DeviceId, actor: &str, now: Timestamp) -> Result<(), AskError> {
    let _ = (ledger, bells, tenant, device, actor, now);
    todo!()
}

/// Says that a file with these contents is an installer, which must not stay on a PC.
pub async fn record_installer(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    installer: &RecordInstaller,
    actor: &str,
    now: Timestamp,
) -> Result<(), AskError> {
    let _ = (ledger, bells, tenant, installer, actor, now);
    todo!()
}

/// What has to change beside [`Change::PutDevice`] when `device` enrols: the clinics that wait for it are looked at, and certificates
/// whose keys an earlier identity held are asked to be replaced. For the same batch as the `PutDevice`; ring the turn afterwards.
pub async fn on_enrolment(ledger: &Ledger, device: &DeviceRow, now: Timestamp) -> Result<Vec<Change>, AskError> {
    let _ = (ledger, device, now);
    todo!()
}
