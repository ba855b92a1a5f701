//! Drafts and certificates of one commit, each in one statement however many there are.
//!
//! Every statement costs two changes of thread, and these are the changes that come by the thousand when a fleet renews.

use std::collections::HashSet;
use std::mem::take;

use serde_json::{Value, json};
use tegata_core::name::OrderId;

use super::super::db::{Db, query};
use super::super::hex;
use super::{Applied, Refusal};
use crate::store::{Change, Draft, Issued};

/// Changes that wait to be applied together. They are of different orders, so that their sequence makes no difference.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    orders: HashSet<&'a OrderId>,
    drafts: Vec<(&'a OrderId, &'a Draft)>,
    issued: Vec<&'a Issued>,
}

impl<'a> Gathered<'a> {
    /// Takes a change, if it can wait; what it does not take has to be applied after what it took before.
    pub(super) fn takes(&mut self, change: &'a Change) -> bool {
        match change {
            Change::PutDraft { id, draft } if self.orders.insert(id) => self.drafts.push((id, draft)),
            Change::Fulfil(issued) if self.orders.insert(&issued.order) => self.issued.push(issued),
            _ => return false,
        }
        true
    }

    /// Applies what waits.
    pub(super) async fn apply(&mut self, db: &mut Db) -> Applied {
        self.orders.clear();
        put_drafts(db, &take(&mut self.drafts)).await?;
        fulfil(db, &take(&mut self.issued)).await
    }
}

pub(super) async fn put_drafts(db: &mut Db, drafts: &[(&OrderId, &Draft)]) -> Applied {
    let put = "UPDATE orders
        SET draft_serial = unhex(new.value ->> 1), draft_key = unhex(new.value ->> 2), draft_tbs = unhex(new.value ->> 3),
            draft_shard = CAST(new.value ->> 4 AS BIGINT)
        FROM json_each($1) AS new
        WHERE orders.id = unhex(new.value ->> 0) AND orders.state = 0 AND orders.draft_serial IS NULL";
    let rows =
        drafts.iter().map(|(id, draft)| json!([hex(&id.0), hex(&draft.serial.0), hex(&draft.public_key.0), hex(&draft.tbs), draft.shard]));
    all_or_none(db, put, rows, 1, "the order is not open, or has a draft already").await
}

/// What is refused is rolled back as a whole, so the second statement may run even if the first finds nothing.
pub(super) async fn fulfil(db: &mut Db, issued: &[&Issued]) -> Applied {
    let put = "UPDATE orders SET state = 1, closed_at = CAST(new.value ->> 6 AS BIGINT)
        FROM json_each($1) AS new
        WHERE orders.id = unhex(new.value ->> 0) AND orders.state = 0 AND orders.draft_serial = unhex(new.value ->> 1);
        INSERT INTO certificates (tenant, clinic, home, device, profile, issuer, common_name, organization, key, validity,
            serial, order_id, account, public_key, der, fingerprint, not_before, not_after, issued_at, shard)
        SELECT tenant, clinic, home, device, profile, issuer, common_name, organization, orders.key, validity,
            draft_serial, orders.id, account, draft_key, unhex(new.value ->> 2), unhex(new.value ->> 3),
            CAST(new.value ->> 4 AS BIGINT), CAST(new.value ->> 5 AS BIGINT), CAST(new.value ->> 6 AS BIGINT), draft_shard
        FROM json_each($1) AS new JOIN orders ON orders.id = unhex(new.value ->> 0)
        WHERE orders.state = 1 AND orders.draft_serial = unhex(new.value ->> 1)";
    let rows = issued.iter().map(|issued| {
        let (order, serial, der, fingerprint) = (hex(&issued.order.0), hex(&issued.serial.0), hex(&issued.der), hex(&issued.fingerprint.0));
        json!([order, serial, der, fingerprint, issued.not_before.unix(), issued.not_after.unix(), issued.at.unix()])
    });
    all_or_none(db, put, rows, 2, "the order is not open, or has another draft").await
}

/// Runs a statement over `rows`, its only parameter; refuses unless each of them had its effects.
async fn all_or_none(db: &mut Db, sql: &'static str, rows: impl Iterator<Item = Value>, effects: u64, broken: &'static str) -> Applied {
    let rows: Vec<Value> = rows.collect();
    let expected = rows.iter().map(|_| effects).sum::<u64>();
    if expected == 0 {
        return Ok(());
    }
    let done = query(sql).bind(Value::from(rows).to_string()).execute(db).await?;
    if done == expected { Ok(()) } else { Err(Refusal::Conflict(broken)) }
}
