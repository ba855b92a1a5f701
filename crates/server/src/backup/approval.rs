//! Two people for one read, where a clinic's policy asks for that. How two people agree is [`crate::approvals`].

use tegata_api::v1::backup::FetchRequest;
use tegata_core::name::{SlotId, TenantName};
use tegata_core::time::Timestamp;

use super::fetch::BackupError;
use crate::approvals::{self, Act};
use crate::audit::Ledger;
use crate::store::Batch;
use crate::store::approvals::What;
use crate::store::backup::Kind;
use crate::words;

/// Lets a read through, or asks for somebody else's word first. Gives what is committed with the read.
///
/// # Errors
/// [`BackupError::Approval`], and the others.
pub async fn expect(
    ledger: &Ledger,
    tenant: &TenantName,
    slot: &SlotId,
    request: &FetchRequest,
    by: (&str, Timestamp),
) -> Result<Batch, BackupError> {
    let policy = ledger.policy(tenant).await?;
    if policy.clinics.get(&slot.clinic).is_none_or(|clinic| clinic.backup.approvals < 2) {
        return Ok(Batch::default());
    }
    let kind = request.kind.as_deref().map_or(Some(Kind::File), words::read_backup_kind).ok_or(BackupError::NotFound("backup"))?;
    ledger.store().newest_backup(tenant, slot, kind).await?.ok_or(BackupError::NotFound("backup"))?;
    let act = Act { tenant, what: What::ReadBackup, object: &slot.to_string(), devices: 0 };
    Ok(approvals::expect(ledger, act, by).await?)
}
