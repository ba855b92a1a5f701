//! What lies where, as people see it.

use tegata_api::v1::backup::{Backup, said};
use tegata_core::backup::Trouble;
use tegata_core::name::{ClinicName, TenantName};
use tegata_core::policy::{BackupTarget, Tenant};
use tegata_core::time::Timestamp;

use super::drill::is_fresh;
use super::{is_meant, is_same, lacks, terms};
use crate::audit::Ledger;
use crate::store::backup::{Backed, BackupRow, CopyRow};
use crate::turn::TurnError;
use crate::words;

/// Every backup in every target that policy names for it, by slot and target. What a newer one stands for is left out.
pub async fn backups(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, now: Timestamp) -> Result<Vec<Backup>, TurnError> {
    let policy = ledger.policy(tenant).await?;
    Ok(shown(&policy, &ledger.store().backups(tenant, clinic).await?, now))
}

/// As [`backups`], of those that were read: oldest first.
pub(crate) fn shown(policy: &Tenant, all: &[Backed], now: Timestamp) -> Vec<Backup> {
    let stands_for = |later: &Backed, older: &Backed| is_same(&later.backup, &older.backup) && later.backup.useless.is_none();
    let is_newest = |index: usize| !all[index + 1..].iter().any(|later| stands_for(later, &all[index]));
    let newest = all.iter().enumerate().filter(|(index, _)| is_newest(*index)).map(|(_, backed)| backed);
    let mut shown: Vec<Backup> = newest.flat_map(|backed| of(policy, backed, now)).collect();
    shown.sort_by(|one, other| (&one.slot, &one.target).cmp(&(&other.slot, &other.target)));
    shown
}

fn of(policy: &Tenant, backed: &Backed, now: Timestamp) -> Vec<Backup> {
    let named = policy.clinics.get(&backed.backup.slot.clinic).into_iter().flat_map(|clinic| &clinic.backup.targets);
    let targets = named.filter_map(|name| policy.targets.get(name));
    let copies = targets.filter_map(|target| match backed.copies.iter().find(|copy| copy.target == target.name) {
        Some(copy) if copy.is_gone => None,
        Some(copy) if is_meant(copy, target) => Some(copied(copy, target, now)),
        None if now > backed.backup.not_after.after(terms(target).retention) => None,
        _ => Some(absent(&backed.backup, target)),
    });
    copies.collect()
}

fn copied(copy: &CopyRow, target: &BackupTarget, now: Timestamp) -> Backup {
    let is_fresh = is_fresh(copy, target, now);
    let trouble = copy.trouble.or((copy.verified_at.is_some() && !is_fresh).then_some(Trouble::NotOpened));
    let state = match (copy.verified_at, copy.trouble) {
        (Some(_), _) if !copy.is_whole(now) || !is_fresh => "stale",
        (_, Some(_)) => "failing",
        (Some(_), None) => "verified",
        (None, None) => "due",
    };
    Backup {
        state: state.to_owned(),
        stored_at: copy.stored_at.map(Timestamp::unix),
        verified_at: copy.verified_at.map(Timestamp::unix),
        opened_at: copy.opened_at.map(Timestamp::unix),
        next_at: copy.at.map(Timestamp::unix),
        trouble: trouble.map(said),
        ..absent_from(&copy.backup, copy.target.as_str())
    }
}

/// Not ordered yet, or never to be: nobody there could open it.
fn absent(backup: &BackupRow, target: &BackupTarget) -> Backup {
    let absent = absent_from(backup, target.name.as_str());
    match lacks(backup, target) {
        None => absent,
        Some(trouble) => Backup { state: "failing".into(), trouble: Some(said(trouble)), ..absent },
    }
}

fn absent_from(backup: &BackupRow, target: &str) -> Backup {
    Backup {
        slot: backup.slot.to_string(),
        kind: words::backup_kind(backup.kind).to_owned(),
        id: backup.id.to_string(),
        fingerprint: backup.fingerprint.to_string(),
        target: target.to_owned(),
        state: "due".to_owned(),
        stored_at: None,
        verified_at: None,
        opened_at: None,
        next_at: None,
        trouble: None,
    }
}
