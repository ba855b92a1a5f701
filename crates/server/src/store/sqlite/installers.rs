//! Installer files that were removed: their changes and their questions in SQL.

use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_scalar};
use tegata_core::name::{ClinicId, DeviceId, OrderId, Sha256, TenantName};
use tegata_core::time::Timestamp;

use super::Statement;
use super::changes::{Applied, guard, nudge};
use super::rows::Columns;
use crate::store::StoreError;
use crate::store::installers::{InstallerChange, Tombstone};

pub(super) async fn apply(db: &mut SqliteConnection, change: &InstallerChange) -> Applied {
    match change {
        InstallerChange::Removed { tenant, device, sha256, path, at } => removed(db, tenant, device, sha256, path, *at).await,
        InstallerChange::Returned { tenant, device, sha256, at } => returned(db, tenant, device, sha256, *at).await,
    }
}

async fn removed(db: &mut SqliteConnection, tenant: &TenantName, device: &DeviceId, sha256: &Sha256, path: &str, at: Timestamp) -> Applied {
    let gone = "DELETE FROM installers_seen WHERE tenant = $1 AND home = $2 AND device = $3 AND sha256 = $4;
        INSERT INTO tombstones (tenant, home, device, sha256, size, path, removed_at)
            SELECT $1, $2, $3, $4, size, $5, $6 FROM installers WHERE tenant = $1 AND sha256 = $4
            ON CONFLICT (tenant, home, device, sha256) DO UPDATE SET path = $5, removed_at = $6";
    of(gone, tenant, device).bind(&sha256.0[..]).bind(path).bind(at.unix()).execute(db).await?;
    Ok(())
}

async fn returned(db: &mut SqliteConnection, tenant: &TenantName, device: &DeviceId, sha256: &Sha256, at: Timestamp) -> Applied {
    let back = "UPDATE tombstones SET returned_at = $5, returns = returns + 1
        WHERE tenant = $1 AND home = $2 AND device = $3 AND sha256 = $4";
    guard(of(back, tenant, device).bind(&sha256.0[..]).bind(at.unix()).execute(&mut *db).await?, "the file was never removed there")?;
    // Whoever has the certificate that came in it has to know, also in another clinic.
    let exposed = "SELECT DISTINCT certificates.clinic FROM installers
        JOIN certificates ON certificates.order_id = installers.order_id AND certificates.tenant = installers.tenant
        WHERE installers.tenant = $1 AND installers.sha256 = $2 AND certificates.retired_at IS NULL";
    let clinics: Vec<String> = query_scalar(exposed).bind(tenant.as_str()).bind(&sha256.0[..]).fetch_all(&mut *db).await?;
    for clinic in clinics.iter().filter_map(|clinic| clinic.parse().ok()) {
        nudge(db, &ClinicId { tenant: tenant.clone(), clinic }, at).await?;
    }
    Ok(())
}

fn of(sql: &'static str, tenant: &TenantName, device: &DeviceId) -> Statement {
    query(sql).bind(tenant.as_str()).bind(device.clinic.as_str()).bind(device.device.as_str())
}

/// What was removed from one device.
pub(super) const ON_DEVICE: &str = "SELECT * FROM tombstones WHERE tenant = ? AND home = ? AND device = ? ORDER BY sha256";

/// What was removed from the devices of one clinic.
pub(super) const IN_CLINIC: &str = "SELECT * FROM tombstones WHERE tenant = $1 AND home = $2 ORDER BY device, sha256";

/// Orders of a clinic's slots whose certificate came in a file that has come back to any device.
pub(super) const EXPOSED: &str = "SELECT DISTINCT certificates.order_id FROM certificates
    JOIN installers ON installers.tenant = certificates.tenant AND installers.order_id = certificates.order_id
    JOIN tombstones ON tombstones.tenant = installers.tenant AND tombstones.sha256 = installers.sha256
    WHERE certificates.tenant = $1 AND certificates.clinic = $2 AND certificates.retired_at IS NULL AND tombstones.returns > 0";

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
