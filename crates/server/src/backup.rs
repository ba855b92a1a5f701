//! Sealed backups on their way to targets and back.
//!
//! What is to lie where is found out by every turn ([`order`]); the carrier ([`carrier`]) makes it so and reads it back, again and again;
//! [`fetch`] hands it out to people. The server can open none of it.

pub mod approval;
pub mod carrier;
pub mod drill;
pub mod fetch;
pub mod keep;
pub(crate) mod order;
pub mod target;
#[cfg(test)]
mod tests;
pub mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use tegata_api::v1::backup::Manifest;
use tegata_core::backup::{Keepers, Terms, Trouble, VERIFY_EVERY};
use tegata_core::name::Sha256;
use tegata_core::policy::{BackupPlace, BackupTarget};
use tegata_pki::bundle::quorum;
use tegata_pki::key::sha256;

use self::target::{ObjectName, Part};
use crate::store::backup::{BackupRow, CopyRow};
use crate::words;

/// How an age file begins (age-encryption.org/v1, section "Header").
pub(crate) const AGE: &[u8] = b"age-encryption.org/v1\n";

/// The largest sealed file that is kept, in bytes: a bundle of the largest size that is read, and its envelope.
pub(crate) const SEALED_MAX: usize = 2 << 20;

/// The longest silence of a target.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

fn terms(target: &BackupTarget) -> Terms {
    Terms { retention: target.retention, verify_every: target.drill_every.unwrap_or(VERIFY_EVERY) }
}

/// SHA-256 of where a target is. A target that moves is another place: what lay in the old one counts no more.
fn place(place: &BackupPlace) -> Sha256 {
    let parts: Vec<&str> = match place {
        // Not its mark: that is made anew where a disk is.
        BackupPlace::Directory { path, .. } => vec!["directory", path],
        // Not the host key: a server that gets a new one keeps what it has.
        BackupPlace::Sftp { host, port, path, .. } => {
            return sha256(serde_json::json!(["sftp", host, port, path]).to_string().as_bytes());
        }
        BackupPlace::S3(bucket) => vec!["s3", bucket.endpoint.as_deref().unwrap_or_default(), &bucket.name, &bucket.prefix],
    };
    sha256(serde_json::json!(parts).to_string().as_bytes())
}

/// What is wrong with a backup wherever it lies, for those whom policy names for the target; as far as is known.
fn lacks(backup: &BackupRow, target: &BackupTarget) -> Option<Trouble> {
    backup.useless.or_else(|| backup.keepers.lacks(&target.keepers))
}

/// True if it can be opened by whom policy names for the target.
fn opens(backup: &BackupRow, target: &BackupTarget) -> bool {
    lacks(backup, target).is_none()
}

/// Who can open what was sealed, where somebody says that it was sealed to these, each alone or together; `None` if it is neither an age file nor one
/// for several keepers, or if these are not its keepers.
pub(crate) fn sealed_to(sealed: &[u8], said: &[String]) -> Option<Keepers> {
    if sealed.starts_with(AGE) {
        return Some(Keepers::each(said.to_vec()));
    }
    let keepers = quorum::keepers(sealed).ok().flatten()?;
    let same = keepers.of.iter().collect::<BTreeSet<_>>() == said.iter().collect();
    same.then_some(keepers)
}

/// True for what may be kept: an age file, or one for several keepers.
pub(crate) fn is_sealed(sealed: &[u8]) -> bool {
    sealed.len() <= SEALED_MAX && (sealed.starts_with(AGE) || quorum::keepers(sealed).is_ok_and(|keepers| keepers.is_some()))
}

/// True if a copy is where policy has the target now, and somebody whom it names there can open it. Any other counts as none.
pub(crate) fn is_meant(copy: &CopyRow, target: &BackupTarget) -> bool {
    copy.place == place(&target.place) && opens(&copy.backup, target)
}

/// True if one is the same thing as the other, sealed again.
fn is_same(one: &BackupRow, other: &BackupRow) -> bool {
    (&one.slot, one.kind, one.fingerprint) == (&other.slot, other.kind, other.fingerprint)
}

fn object(backup: &BackupRow, part: Part) -> ObjectName {
    ObjectName { tenant: backup.tenant.clone(), clinic: backup.slot.clinic.clone(), id: backup.id, part }
}

/// What lies beside a sealed backup. The same backup has the same manifest, always.
fn manifest(backup: &BackupRow, sealed: &[u8]) -> Manifest {
    Manifest {
        tenant: backup.tenant.to_string(),
        clinic: backup.slot.clinic.to_string(),
        slot: backup.slot.to_string(),
        kind: words::backup_kind(backup.kind).to_owned(),
        id: backup.id.to_string(),
        order: backup.order.to_string(),
        fingerprint: backup.fingerprint.to_string(),
        sha256: sha256(sealed).to_string(),
        size: sealed.len() as u64,
        recipients: backup.keepers.of.clone(),
        threshold: backup.keepers.threshold,
        sealed_at: backup.sealed_at.unix(),
        not_after: backup.not_after.unix(),
    }
}
