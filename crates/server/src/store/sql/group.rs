//! What one transaction holds: the batches of everybody who waits, each whole or not at all.

use std::collections::HashMap;

use serde_json::json;
use tegata_api::v1::audit::Record;
use tegata_core::name::TenantName;

use super::changes::{self, Refusal};
use super::db::{Db, Source, query};
use super::personal;
use super::writer::{Outcome, Request};
use crate::store::audit::personal::{Kept, commit};
use crate::store::{Batch, NewRecord, StoreError};

/// Applies a group in a transaction that `begin` begins, and leaves it open. Refused guards are rare, so that at first none is expected; if
/// there is one, the group starts over with care.
pub(super) async fn apply(db: &mut Db, begin: &'static str, tails: &mut Tails, group: &[Request]) -> Result<Vec<Outcome>, sqlx::Error> {
    db.run(begin).await?;
    match apply_all(db, tails, group).await {
        Ok(()) => Ok(group.iter().map(|_| Ok(())).collect()),
        Err(Refusal::Broken(error)) => Err(error),
        Err(Refusal::Conflict(_)) => {
            db.run("ROLLBACK").await?;
            tails.forget();
            db.run(begin).await?;
            apply_each(db, tails, group).await
        }
    }
}

async fn apply_all(db: &mut Db, tails: &mut Tails, group: &[Request]) -> Result<(), Refusal> {
    changes::apply_all(db, group.iter().flat_map(|request| &request.batch.changes)).await?;
    let records: Vec<&NewRecord> = group.iter().flat_map(|request| &request.batch.records).collect();
    append(db, tails, &records).await?;
    Ok(())
}

/// Applies each batch so that a refused one leaves nothing behind, neither changes nor sequence numbers.
async fn apply_each(db: &mut Db, tails: &mut Tails, group: &[Request]) -> Result<Vec<Outcome>, sqlx::Error> {
    let mut outcomes = Vec::with_capacity(group.len());
    for request in group {
        db.run("SAVEPOINT batch").await?;
        let outcome = match apply_one(db, tails, &request.batch).await {
            Ok(()) => Ok(()),
            Err(Refusal::Broken(error)) => return Err(error),
            Err(Refusal::Conflict(guard)) => {
                db.run("ROLLBACK TO SAVEPOINT batch").await?;
                tails.forget();
                Err(StoreError::Conflict(guard))
            }
        };
        db.run("RELEASE SAVEPOINT batch").await?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

async fn apply_one(db: &mut Db, tails: &mut Tails, batch: &Batch) -> Result<(), Refusal> {
    changes::apply_all(db, batch.changes.iter()).await?;
    append(db, tails, &batch.records.iter().collect::<Vec<_>>()).await?;
    Ok(())
}

/// Appends records in one statement, however many there are: each statement costs two changes of thread, or a way to a server and back.
async fn append(db: &mut Db, tails: &mut Tails, records: &[&NewRecord]) -> Result<(), sqlx::Error> {
    let (mut rows, mut texts) = (Vec::new(), Vec::new());
    for record in records {
        let sequence = tails.next(db, &record.tenant).await?;
        let (text, kept) = canonical(record, sequence);
        rows.push((record.tenant.to_string(), sequence, text));
        texts.extend(kept.into_iter().map(|kept| (record.tenant.to_string(), sequence, kept)));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let append = "INSERT INTO audit (tenant, sequence, record)
        SELECT value ->> 0, CAST(value ->> 1 AS BIGINT), value ->> 2 FROM json_each($1)";
    query(append).bind(json!(rows).to_string()).execute(db).await?;
    personal::keep(db, texts).await
}

/// The newest sequence number of each tenant's log, as the open transaction sees it.
#[derive(Default)]
pub(super) struct Tails(HashMap<TenantName, u64>);

impl Tails {
    /// Whenever something is rolled back, or somebody else may have written.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    async fn next(&mut self, db: &mut Db, tenant: &TenantName) -> Result<u64, sqlx::Error> {
        if let Some(tail) = self.0.get_mut(tenant) {
            *tail += 1;
            return Ok(*tail);
        }
        let newest = query("SELECT coalesce(max(sequence), 0) AS newest FROM audit WHERE tenant = $1").bind(tenant.as_str());
        let newest = match db.rows(newest).await?.first() {
            Some(row) => row.number("newest")?,
            None => 0,
        };
        let next = newest.unsigned_abs() + 1;
        self.0.insert(tenant.clone(), next);
        Ok(next)
    }
}

/// The bytes that stand for a record for ever: JSON without blanks, keys in order. And the texts that only commitments stand for in them.
fn canonical(record: &NewRecord, sequence: u64) -> (String, Vec<Kept>) {
    let mut details = record.details.clone();
    let kept = commit(&mut details);
    let record = Record {
        sequence,
        at: record.at.unix(),
        stage: record.stage,
        actor: record.actor.clone(),
        action: record.action.to_owned(),
        object: record.object.clone(),
        details,
    };
    // Values keep their keys in a sorted map; a struct written directly would keep the order of its fields.
    let value = serde_json::to_value(record).expect("a record is plain data with text keys");
    (value.to_string(), kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tegata_api::v1::audit::Stage;
    use tegata_core::time::Timestamp;

    use super::*;

    #[test]
    fn a8_records_are_canonical_and_no_text_can_break_out_of_its_place() {
        let record = NewRecord {
            tenant: "aozora".parse().unwrap(),
            at: Timestamp::from_unix(7),
            stage: Stage::Seen,
            actor: "device:sakura/\"pc\n1\u{202e}".into(),
            action: "certificate.proven",
            object: "o".into(),
            details: json!({ "z": 1, "a": { "y": "\u{0}", "b": [] } }),
        };
        let (text, kept) = canonical(&record, 3);
        let expected = concat!(
            r#"{"action":"certificate.proven","actor":"device:sakura/\"pc\n1"#,
            "\u{202e}",
            r#"","at":7,"details":{"a":{"b":[],"y":"\u0000"},"z":1},"object":"o","sequence":3,"stage":"seen"}"#
        );
        assert_eq!((&*text, kept), (expected, vec![]));
    }
}
