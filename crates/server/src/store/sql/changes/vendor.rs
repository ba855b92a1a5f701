//! Certificates that somebody else signed.

use tegata_core::name::{OrderId, Serial};
use tegata_core::time::Timestamp;

use super::super::db::{Db, query};
use super::{Applied, guard};
use crate::store::{Bundle, TakenIn};

pub(super) async fn take_in(db: &mut Db, taken: &TakenIn) -> Applied {
    let close = "UPDATE orders SET state = 1, closed_at = $2 WHERE id = $1 AND state = 0 AND draft_serial IS NULL AND key = 'vendor'";
    let close = query(close).bind(&taken.order.0[..]).bind(taken.at.unix());
    guard(close.execute(&mut *db).await?, "the order is not open, or not for a vendor's certificate")?;
    let put = "INSERT INTO certificates (tenant, clinic, home, device, profile, issuer, common_name, organization, key, validity,
            serial, order_id, account, public_key, der, fingerprint, not_before, not_after, issued_at)
        SELECT tenant, clinic, home, device, profile, issuer, $2, $3, key, validity, $4, id, account, $5, $6, $7, $8, $9, min($8, $10)
        FROM orders WHERE id = $1";
    let put = query(put).bind(&taken.order.0[..]).bind(&taken.common_name).bind(&taken.organization).bind(&taken.serial.0[..]);
    let put = put.bind(&taken.public_key.0[..]).bind(&taken.der).bind(&taken.fingerprint.0[..]);
    let put = put.bind(taken.not_before.unix()).bind(taken.not_after.unix()).bind(taken.at.unix());
    put.execute(&mut *db).await?;
    match &taken.bundle {
        Some(bundle) => put_bundle(db, &taken.order, bundle).await,
        None => Ok(()),
    }
}

pub(super) async fn put_bundle(db: &mut Db, order: &OrderId, bundle: &Bundle) -> Applied {
    let put = "INSERT INTO bundles (order_id, file_name, sealed)
        SELECT id, $2, $3 FROM orders WHERE id = $1 AND state = 1 AND key = 'vendor'
        ON CONFLICT (order_id) DO UPDATE SET file_name = excluded.file_name, sealed = excluded.sealed";
    let put = query(put).bind(&order.0[..]).bind(&bundle.file_name).bind(&bundle.sealed);
    guard(put.execute(db).await?, "the order was not fulfilled by a vendor's certificate")
}

pub(super) async fn confirm(db: &mut Db, serial: &Serial, dependant: &str, by: &str, at: Timestamp) -> Applied {
    let put = "INSERT INTO confirmations (serial, dependant, confirmed_by, confirmed_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    query(put).bind(&serial.0[..]).bind(dependant).bind(by).bind(at.unix()).execute(db).await?;
    Ok(())
}
