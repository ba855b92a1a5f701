//! The fleet as people see it: clinics, devices, slots, certificates and what is planned for them.

use tegata_api::v1::fleet::{Action, Certificate, Clinic, Device, DeviceDetail, Slot};
use tegata_core::name::{ClinicName, DeviceId, TenantName};
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::turn::TurnError;

/// Clinics at a glance.
pub async fn clinics(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Clinic>, TurnError> {
    let _ = (ledger, tenant, clinic, now);
    todo!()
}

/// Devices at a glance: those that policy names, and those that enrolled once.
pub async fn devices(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Device>, TurnError> {
    let _ = (ledger, tenant, clinic, now);
    todo!()
}

/// Slots at a glance.
pub async fn slots(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Slot>, TurnError> {
    let _ = (ledger, tenant, clinic, now);
    todo!()
}

/// Certificates, newest first.
pub async fn certificates(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<Certificate>, TurnError> {
    let _ = (ledger, tenant, clinic);
    todo!()
}

/// What a turn taken now would do, and what it would knowingly leave.
pub async fn actions(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Action>, TurnError> {
    let _ = (ledger, tenant, clinic, now);
    todo!()
}

/// One device in full; `None` if neither policy nor the database knows it.
pub async fn device_detail(ledger: &Ledger, tenant: &TenantName, device: &DeviceId, now: Timestamp) -> Result<Option<DeviceDetail>, TurnError> {
    let _ = (ledger, tenant, device, now);
    todo!()
}
