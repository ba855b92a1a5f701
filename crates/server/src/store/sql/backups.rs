//! Sealed backups and their copies.

use async_trait::async_trait;
use serde_json::json;
use tegata_core::backup::{Keepers, Newer};
use tegata_core::name::{BackupId, ClinicId, ClinicName, OrderId, Sha256, SlotId, TargetName, TenantName};
use tegata_core::time::Timestamp;

use super::changes::{Applied, bind_slot, guard};
use super::db::{Db, Pool, Source, query};
use super::rows::Columns;
use super::{Database, all, one};
use crate::store::StoreError;
use crate::store::backup::{Backed, BackupChange, BackupQueries, BackupRow, CopyRow, Kind, NewBackup, Outcome};
use crate::words;

pub(super) async fn apply(db: &mut Db, change: &BackupChange) -> Applied {
    match change {
        BackupChange::Keep(new) => keep(db, new).await,
        BackupChange::Order { backup, target, place, at } => {
            let order = "INSERT INTO copies (backup, target, place, at, tried) SELECT number, $2, $3, $4, 0 FROM backups WHERE id = $1
                ON CONFLICT (backup, target) DO UPDATE SET place = excluded.place, at = excluded.at, state = 0, stored_at = NULL,
                    verified_at = NULL, opened_at = NULL, trouble = NULL, attempts = 0";
            let order = query(order).bind(&backup.0[..]).bind(target.as_str()).bind(&place.0[..]).bind(at.unix());
            guard(order.execute(db).await?, "there is no such backup")
        }
        BackupChange::Try { backup, target, attempt, next } => {
            let count =
                format!("UPDATE copies SET attempts = $3, at = $4, tried = 1 WHERE {THIS} AND attempts = $3 - 1 AND at IS NOT NULL");
            let count = query(count).bind(backup.0.to_vec()).bind(target.to_string()).bind(*attempt).bind(next.unix());
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
            let end = query(end).bind(backup.0.to_vec()).bind(target.to_string()).bind(place.0.to_vec());
            let end = end.bind(at.unix()).bind(trouble.map(words::trouble)).bind(next.map(Timestamp::unix));
            guard(end.execute(&mut *db).await?, "the copy is not at this place any more")?;
            settle(db, backup, outcome).await
        }
        BackupChange::Opened { backup, target, place, at } => {
            let opened = format!("UPDATE copies SET opened_at = $4 WHERE {THIS} AND place = $3 AND state = 1");
            let opened = query(opened).bind(backup.0.to_vec()).bind(target.to_string()).bind(place.0.to_vec());
            guard(opened.bind(at.unix()).execute(db).await?, "the copy is not at this place any more")
        }
        BackupChange::Useless { backup, because } => {
            let useless = query("UPDATE backups SET useless = $1 WHERE id = $2").bind(words::trouble(*because)).bind(&backup.0[..]);
            guard(useless.execute(db).await?, "there is no such backup")
        }
        BackupChange::Forget { backup, target, place } => {
            let forget = format!("DELETE FROM copies WHERE {THIS} AND place = $3");
            let forget = query(forget).bind(backup.0.to_vec()).bind(target.to_string()).bind(place.0.to_vec());
            guard(forget.execute(db).await?, "the copy is not at this place any more")
        }
        BackupChange::Drop { backup } => {
            let drop = format!("DELETE FROM backups WHERE id = $1 AND {LIES_NOWHERE}");
            query(drop).bind(backup.0.to_vec()).execute(db).await?;
            Ok(())
        }
        BackupChange::Mark { place, at } => {
            let mark = query("INSERT INTO places (place, at) VALUES ($1, $2) ON CONFLICT (place) DO NOTHING");
            mark.bind(&place.0[..]).bind(at.unix()).execute(db).await?;
            Ok(())
        }
    }
}

/// Backups of one thing whose bytes are kept at most while they have landed nowhere.
const UNLANDED_MAX: u32 = 16;

const LIES_NOWHERE: &str = "NOT EXISTS (SELECT 1 FROM copies WHERE backup = number AND state <> 2)";

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

/// What was taken away from everywhere is forgotten.
async fn settle(db: &mut Db, backup: &BackupId, outcome: &Outcome) -> Applied {
    if *outcome == Outcome::Removed {
        let forget = format!("DELETE FROM backups WHERE id = $1 AND {LIES_NOWHERE}");
        query(forget).bind(backup.0.to_vec()).execute(db).await?;
    }
    Ok(())
}

/// What the new one stands for, and was never tried anywhere, is not carried any more. Of what was tried and landed nowhere, only the newest
/// keep their bytes; the rest is remembered, so that it can be taken away should it lie somewhere after all.
async fn keep(db: &mut Db, NewBackup { row, sealed }: &NewBackup) -> Applied {
    const SAME: &str = "tenant = $1 AND clinic = $2 AND home = $3 AND device = $4 AND profile = $5 AND kind = $6 AND fingerprint = $7";
    let drop = format!("DELETE FROM backups WHERE {SAME} AND NOT EXISTS (SELECT 1 FROM copies WHERE backup = number AND tried = 1)");
    let empty = format!(
        "UPDATE backups SET sealed = zeroblob(0) WHERE {SAME} AND NOT EXISTS (SELECT 1 FROM copies WHERE backup = number AND state = 1)
            AND number NOT IN (SELECT number FROM backups WHERE {SAME} ORDER BY number DESC LIMIT {})",
        UNLANDED_MAX - 1
    );
    for change in [drop, empty] {
        let change = bind_slot(query(change), &row.tenant, &row.slot).bind(words::backup_kind(row.kind));
        change.bind(row.fingerprint.0.to_vec()).execute(&mut *db).await?;
    }
    let put = "INSERT INTO backups (tenant, clinic, home, device, profile, id, kind, order_id, fingerprint, recipients, threshold,
        sealed_at, not_after, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let put = bind_slot(query(put), &row.tenant, &row.slot).bind(&row.id.0[..]).bind(words::backup_kind(row.kind));
    let put = put.bind(&row.order.0[..]).bind(&row.fingerprint.0[..]).bind(json!(row.keepers.of).to_string());
    let put = put.bind(row.keepers.threshold);
    put.bind(row.sealed_at.unix()).bind(row.not_after.unix()).bind(&sealed[..]).execute(db).await?;
    Ok(())
}

#[async_trait]
impl BackupQueries for Database {
    async fn backups(&self, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<Backed>, StoreError> {
        of_tenant(&self.readers, tenant, clinic).await
    }

    async fn newest_backup(&self, tenant: &TenantName, slot: &SlotId, kind: Kind) -> Result<Option<BackupRow>, StoreError> {
        newest(&self.readers, tenant, slot, kind).await
    }

    async fn sealed_backup(&self, backup: &BackupId) -> Result<Option<Vec<u8>>, StoreError> {
        sealed(&self.readers, backup).await
    }

    async fn backup(&self, tenant: &TenantName, backup: &BackupId) -> Result<Option<BackupRow>, StoreError> {
        named(&self.readers, tenant, backup).await
    }

    async fn backups_since(&self, tenant: &TenantName, slot: &SlotId, kind: Kind, since: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
        came_since(&self.readers, (tenant, slot, kind), since).await
    }

    async fn stray_backups(&self, before: Timestamp, limit: u32) -> Result<Vec<BackupRow>, StoreError> {
        stray(&self.readers, before, limit).await
    }

    async fn is_marked(&self, place: &Sha256) -> Result<bool, StoreError> {
        is_marked(&self.readers, place).await
    }

    async fn targets_due(&self, now: Timestamp) -> Result<Vec<(TenantName, TargetName)>, StoreError> {
        targets_due(&self.readers, now).await
    }

    async fn copies_due(&self, tenant: &TenantName, target: &TargetName, now: Timestamp, limit: u32) -> Result<Vec<CopyRow>, StoreError> {
        due(&self.readers, (tenant, target), now, limit).await
    }

    async fn next_copy(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        next(&self.readers, now).await
    }
}

const BACKUP: &str = "backups.id, backups.tenant, backups.clinic, backups.home, backups.device, backups.profile, backups.kind,
    backups.order_id, backups.fingerprint, backups.recipients, backups.threshold, backups.sealed_at, backups.not_after, backups.useless,
    length(backups.sealed) = 0 AS is_emptied";

const COPY: &str =
    "copies.target, copies.place, copies.state, copies.stored_at, copies.verified_at, copies.opened_at, copies.trouble, copies.attempts,
    copies.at, '[' || coalesce((
        SELECT string_agg('[' || new.sealed_at || ',' || kept.verified_at || ',' || new.threshold || ',' || new.recipients || ']', ',')
        FROM backups AS new JOIN copies AS kept ON kept.backup = new.number
        WHERE new.tenant = backups.tenant AND new.clinic = backups.clinic AND new.home = backups.home AND new.device = backups.device
            AND new.profile = backups.profile AND new.kind = backups.kind AND new.fingerprint = backups.fingerprint
            AND new.number > backups.number AND kept.target = copies.target AND kept.place = copies.place AND kept.state = 1
            AND new.useless IS NULL), '') || ']' AS newer";

/// The backups of a clinic with their copies, oldest first.
pub(super) async fn of_clinic(db: impl Source, clinic: &ClinicId) -> Result<Vec<Backed>, StoreError> {
    read(db, &clinic.tenant, Some(&clinic.clinic)).await
}

/// The same of a whole tenant, or of one of its clinics.
async fn of_tenant(pool: &Pool, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<Backed>, StoreError> {
    read(pool, tenant, clinic).await
}

async fn read(db: impl Source, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<Backed>, StoreError> {
    let find = format!(
        "SELECT {BACKUP}, {COPY} FROM backups LEFT JOIN copies ON copies.backup = backups.number
        WHERE backups.tenant = $1 AND ($2 IS NULL OR backups.clinic = $2) ORDER BY backups.number, copies.target"
    );
    let find = query(find).bind(tenant.to_string()).bind(clinic.map(ToString::to_string));
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

/// The newest backup of this kind of a slot: of those that a person found useless only if there is no other.
async fn newest(pool: &Pool, tenant: &TenantName, slot: &SlotId, kind: Kind) -> Result<Option<BackupRow>, StoreError> {
    let find = format!(
        "SELECT {BACKUP} FROM backups WHERE tenant = $1 AND clinic = $2 AND home = $3 AND device = $4 AND profile = $5 AND kind = $6
        ORDER BY useless IS NOT NULL, number DESC LIMIT 1"
    );
    one(pool, "backups", bind_slot(query(find), tenant, slot).bind(words::backup_kind(kind)), Columns::backup).await
}

async fn named(pool: &Pool, tenant: &TenantName, backup: &BackupId) -> Result<Option<BackupRow>, StoreError> {
    let find = format!("SELECT {BACKUP} FROM backups WHERE tenant = $1 AND id = $2");
    one(pool, "backups", query(find).bind(tenant.to_string()).bind(backup.0.to_vec()), Columns::backup).await
}

async fn came_since(
    pool: &Pool,
    (tenant, slot, kind): (&TenantName, &SlotId, Kind),
    since: Timestamp,
) -> Result<Vec<Timestamp>, StoreError> {
    let find =
        "SELECT sealed_at FROM backups WHERE tenant = $1 AND clinic = $2 AND home = $3 AND device = $4 AND profile = $5 AND kind = $6
        AND sealed_at >= $7 ORDER BY number";
    let find = bind_slot(query(find), tenant, slot).bind(words::backup_kind(kind)).bind(since.unix());
    all(pool, "backups", find, |row| row.moment("sealed_at")).await
}

async fn stray(pool: &Pool, before: Timestamp, limit: u32) -> Result<Vec<BackupRow>, StoreError> {
    let find = format!("SELECT {BACKUP} FROM backups WHERE not_after < $1 AND {LIES_NOWHERE} ORDER BY number LIMIT $2");
    all(pool, "backups", query(find).bind(before.unix()).bind(limit), Columns::backup).await
}

async fn is_marked(pool: &Pool, place: &Sha256) -> Result<bool, StoreError> {
    let find = query("SELECT 1 FROM places WHERE place = $1").bind(&place.0[..]);
    Ok(one(pool, "places", find, |_| Ok(())).await?.is_some())
}

async fn sealed(pool: &Pool, backup: &BackupId) -> Result<Option<Vec<u8>>, StoreError> {
    one(pool, "backups", query("SELECT sealed FROM backups WHERE id = $1").bind(&backup.0[..]), |row| row.raw("sealed")).await
}

async fn targets_due(pool: &Pool, now: Timestamp) -> Result<Vec<(TenantName, TargetName)>, StoreError> {
    let find = "SELECT DISTINCT backups.tenant, copies.target FROM copies JOIN backups ON backups.number = copies.backup
        WHERE copies.at IS NOT NULL AND copies.at <= $1";
    all(pool, "copies", query(find).bind(now.unix()), |row| Ok((row.tenant()?, row.text("target")?))).await
}

async fn due(pool: &Pool, (tenant, target): (&TenantName, &TargetName), now: Timestamp, limit: u32) -> Result<Vec<CopyRow>, StoreError> {
    let find = format!(
        "SELECT {BACKUP}, {COPY} FROM copies JOIN backups ON backups.number = copies.backup
        WHERE copies.at IS NOT NULL AND copies.at <= $1 AND backups.tenant = $3 AND copies.target = $4
        ORDER BY copies.at, copies.backup LIMIT $2"
    );
    let find = query(find).bind(now.unix()).bind(limit).bind(tenant.to_string()).bind(target.to_string());
    all(pool, "copies", find, Columns::copy).await
}

async fn next(pool: &Pool, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let find = query("SELECT min(at) AS at FROM copies WHERE at > $1").bind(now.unix());
    Ok(one(pool, "copies", find, |row| row.optional_moment("at")).await?.flatten())
}

impl Columns {
    fn backup(&self) -> Result<BackupRow, StoreError> {
        Ok(BackupRow {
            id: BackupId(self.bytes("id")?),
            tenant: self.tenant()?,
            slot: self.slot()?,
            kind: self.word("kind", words::read_backup_kind)?,
            order: OrderId(self.bytes("order_id")?),
            fingerprint: self.sha256("fingerprint")?,
            keepers: Keepers { threshold: self.small("threshold")?, of: self.json("recipients")? },
            sealed_at: self.moment("sealed_at")?,
            not_after: self.moment("not_after")?,
            useless: if self.is_null("useless")? { None } else { Some(self.word("useless", words::read_trouble)?) },
            is_emptied: self.flag("is_emptied")?,
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
            newer: self.json::<Vec<(i64, i64, u8, Vec<String>)>>("newer")?.into_iter().map(newer).collect(),
            trouble,
            attempts: self.small("attempts")?,
            at: self.optional_moment("at")?,
        })
    }
}

fn newer((sealed_at, verified_at, threshold, of): (i64, i64, u8, Vec<String>)) -> (Newer, Keepers) {
    let newer = Newer { sealed_at: Timestamp::from_unix(sealed_at), verified_at: Timestamp::from_unix(verified_at) };
    (newer, Keepers { threshold, of })
}
