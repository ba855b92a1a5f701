//! What a turn starts from, read in one transaction so that its parts fit together.

use std::collections::{BTreeMap, BTreeSet};

use tegata_api::v1::device::FileHash;
use tegata_core::name::{ClinicId, DeviceId, Sha256};
use tegata_core::time::Timestamp;

use super::db::{Pool, Statement, query};
use super::installers;
use super::rows::Columns;
use super::{all, database, one};
use crate::store::{Snapshot, StoreError};

/// Reads everything on record about one clinic. Each query is answered by an index on the clinic: its cost does not grow with the fleet.
pub(super) async fn read(pool: &Pool, clinic: &ClinicId, history_since: Timestamp) -> Result<Snapshot, StoreError> {
    let mut moment = pool.moment().await.map_err(database)?;
    let db = &mut moment;
    let nudges = one(&mut *db, "clinics", of(NUDGES, clinic), |row| row.count("nudges")).await?.unwrap_or_default();
    let orders = all(&mut *db, "orders", of(ORDERS, clinic), Columns::order).await?;
    let held = of(CERTIFICATES, clinic).bind(history_since.unix());
    let certificates = all(&mut *db, "certificates", held, Columns::certificate).await?;
    let confirmed = all(&mut *db, "confirmations", of(CONFIRMATIONS, clinic), Columns::confirmation).await?;
    let renewals_asked = all(&mut *db, "renewals_asked", of(RENEWALS, clinic), Columns::slot).await?;
    let devices = all(&mut *db, "devices", of(DEVICES, clinic), Columns::device).await?;
    let portal = all(&mut *db, "portal_certificates", of(super::portal::SEATS, clinic), super::portal::seat).await?;
    let seen = all(&mut *db, "installers_seen", of(INSTALLERS, clinic), installer_seen).await?;
    let recognized = all(&mut *db, "recognized", of(installers::RECOGNIZED, clinic), installers::recognized_row).await?;
    let quarantining = all(&mut *db, "installers_seen", of(installers::QUARANTINING, clinic), file_on_device).await?.into_iter().collect();
    let restored = all(&mut *db, "restored", of(installers::RESTORED, clinic), file_on_device).await?.into_iter().collect();
    let tombstones = all(&mut *db, "tombstones", of(installers::IN_CLINIC, clinic), installers::tombstone).await?;
    let exposed = all(&mut *db, "certificates", of(installers::EXPOSED, clinic), installers::order).await?.into_iter().collect();
    let applications = all(&mut *db, "applications", of(APPLICATIONS, clinic), Columns::application).await?;
    let backups = super::backups::of_clinic(&mut *db, clinic).await?;
    moment.end().await.map_err(database)?;
    let devices = devices.into_iter().map(|row| (row.device.clone(), row)).collect();
    let mut confirmations: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (serial, dependant) in confirmed {
        confirmations.entry(serial).or_default().insert(dependant);
    }
    Ok(Snapshot {
        nudges,
        orders,
        certificates,
        confirmations,
        renewals_asked,
        devices,
        installers: seen,
        recognized: installers::gathered(recognized),
        quarantining,
        restored,
        tombstones,
        exposed,
        portal,
        applications,
        backups,
    })
}

fn installer_seen(row: &Columns) -> Result<(DeviceId, FileHash, bool), StoreError> {
    Ok((row.device_id()?, row.file()?, row.flag("removing")?))
}

fn file_on_device(row: &Columns) -> Result<(DeviceId, Sha256), StoreError> {
    Ok((row.device_id()?, row.sha256("sha256")?))
}

fn of(sql: &'static str, clinic: &ClinicId) -> Statement {
    query(sql).bind(clinic.tenant.as_str()).bind(clinic.clinic.as_str())
}

/// Every change to any of its bells counts; a clinic that is not there has none.
const NUDGES: &str = "SELECT nudges FROM clinics WHERE tenant = $1 AND clinic = $2";

/// An open order is always the newest of its slot: there is at most one, and the next opens only after it was closed.
const ORDERS: &str = "SELECT * FROM orders WHERE number IN (
        SELECT max(number) FROM orders WHERE tenant = $1 AND clinic = $2 AND state <> 2 GROUP BY home, device, profile)
    ORDER BY number";

const CERTIFICATES: &str = "SELECT * FROM certificates WHERE rowid IN (
        SELECT rowid FROM certificates WHERE tenant = $1 AND clinic = $2 AND retired_at IS NULL
        UNION ALL
        SELECT rowid FROM certificates WHERE tenant = $1 AND clinic = $2 AND retired_at IS NOT NULL AND issued_at >= $3
        UNION ALL
        SELECT rowid FROM certificates WHERE tenant = $1 AND clinic = $2 AND not_after >= $3
            AND retired_at IS NOT NULL AND revoked_at IS NULL AND account IS NOT NULL)
    ORDER BY issued_at, rowid";

const CONFIRMATIONS: &str = "SELECT confirmations.serial, dependant FROM certificates
    JOIN confirmations ON confirmations.serial = certificates.serial WHERE tenant = $1 AND clinic = $2 AND retired_at IS NULL";

const RENEWALS: &str = "SELECT * FROM renewals_asked WHERE tenant = $1 AND clinic = $2";

const DEVICES: &str = "SELECT * FROM devices WHERE tenant = $1 AND home = $2
    UNION ALL
    SELECT devices.* FROM (SELECT DISTINCT home, device FROM orders WHERE tenant = $1 AND clinic = $2 AND state <> 2 AND home <> $2) AS guest
        JOIN devices ON devices.tenant = $1 AND devices.home = guest.home AND devices.device = guest.device";

const APPLICATIONS: &str = "SELECT * FROM applications WHERE tenant = $1 AND clinic = $2 AND closed_at IS NULL ORDER BY number";

const INSTALLERS: &str = "SELECT seen.home, seen.device, seen.sha256, seen.removing, installers.size FROM installers_seen AS seen
    JOIN installers ON installers.tenant = seen.tenant AND installers.sha256 = seen.sha256
    WHERE seen.tenant = $1 AND seen.home = $2";
