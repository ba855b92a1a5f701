//! What people are told: its changes and its questions in SQL.

use serde_json::json;
use tegata_core::name::{ClinicId, TenantName};
use tegata_core::notice::Rung;
use tegata_core::time::Timestamp;

use super::changes::{Applied, guard};
use super::db::{Db, Pool, query};
use super::rows::Columns;
use super::{all, one};
use crate::store::StoreError;
use crate::store::notices::{DeliveryRow, DeliveryState, ExpiringQuery, LetterRow, NewLetter, Outcome, Told, WebhookKeyRow};
use crate::store::{CertificateRow, notices};
use crate::words;

/// Keeps a letter, what it tells and who gets it. That a rung was told already is refused by the key of `told`.
pub(super) async fn put_letter(db: &mut Db, new: &NewLetter) -> Applied {
    let put = "INSERT INTO letters (id, tenant, clinic, at, body) VALUES ($1, $2, $3, $4, $5);
        INSERT INTO told (tenant, kind, object, deadline, rung, letter)
            SELECT $2, value ->> 0, value ->> 1, CAST(value ->> 2 AS BIGINT), CAST(value ->> 3 AS BIGINT), $1 FROM json_each($6);
        INSERT INTO deliveries (id, letter, channel, target, state, attempts, at)
            SELECT value ->> 0, $1, value ->> 1, value ->> 2, 0, 0, $4 FROM json_each($7)";
    let LetterRow { id, clinic, at, body } = &new.letter;
    let told = new.told.iter().map(|told| json!([words::kind(told.kind), told.object, told.deadline.unix(), told.rung.number()]));
    let told: Vec<_> = told.collect();
    let to = new.to.iter().zip(1..).map(|((channel, target), n)| json!([format!("{id}-{n}"), words::channel(*channel), target]));
    let to: Vec<_> = to.collect();
    let put = query(put).bind(&id[..]).bind(clinic.tenant.as_str()).bind(clinic.clinic.as_str()).bind(at.unix()).bind(body.to_string());
    put.bind(json!(told).to_string()).bind(json!(to).to_string()).execute(db).await?;
    Ok(())
}

/// Counts a try before it is made. `next` is when it is tried again if nothing more is heard of it.
pub(super) async fn try_delivery(db: &mut Db, id: &str, attempt: u32, next: Timestamp) -> Applied {
    let count = "UPDATE deliveries SET attempts = $2, at = $3 WHERE id = $1 AND state = 0 AND attempts = $2 - 1";
    guard(query(count).bind(id).bind(attempt).bind(next.unix()).execute(db).await?, "the delivery is not waiting for this try")
}

pub(super) async fn end_try(db: &mut Db, id: &str, outcome: &Outcome, at: Timestamp) -> Applied {
    let (state, problem): (i64, _) = match outcome {
        Outcome::Done => (1, None),
        Outcome::Failed(problem) => (2, Some(&problem[..])),
        Outcome::Later(problem) => (0, Some(&problem[..])),
    };
    let end = "UPDATE deliveries SET state = $2, problem = $3, at = CASE WHEN $2 = 0 THEN at ELSE $4 END WHERE id = $1 AND state = 0";
    guard(query(end).bind(id).bind(state).bind(problem).bind(at.unix()).execute(db).await?, "the delivery has ended")
}

pub(super) async fn use_webhook_key(db: &mut Db, clinic: &ClinicId, url: &str, row: WebhookKeyRow) -> Applied {
    let take = "INSERT INTO webhook_keys (tenant, clinic, url, generation, shown_at) SELECT $1, $2, $3, $4, $5
            WHERE $4 = 1 + coalesce((SELECT generation FROM webhook_keys WHERE tenant = $1 AND clinic = $2 AND url = $3), 0)
        ON CONFLICT (tenant, clinic, url) DO UPDATE SET generation = $4, shown_at = $5";
    let take = query(take).bind(clinic.tenant.as_str()).bind(clinic.clinic.as_str()).bind(url);
    guard(take.bind(row.generation).bind(row.shown_at.unix()).execute(db).await?, "the webhook's key was changed by somebody else")
}

/// The newest rung that was told of each of these deadlines.
pub(super) async fn told(pool: &Pool, tenant: &TenantName, asked: &[Told]) -> Result<Vec<Told>, StoreError> {
    let find = "SELECT told.kind, told.object, told.deadline, max(told.rung) AS rung FROM json_each($2) AS asked
        JOIN told ON told.tenant = $1 AND told.kind = asked.value ->> 0 AND told.object = asked.value ->> 1
            AND told.deadline = CAST(asked.value ->> 2 AS BIGINT)
        GROUP BY told.kind, told.object, told.deadline";
    let asked: Vec<_> = asked.iter().map(|told| json!([words::kind(told.kind), told.object, told.deadline.unix()])).collect();
    all(pool, "told", query(find).bind(tenant.as_str()).bind(json!(asked).to_string()), Columns::told).await
}

pub(super) async fn letters(
    pool: &Pool,
    tenant: &TenantName,
    clinic: Option<&tegata_core::name::ClinicName>,
    limit: u32,
) -> Result<Vec<LetterRow>, StoreError> {
    let find = match clinic {
        Some(clinic) => query("SELECT * FROM letters WHERE tenant = $1 AND clinic = $2 ORDER BY number DESC LIMIT $3")
            .bind(tenant.as_str())
            .bind(clinic.as_str()),
        None => query("SELECT * FROM letters WHERE tenant = $1 ORDER BY number DESC LIMIT $2").bind(tenant.as_str()),
    };
    all(pool, "letters", find.bind(limit), Columns::letter).await
}

pub(super) async fn letter(pool: &Pool, id: &str) -> Result<Option<LetterRow>, StoreError> {
    one(pool, "letters", query("SELECT * FROM letters WHERE id = $1").bind(id), Columns::letter).await
}

pub(super) async fn deliveries_of(pool: &Pool, letters: &[String]) -> Result<Vec<DeliveryRow>, StoreError> {
    let find =
        "SELECT deliveries.* FROM json_each($1) AS asked JOIN deliveries ON deliveries.letter = asked.value ->> 0 ORDER BY deliveries.id";
    all(
        pool,
        "deliveries",
        query(find).bind(json!(letters.iter().map(|letter| [letter]).collect::<Vec<_>>()).to_string()),
        Columns::delivery,
    )
    .await
}

pub(super) async fn deliveries_due(pool: &Pool, now: Timestamp, limit: u32) -> Result<Vec<DeliveryRow>, StoreError> {
    let find = "SELECT * FROM deliveries WHERE state = 0 AND at <= $1 ORDER BY at, id LIMIT $2";
    all(pool, "deliveries", query(find).bind(now.unix()).bind(limit), Columns::delivery).await
}

pub(super) async fn next_delivery(pool: &Pool) -> Result<Option<Timestamp>, StoreError> {
    let find = query("SELECT min(at) AS at FROM deliveries WHERE state = 0");
    Ok(one(pool, "deliveries", find, |row| row.optional_moment("at")).await?.flatten())
}

pub(super) async fn webhook_key(pool: &Pool, clinic: &ClinicId, url: &str) -> Result<Option<WebhookKeyRow>, StoreError> {
    let find = query("SELECT generation, shown_at FROM webhook_keys WHERE tenant = $1 AND clinic = $2 AND url = $3");
    let find = find.bind(clinic.tenant.as_str()).bind(clinic.clinic.as_str()).bind(url);
    one(pool, "webhook_keys", find, Columns::webhook_key).await
}

pub(super) async fn expiring(pool: &Pool, asked: &ExpiringQuery) -> Result<Vec<CertificateRow>, StoreError> {
    let find = "SELECT * FROM certificates WHERE tenant = $1 AND not_after >= $2 AND not_after <= $3 AND ($4 IS NULL OR clinic = $5)
            AND retired_at IS NULL AND revoked_at IS NULL
        ORDER BY not_after, rowid LIMIT $6";
    let clinic = asked.clinic.as_ref().map(|clinic| clinic.as_str());
    let find = query(find).bind(asked.tenant.as_str()).bind(asked.since.unix()).bind(asked.until.unix()).bind(clinic).bind(clinic);
    all(pool, "certificates", find.bind(asked.limit), Columns::certificate).await
}

impl Columns {
    fn told(&self) -> Result<Told, StoreError> {
        let rung = self.raw::<i64>("rung")?;
        Ok(Told {
            kind: self.word("kind", words::read_kind)?,
            object: self.raw("object")?,
            deadline: self.moment("deadline")?,
            rung: Rung::of_number(rung),
        })
    }

    fn letter(&self) -> Result<LetterRow, StoreError> {
        Ok(LetterRow { id: self.raw("id")?, clinic: self.clinic()?, at: self.moment("at")?, body: self.json("body")? })
    }

    fn delivery(&self) -> Result<DeliveryRow, StoreError> {
        let state = match self.raw::<i64>("state")? {
            0 => DeliveryState::Waiting,
            1 => DeliveryState::Done,
            _ => DeliveryState::Failed,
        };
        Ok(DeliveryRow {
            id: self.raw("id")?,
            letter: self.raw("letter")?,
            channel: self.word("channel", words::read_channel)?,
            target: self.raw("target")?,
            state,
            attempts: self.small("attempts")?,
            at: self.moment("at")?,
            problem: self.raw("problem")?,
        })
    }

    fn webhook_key(&self) -> Result<notices::WebhookKeyRow, StoreError> {
        Ok(WebhookKeyRow { generation: self.small("generation")?, shown_at: self.moment("shown_at")? })
    }
}
