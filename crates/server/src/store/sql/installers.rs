//! Installer files that were removed, or are known by a certificate in them: their changes and their questions in SQL.

use std::collections::BTreeSet;

use tegata_api::v1::device::FileHash;
use tegata_core::fleet::KnownFrom;
use tegata_core::name::{ClinicId, DeviceId, OrderId, Sha256, TenantName};
use tegata_core::time::Timestamp;

use super::changes::{Applied, Refusal, guard, json, nudge};
use super::db::{Db, Source, Statement, query};
use super::on_device;
use super::rows::{Columns, number};
use crate::store::StoreError;
use crate::store::installers::{InstallerChange, Recognized, Tombstone};

pub(super) async fn apply(db: &mut Db, change: &InstallerChange) -> Applied {
    match change {
        InstallerChange::Removed { tenant, device, sha256, path, at } => removed(db, tenant, device, sha256, path, *at).await,
        InstallerChange::Recognized { tenant, device, file, certificates, at } => {
            recognized(db, tenant, device, file, certificates, *at).await
        }
        InstallerChange::Quarantining { tenant, device, sha256 } => quarantining(db, tenant, device, sha256).await,
        InstallerChange::Restored { tenant, device, sha256, at } => restored(db, tenant, device, sha256, *at).await,
        InstallerChange::Returned { tenant, device, sha256, at } => returned(db, tenant, device, sha256, *at).await,
    }
}

async fn removed(db: &mut Db, tenant: &TenantName, device: &DeviceId, sha256: &Sha256, path: &str, at: Timestamp) -> Applied {
    let gone = "DELETE FROM installers_seen WHERE tenant = $1 AND home = $2 AND device = $3 AND sha256 = $4;
        INSERT INTO tombstones (tenant, home, device, sha256, size, path, removed_at)
            SELECT $1, $2, $3, $4, size, $5, $6 FROM (
                SELECT size FROM installers WHERE tenant = $1 AND sha256 = $4
                UNION ALL SELECT size FROM recognized WHERE tenant = $1 AND home = $2 AND device = $3 AND sha256 = $4) AS known
            WHERE true LIMIT 1
            ON CONFLICT (tenant, home, device, sha256) DO UPDATE SET path = $5, removed_at = $6";
    of(gone, tenant, device).bind(&sha256.0[..]).bind(path).bind(at.unix()).execute(db).await?;
    Ok(())
}

async fn recognized(
    db: &mut Db,
    tenant: &TenantName,
    device: &DeviceId,
    file: &FileHash,
    certificates: &BTreeSet<Sha256>,
    at: Timestamp,
) -> Applied {
    let Ok(sha256) = file.sha256.parse::<Sha256>() else { return Err(Refusal::Conflict("a file is known by 64 hexadecimal digits")) };
    let put = "INSERT INTO recognized (tenant, home, device, sha256, size, fingerprint, recognized_at)
            SELECT $1, $2, $3, $4, $5, unhex(value ->> 0), $7 FROM json_each($6) WHERE true
            ON CONFLICT (tenant, home, device, sha256, fingerprint) DO NOTHING";
    let certificates: Vec<_> = certificates.iter().map(|certificate| [certificate.to_string()]).collect();
    let put = of(put, tenant, device).bind(&sha256.0[..]).bind(number(file.size)).bind(json(&certificates)).bind(at.unix());
    put.execute(db).await?;
    Ok(())
}

async fn quarantining(db: &mut Db, tenant: &TenantName, device: &DeviceId, sha256: &Sha256) -> Applied {
    let order = "INSERT INTO installers_seen (tenant, home, device, sha256, quarantining) VALUES ($1, $2, $3, $4, 1)
        ON CONFLICT (tenant, home, device, sha256) DO UPDATE SET quarantining = 1";
    of(order, tenant, device).bind(&sha256.0[..]).execute(db).await?;
    Ok(())
}

async fn restored(db: &mut Db, tenant: &TenantName, device: &DeviceId, sha256: &Sha256, at: Timestamp) -> Applied {
    let put_back = "UPDATE installers_seen SET quarantining = 0 WHERE tenant = $1 AND home = $2 AND device = $3 AND sha256 = $4;
        INSERT INTO restored (tenant, home, device, sha256, restored_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (tenant, home, device, sha256) DO UPDATE SET restored_at = $5";
    of(put_back, tenant, device).bind(&sha256.0[..]).bind(at.unix()).execute(db).await?;
    Ok(())
}

async fn returned(db: &mut Db, tenant: &TenantName, device: &DeviceId, sha256: &Sha256, at: Timestamp) -> Applied {
    let back = "UPDATE tombstones SET returned_at = $5, returns = returns + 1
        WHERE tenant = $1 AND home = $2 AND device = $3 AND sha256 = $4";
    guard(of(back, tenant, device).bind(&sha256.0[..]).bind(at.unix()).execute(&mut *db).await?, "the file was never removed there")?;
    // Whoever has the certificate that came in it has to know, also in another clinic.
    let exposed = "SELECT DISTINCT certificates.clinic FROM installers
        JOIN certificates ON certificates.order_id = installers.order_id AND certificates.tenant = installers.tenant
        WHERE installers.tenant = $1 AND installers.sha256 = $2 AND certificates.retired_at IS NULL";
    let exposed = query(exposed).bind(tenant.as_str()).bind(&sha256.0[..]);
    for row in db.rows(exposed).await? {
        if let Ok(clinic) = row.text("clinic")?.parse() {
            nudge(db, &ClinicId { tenant: tenant.clone(), clinic }, at).await?;
        }
    }
    Ok(())
}

fn of(sql: &'static str, tenant: &TenantName, device: &DeviceId) -> Statement {
    query(sql).bind(tenant.as_str()).bind(device.clinic.as_str()).bind(device.device.as_str())
}

/// What was removed from one device.
pub(super) const ON_DEVICE: &str = "SELECT * FROM tombstones WHERE tenant = $1 AND home = $2 AND device = $3 ORDER BY sha256";

/// What was removed from the devices of one clinic.
pub(super) const IN_CLINIC: &str = "SELECT * FROM tombstones WHERE tenant = $1 AND home = $2 ORDER BY device, sha256";

/// Orders of a clinic's slots whose certificate came in a file that has come back to any device.
pub(super) const EXPOSED: &str = "SELECT DISTINCT certificates.order_id FROM certificates
    JOIN installers ON installers.tenant = certificates.tenant AND installers.order_id = certificates.order_id
    JOIN tombstones ON tombstones.tenant = installers.tenant AND tombstones.sha256 = installers.sha256
    WHERE certificates.tenant = $1 AND certificates.clinic = $2 AND certificates.retired_at IS NULL AND tombstones.returns > 0
    UNION
    SELECT certificates.order_id FROM certificates
    JOIN recognized ON recognized.tenant = certificates.tenant AND recognized.fingerprint = certificates.fingerprint
    JOIN tombstones ON tombstones.tenant = recognized.tenant AND tombstones.home = recognized.home AND tombstones.device = recognized.device
        AND tombstones.sha256 = recognized.sha256
    WHERE certificates.tenant = $1 AND certificates.clinic = $2 AND recognized.home = $2 AND certificates.retired_at IS NULL
        AND tombstones.returns > 0";

/// Files that lie on a clinic's devices and are known by certificates alone: one row for each certificate and each slot that it is known
/// from. A certificate that is known from nowhere any more has a row too.
pub(super) const RECOGNIZED: &str = "SELECT seen.home AS on_home, seen.device AS on_device, seen.sha256, seen.removing, known.size,
        known.fingerprint AS known_by, certificates.clinic, certificates.home, certificates.device, certificates.profile,
        certificates.not_before, certificates.not_after, certificates.proven_at
    FROM installers_seen AS seen
    JOIN recognized AS known ON known.tenant = seen.tenant AND known.home = seen.home AND known.device = seen.device
        AND known.sha256 = seen.sha256
    LEFT JOIN certificates ON certificates.fingerprint = known.fingerprint AND certificates.tenant = known.tenant
    WHERE seen.tenant = $1 AND seen.home = $2
        AND NOT EXISTS (SELECT 1 FROM installers WHERE installers.tenant = seen.tenant AND installers.sha256 = seen.sha256)
    ORDER BY seen.home, seen.device, seen.sha256, known.fingerprint, certificates.rowid";

/// Files that were ordered off one device and not seen gone.
pub(super) const TO_REMOVE: &str = "SELECT sha256, size FROM (
        SELECT seen.sha256, coalesce(
            (SELECT size FROM installers WHERE installers.tenant = seen.tenant AND installers.sha256 = seen.sha256),
            (SELECT min(size) FROM recognized AS known WHERE known.tenant = seen.tenant AND known.home = seen.home
                AND known.device = seen.device AND known.sha256 = seen.sha256)) AS size
        FROM installers_seen AS seen WHERE seen.tenant = $1 AND seen.home = $2 AND seen.device = $3 AND seen.removing = 1) AS known
    WHERE size IS NOT NULL ORDER BY sha256";

/// Files on a clinic's devices that were ordered out of the way, and that nobody has put on record since.
pub(super) const QUARANTINING: &str = "SELECT seen.home, seen.device, seen.sha256 FROM installers_seen AS seen
    WHERE seen.tenant = $1 AND seen.home = $2 AND seen.quarantining = 1
        AND NOT EXISTS (SELECT 1 FROM installers WHERE installers.tenant = seen.tenant AND installers.sha256 = seen.sha256)
        AND NOT EXISTS (SELECT 1 FROM recognized AS known WHERE known.tenant = seen.tenant AND known.home = seen.home
            AND known.device = seen.device AND known.sha256 = seen.sha256)";

/// The same on one device.
pub(super) const TO_QUARANTINE: &str = "SELECT seen.sha256 FROM installers_seen AS seen
    WHERE seen.tenant = $1 AND seen.home = $2 AND seen.device = $3 AND seen.quarantining = 1
        AND NOT EXISTS (SELECT 1 FROM installers WHERE installers.tenant = seen.tenant AND installers.sha256 = seen.sha256)
        AND NOT EXISTS (SELECT 1 FROM recognized AS known WHERE known.tenant = seen.tenant AND known.home = seen.home
            AND known.device = seen.device AND known.sha256 = seen.sha256)";

/// What people at a clinic's devices have put back.
pub(super) const RESTORED: &str = "SELECT home, device, sha256 FROM restored WHERE tenant = $1 AND home = $2";

/// Which of these files are on record: for the whole tenant by their hash, or for the device by what they hold.
pub(super) fn on_record(tenant: &TenantName, device: &DeviceId, files: &[Sha256]) -> Statement {
    let find = "SELECT sha256 FROM installers WHERE tenant = $1 AND sha256 IN (SELECT unhex(value ->> 0) FROM json_each($4))
        UNION SELECT sha256 FROM recognized WHERE tenant = $1 AND home = $2 AND device = $3";
    let files: Vec<_> = files.iter().map(|file| [file.to_string()]).collect();
    on_device(find, tenant, device).bind(json(&files))
}

/// One row of [`RECOGNIZED`]: the file without its certificates, one of them, and one slot.
pub(super) fn recognized_row(row: &Columns) -> Result<(Recognized, Sha256, Option<KnownFrom>), StoreError> {
    let device = DeviceId { clinic: row.text("on_home")?, device: row.text("on_device")? };
    let file = Recognized { device, file: row.file()?, removing: row.flag("removing")?, certificates: vec![] };
    let fingerprint = row.sha256("known_by")?;
    if row.raw::<Option<&str>>("clinic")?.is_none() {
        return Ok((file, fingerprint, None));
    }
    let known = KnownFrom {
        slot: row.slot()?,
        fingerprint,
        not_before: row.moment("not_before")?,
        not_after: row.moment("not_after")?,
        proven: row.optional_moment("proven_at")?.is_some(),
    };
    Ok((file, fingerprint, Some(known)))
}

/// Puts the rows of [`RECOGNIZED`] together, file by file.
pub(super) fn gathered(rows: Vec<(Recognized, Sha256, Option<KnownFrom>)>) -> Vec<Recognized> {
    let mut files: Vec<Recognized> = Vec::new();
    for (row, fingerprint, known) in rows {
        if files.last().is_none_or(|last| (&last.device, &last.file.sha256) != (&row.device, &row.file.sha256)) {
            files.push(row);
        }
        let Some(file) = files.last_mut() else { continue };
        match file.certificates.last_mut() {
            Some((last, from)) if *last == fingerprint => from.extend(known),
            _ => file.certificates.push((fingerprint, known.into_iter().collect())),
        }
    }
    files
}

pub(super) fn tombstone(row: &Columns) -> Result<Tombstone, StoreError> {
    Ok(Tombstone {
        device: row.device_id()?,
        file: row.file()?,
        path: row.raw("path")?,
        removed_at: row.moment("removed_at")?,
        returned_at: row.optional_moment("returned_at")?,
        returns: u32::try_from(row.count("returns")?).unwrap_or(u32::MAX),
    })
}

pub(super) fn order(row: &Columns) -> Result<OrderId, StoreError> {
    Ok(OrderId(row.bytes("order_id")?))
}
