//! Applications at vendors, and the tries of their PINs.

use tegata_core::name::{ClinicName, Sha256, SlotId, TenantName};
use tegata_core::time::Timestamp;

use super::changes::{Applied, bind_slot, guard};
use super::db::{Db, Statement, query};
use super::rows::Columns;
use crate::store::{ApplicationRow, Closed, StoreError};
use crate::words;

pub(super) fn bind(find: &'static str, tenant: &TenantName, clinic: Option<&ClinicName>) -> Statement {
    query(find).bind(tenant.as_str()).bind(clinic.map(|clinic| clinic.as_str()))
}

pub(super) fn tries(tenant: &TenantName, slot: &SlotId, file: &Sha256) -> Statement {
    let find = "SELECT spent FROM pin_tries
        WHERE tenant = $1 AND clinic = $2 AND home = $3 AND device = $4 AND profile = $5 AND sha256 = $6";
    bind_slot(query(find), tenant, slot).bind(&file.0[..])
}

pub(super) async fn record(db: &mut Db, row: &ApplicationRow) -> Applied {
    let record = "INSERT INTO applications (tenant, clinic, home, device, profile, applied_at, request_id, reference, pin,
            recorded_at, recorded_by, closed_at, closed_because)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let record = bind_slot(query(record), &row.tenant, &row.slot).bind(row.applied_at.unix()).bind(&row.request_id[..]);
    let record =
        record.bind(&row.sealed_reference[..]).bind(row.sealed_pin.as_deref()).bind(row.recorded_at.unix()).bind(&row.recorded_by[..]);
    let (at, because) = row.closed.unzip();
    record.bind(at.map(Timestamp::unix)).bind(because.map(words::closed)).execute(db).await?;
    Ok(())
}

pub(super) async fn close(db: &mut Db, tenant: &TenantName, slot: &SlotId, because: Closed, at: Timestamp) -> Applied {
    let close = "UPDATE applications SET closed_at = $6, closed_because = $7
        WHERE tenant = $1 AND clinic = $2 AND home = $3 AND device = $4 AND profile = $5 AND closed_at IS NULL";
    bind_slot(query(close), tenant, slot).bind(at.unix()).bind(words::closed(because)).execute(db).await?;
    Ok(())
}

pub(super) async fn keep_pin(db: &mut Db, tenant: &TenantName, slot: &SlotId, sealed: &str, replace: bool) -> Applied {
    let keep = "UPDATE applications SET pin = $6
        WHERE tenant = $1 AND clinic = $2 AND home = $3 AND device = $4 AND profile = $5 AND closed_at IS NULL AND (pin IS NULL OR $7)";
    let keep = bind_slot(query(keep), tenant, slot).bind(sealed.to_owned()).bind(replace);
    guard(keep.execute(db).await?, "the application has a PIN already, or is closed")
}

pub(super) async fn spend_pin_try(db: &mut Db, tenant: &TenantName, slot: &SlotId, file: &Sha256, below: u32) -> Applied {
    let spend = "INSERT INTO pin_tries (tenant, clinic, home, device, profile, sha256, spent)
            SELECT $1, $2, $3, $4, $5, $6, 1 WHERE $7 > 0
        ON CONFLICT (tenant, clinic, home, device, profile, sha256) DO UPDATE SET spent = pin_tries.spent + 1 WHERE pin_tries.spent < $7";
    let spend = bind_slot(query(spend), tenant, slot).bind(&file.0[..]).bind(i64::from(below));
    guard(spend.execute(db).await?, "no more tries of this PIN are allowed")
}

pub(super) async fn forget_pin_tries(db: &mut Db, tenant: &TenantName, slot: &SlotId, file: &Sha256) -> Applied {
    let forget = "DELETE FROM pin_tries WHERE tenant = $1 AND clinic = $2 AND home = $3 AND device = $4 AND profile = $5 AND sha256 = $6";
    bind_slot(query(forget), tenant, slot).bind(&file.0[..]).execute(db).await?;
    Ok(())
}

impl Columns {
    pub(super) fn application(&self) -> Result<ApplicationRow, StoreError> {
        let closed_at = self.optional_moment("closed_at")?;
        let because = if closed_at.is_some() { Some(self.word("closed_because", words::read_closed)?) } else { None };
        Ok(ApplicationRow {
            tenant: self.tenant()?,
            slot: self.slot()?,
            applied_at: self.moment("applied_at")?,
            request_id: self.raw("request_id")?,
            sealed_reference: self.raw("reference")?,
            sealed_pin: self.raw("pin")?,
            recorded_at: self.moment("recorded_at")?,
            recorded_by: self.raw("recorded_by")?,
            closed: closed_at.zip(because),
        })
    }
}
