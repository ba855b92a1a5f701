//! Sealed backups and their copies.

use async_trait::async_trait;
use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor, SqlitePool};
use sqlx::{AssertSqlSafe, query};
use tegata_core::name::{BackupId, ClinicId, ClinicName, OrderId, Sha256, SlotId, TenantName};
use tegata_core::time::Timestamp;

use super::changes::{Applied, bind_slot, guard};
use super::rows::Columns;
use super::{Sqlite, all, one};
use crate::store::StoreError;
use crate::store::backup::{Backed, BackupChange, BackupRow, CopyRow, Kind, NewBackup, Outcome, ReadQueries, ReadRow};
use crate::words;

pub(super) async fn apply(db: &mut SqliteConnection, change: &BackupChange) -> Applied {
    match change {
        BackupChange::Keep(new) => keep(db, new).await,
        BackupChange::Order { backup, target, place, at } => {
            let order = "INSERT INTO copies (backup, target, place, at) SELECT number, $2, $3, $4 FROM backups WHERE id = $1
                ON CONFLICT (backup, target) DO UPDATE SET place = excluded.place, at = excluded.at, state = 0, stored_at = NULL,
                    verified_at = NULL, opened_at = NULL, trouble = NULL, attempts = 0";
            let order = query(order).bind(&backup.0[..]).bind(target.as_str()).bind(&place.0[..]).bind(at.unix());
            guard(order.execute(db).await?, "there is no such backup")
        }
        BackupChange::Try { backup, target, attempt, next } => {
            let count = format!("UPDATE copies SET attempts = $3, at = $4 WHERE {THIS} AND attempts = $3 - 1 AND at IS NOT NULL");
            let count = query(AssertSqlSafe(count)).bind(backup.0.to_vec()).bind(target.to_string()).bind(*attempt).bind(next.unix());
            guard(count.execute(db).await?, "the copy does not wait for this try")
        }
        BackupChange::End { backup, target, place, outcome, at } => {
            let end = format!("UPDATE copies SET {} WHERE {THIS} AND place = $3 AND at IS NOT NULL", ended(outcome));
            let (trouble, next) = match outcome {
                Outcome::Whole { next } => (None, Some(*next)),
                Outcome::Failed(trouble) => (Some(*trouble), None),
                Outcome::Lost(trouble) => (Some(*trouble), Some(*at)),
                Outcome::Removed => (None, None),
            };
            let end = query(AssertSqlSafe(end)).bind(backup.0.to_vec()).bind(target.to_string()).bind(place.0.to_vec());
            let end = end.bind(at.unix()).bind(trouble.map(words::trouble)).bind(next.map(Timestamp::unix));
            guard(end.execute(&mut *db).await?, "the copy is not at this place any more")?;
            settle(db, backup, outcome).await
        }
        BackupChange::Opened { backup, target, place, at } => {
            let opened = format!("UPDATE copies SET opened_at = $4 WHERE {THIS} AND place = $3 AND state = 1");
            let opened = query(AssertSqlSafe(opened)).bind(backup.0.to_vec()).bind(target.to_string()).bind(place.0.to_vec());
            guard(opened.bind(at.unix()).execute(db).await?, "the copy is not at this place any more")
        }
        BackupChange::Useless { backup, because } => {
            let useless = query("UPDATE backups SET useless = ? WHERE id = ?").bind(words::trouble(*because)).bind(&backup.0[..]);
            guard(useless.execute(db).await?, "there is no such backup")
        }
        BackupChange::AskRead(row) => ask(db, row).await,
        BackupChange::ApproveRead { id, by } => {
            let approve = "UPDATE backup_reads SET approved_by = ? WHERE id = ? AND approved_by IS NULL AND used_at IS NULL";
            guard(query(approve).bind(by.as_str()).bind(id.as_str()).execute(db).await?, "it was agreed to already")
        }
        BackupChange::UseRead { id, at } => {
            let used = "UPDATE backup_reads SET used_at = ? WHERE id = ? AND approved_by IS NOT NULL AND used_at IS NULL";
            guard(query(used).bind(at.unix()).bind(id.as_str()).execute(db).await?, "it was read already")
        }
        BackupChange::Forget { backup, target } => {
            let forget = format!("DELETE FROM copies WHERE {THIS}");
            query(AssertSqlSafe(forget)).bind(backup.0.to_vec()).bind(target.to_string()).execute(db).await?;
            Ok(())
        }
    }
}

const THIS: &str = "backup = (SELECT number FROM backups WHERE id = $1) AND target = $2";

/// $4 is now, $5 the trouble, $6 the next look.
fn ended(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Whole { .. } => "state = 1, stored_at = coalesce(stored_at, $4), verified_at = $4, trouble = $5, attempts = 0, at = $6",
        Outcome::Failed(_) => "trouble = $5",
        Outcome::Lost(_) => "state = 0, stored_at = NULL, verified_at = NULL, opened_at = NULL, trouble = $5, attempts = 0, at = $6",
        Outcome::Removed => "state = 2, trouble = $5, at = $6",
    }
}

/// What a newer one has made superfluous is due at once, and what is nowhere any more is forgotten.
async fn settle(db: &mut SqliteConnection, backup: &BackupId, outcome: &Outcome) -> Applied {
    match outcome {
        Outcome::Whole { .. } => {
            let wake = "UPDATE copies SET at = 0 WHERE state <> 2 AND at IS NOT NULL AND (backup, target) IN (
                SELECT old.number, kept.target FROM backups AS new JOIN backups AS old USING (tenant, clinic, home, device, profile, kind,
                    fingerprint) JOIN copies AS kept ON kept.backup = new.number
                WHERE new.id = $1 AND kept.state = 1 AND old.number < new.number)";
            query(wake).bind(&backup.0[..]).execute(db).await?;
        }
        Outcome::Removed => {
            let forget = "DELETE FROM backups WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM copies WHERE backup = number AND state <> 2)";
            query(forget).bind(&backup.0[..]).execute(db).await?;
        }
        Outcome::Failed(_) | Outcome::Lost(_) => {}
    }
    Ok(())
}

/// What the new one stands for, and was never tried anywhere, is not carried any more.
async fn keep(db: &mut SqliteConnection, NewBackup { row, sealed }: &NewBackup) -> Applied {
    let drop = "DELETE FROM backups WHERE tenant = ? AND clinic = ? AND home = ? AND device = ? AND profile = ? AND kind = ?
        AND fingerprint = ? AND NOT EXISTS (SELECT 1 FROM copies WHERE backup = number AND (state <> 0 OR attempts > 0))";
    let drop = bind_slot(query(drop), &row.tenant, &row.slot).bind(words::backup_kind(row.kind)).bind(&row.fingerprint.0[..]);
    drop.execute(&mut *db).await?;
    let put = "INSERT INTO backups (tenant, clinic, home, device, profile, id, kind, order_id, fingerprint, recipients, sealed_at,
        not_after, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let put = bind_slot(query(put), &row.tenant, &row.slot).bind(&row.id.0[..]).bind(words::backup_kind(row.kind));
    let put = put.bind(&row.order.0[..]).bind(&row.fingerprint.0[..]).bind(json!(row.recipients).to_string());
    put.bind(row.sealed_at.unix()).bind(row.not_after.unix()).bind(&sealed[..]).execute(db).await?;
    Ok(())
}

const BACKUP: &str = "backups.id, backups.tenant, backups.clinic, backups.home, backups.device, backups.profile, backups.kind,
    backups.order_id, backups.fingerprint, backups.recipients, backups.sealed_at, backups.not_after, backups.useless";

const COPY: &str =
    "copies.target, copies.place, copies.state, copies.stored_at, copies.verified_at, copies.opened_at, copies.trouble, copies.attempts,
    copies.at, EXISTS (SELECT 1 FROM backups AS new JOIN copies AS kept ON kept.backup = new.number
        WHERE new.tenant = backups.tenant AND new.clinic = backups.clinic AND new.home = backups.home AND new.device = backups.device
            AND new.profile = backups.profile AND new.kind = backups.kind AND new.fingerprint = backups.fingerprint
            AND new.number > backups.number AND kept.target = copies.target AND kept.state = 1) AS superseded";

/// The backups of a clinic with their copies, oldest first.
pub(super) async fn of_clinic(db: impl SqliteExecutor<'_>, clinic: &ClinicId) -> Result<Vec<Backed>, StoreError> {
    read(db, &clinic.tenant, Some(&clinic.clinic)).await
}

/// The same of a whole tenant, or of one of its clinics.
pub(super) async fn of_tenant(pool: &SqlitePool, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<Backed>, StoreError> {
    read(pool, tenant, clinic).await
}

async fn read(db: impl SqliteExecutor<'_>, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<Backed>, StoreError> {
    let find = format!(
        "SELECT {BACKUP}, {COPY} FROM backups LEFT JOIN copies ON copies.backup = backups.number
        WHERE backups.tenant = $1 AND ($2 IS NULL OR backups.clinic = $2) ORDER BY backups.number, copies.target"
    );
    let find = query(AssertSqlSafe(find)).bind(tenant.to_string()).bind(clinic.map(ToString::to_string));
    let rows = all(db, "backups", find, |row| Ok((row.backup()?, if row.is_null("target")? { None } else { Some(row.copy()?) }))).await?;
    let mut found: Vec<Backed> = Vec::new();
    for (backup, copy) in rows {
        match found.last_mut() {
            Some(last) if last.backup.id == backup.id => last.copies.extend(copy),
            _ => found.push(Backed { backup, copies: copy.into_iter().collect() }),
        }
    }
    Ok(found)
}

/// The newest backup of this kind of a slot.
pub(super) async fn newest(pool: &SqlitePool, tenant: &TenantName, slot: &SlotId, kind: Kind) -> Result<Option<BackupRow>, StoreError> {
    let find = "SELECT * FROM backups WHERE tenant = ? AND clinic = ? AND home = ? AND device = ? AND profile = ? AND kind = ?
        ORDER BY number DESC LIMIT 1";
    one(pool, "backups", bind_slot(query(find), tenant, slot).bind(words::backup_kind(kind)), Columns::backup).await
}

pub(super) async fn sealed(pool: &SqlitePool, backup: &BackupId) -> Result<Option<Vec<u8>>, StoreError> {
    one(pool, "backups", query("SELECT sealed FROM backups WHERE id = ?").bind(&backup.0[..]), |row| row.raw("sealed")).await
}

pub(super) async fn due(pool: &SqlitePool, now: Timestamp, limit: u32) -> Result<Vec<CopyRow>, StoreError> {
    let find = format!(
        "SELECT {BACKUP}, {COPY} FROM copies JOIN backups ON backups.number = copies.backup
        WHERE copies.at IS NOT NULL AND copies.at <= $1 ORDER BY copies.at, copies.backup LIMIT $2"
    );
    all(pool, "copies", query(AssertSqlSafe(find)).bind(now.unix()).bind(limit), Columns::copy).await
}

pub(super) async fn next(pool: &SqlitePool) -> Result<Option<Timestamp>, StoreError> {
    let find = query("SELECT min(at) AS at FROM copies WHERE at IS NOT NULL");
    Ok(one(pool, "copies", find, |row| row.optional_moment("at")).await?.flatten())
}

async fn ask(db: &mut SqliteConnection, row: &ReadRow) -> Applied {
    let ask = "INSERT INTO backup_reads (tenant, clinic, home, device, profile, id, asked_by, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let ask = bind_slot(query(ask), &row.tenant, &row.slot).bind(row.id.clone()).bind(row.asked_by.clone());
    ask.bind(row.expires_at.unix()).execute(db).await?;
    Ok(())
}

#[async_trait]
impl ReadQueries for Sqlite {
    async fn read_asked(&self, tenant: &TenantName, id: &str) -> Result<Option<ReadRow>, StoreError> {
        let find = query("SELECT * FROM backup_reads WHERE tenant = ? AND id = ?").bind(tenant.to_string()).bind(id.to_owned());
        self.one("backup_reads", find, Columns::read).await
    }

    async fn reads_of(&self, tenant: &TenantName, slot: &SlotId) -> Result<Vec<ReadRow>, StoreError> {
        let find = "SELECT * FROM backup_reads WHERE tenant = ? AND clinic = ? AND home = ? AND device = ? AND profile = ?";
        self.all("backup_reads", bind_slot(query(find), tenant, slot), Columns::read).await
    }
}

impl Columns {
    fn read(&self) -> Result<ReadRow, StoreError> {
        Ok(ReadRow {
            id: self.raw("id")?,
            tenant: self.tenant()?,
            slot: self.slot()?,
            asked_by: self.raw("asked_by")?,
            expires_at: self.moment("expires_at")?,
            approved_by: self.raw("approved_by")?,
            used_at: self.optional_moment("used_at")?,
        })
    }

    fn backup(&self) -> Result<BackupRow, StoreError> {
        Ok(BackupRow {
            id: BackupId(self.bytes("id")?),
            tenant: self.tenant()?,
            slot: self.slot()?,
            kind: self.word("kind", words::read_backup_kind)?,
            order: OrderId(self.bytes("order_id")?),
            fingerprint: self.sha256("fingerprint")?,
            recipients: self.json("recipients")?,
            sealed_at: self.moment("sealed_at")?,
            not_after: self.moment("not_after")?,
            useless: if self.is_null("useless")? { None } else { Some(self.word("useless", words::read_trouble)?) },
        })
    }

    fn copy(&self) -> Result<CopyRow, StoreError> {
        let trouble = if self.is_null("trouble")? { None } else { Some(self.word("trouble", words::read_trouble)?) };
        Ok(CopyRow {
            backup: self.backup()?,
            target: self.text("target")?,
            place: Sha256(self.bytes("place")?),
            stored_at: self.optional_moment("stored_at")?,
            verified_at: self.optional_moment("verified_at")?,
            opened_at: self.optional_moment("opened_at")?,
            is_gone: self.raw::<i64>("state")? == 2,
            superseded: self.flag("superseded")?,
            trouble,
            attempts: self.raw("attempts")?,
            at: self.optional_moment("at")?,
        })
    }
}
