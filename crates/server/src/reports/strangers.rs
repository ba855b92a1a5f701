//! Certificates that say they are by an authority of the tenant, and of which nothing here knows: told once, so that whoever audits sees it. It may
//! be one that was signed without a record, or one that merely uses the name: its own bytes are on the PC.

use std::collections::BTreeSet;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{FoundCertificate, Report};
use tegata_core::name::Sha256;
use tegata_core::policy::IssuerKind;
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::store::{DeviceRow, NewRecord, Personal};
use crate::turn::TurnError;

/// Records of those that were not there when the device reported last. The work is in proportion to what is new.
pub(super) async fn told(ledger: &Ledger, device: &DeviceRow, report: &Report, now: Timestamp) -> Result<Vec<NewRecord>, TurnError> {
    let before: BTreeSet<_> = device.report.found.iter().map(|found| &found.fingerprint).collect();
    let new: Vec<_> = report.found.iter().filter(|found| !before.contains(&found.fingerprint)).collect();
    if new.is_empty() {
        return Ok(vec![]);
    }
    let policy = ledger.policy(&device.tenant).await?;
    let name = |kind: &IssuerKind| match kind {
        IssuerKind::Ca { common_name } => Some(format!("CN={common_name}")),
        IssuerKind::Vendor | IssuerKind::Orcamo { .. } => None,
    };
    let own: BTreeSet<_> = policy.issuers.values().filter_map(|issuer| name(&issuer.kind)).collect();
    let mut records = Vec::new();
    for found in new.into_iter().filter(|found| own.contains(&found.issuer)) {
        let Ok(fingerprint) = found.fingerprint.parse() else { continue };
        if !is_known(ledger, device, &fingerprint).await? {
            records.push(record(device, found, now));
        }
    }
    Ok(records)
}

/// A certificate that belongs somewhere else of the tenant is known: that it lies here is told as what was found.
async fn is_known(ledger: &Ledger, device: &DeviceRow, fingerprint: &Sha256) -> Result<bool, TurnError> {
    let of_portal = ledger.store().portal_certificate_by_fingerprint(fingerprint).await?;
    let is_of_portal = of_portal.is_some_and(|row| row.draft.account.tenant == device.tenant);
    Ok(is_of_portal || !ledger.store().certificates_by_fingerprint(&device.tenant, fingerprint).await?.is_empty())
}

fn record(device: &DeviceRow, found: &FoundCertificate, at: Timestamp) -> NewRecord {
    NewRecord {
        tenant: device.tenant.clone(),
        at,
        stage: Stage::Seen,
        actor: format!("device:{}", device.device),
        action: "certificate.unrecorded",
        object: device.device.to_string(),
        details: json!({
            "fingerprint": found.fingerprint, "serial": found.serial, "subject": Personal(&found.subject), "issuer": found.issuer,
            "store": found.store, "notAfter": found.not_after,
        }),
    }
}
