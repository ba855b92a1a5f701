//! The read that comes by the thousand when a fleet renews: who asks, and for which order. Many questions are one statement.
//!
//! A statement costs two changes of thread, and the first read after a commit begins with an empty page cache.

use serde_json::json;
use tegata_core::name::{OrderId, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::crowd::gather;
use super::db::{Pool, query};
use super::rows::Columns;
use super::{all, hex};
use crate::store::{Claim, StoreError};

/// How many questions share one statement at most.
const CROWD_MAX: usize = 128;

/// Who asks for which order, and waits for the answer.
pub(super) struct Question {
    pub identity: Sha256,
    pub order: OrderId,
    pub answer: oneshot::Sender<Result<Option<Claim>, StoreError>>,
}

/// Answers until nobody can ask any more.
pub(super) async fn answer(readers: Pool, mut questions: mpsc::Receiver<Question>) {
    loop {
        let crowd = gather(&mut questions, CROWD_MAX).await;
        if crowd.is_empty() {
            return;
        }
        let asked: Vec<_> = crowd.iter().map(|question| json!([hex(&question.identity.0), hex(&question.order.0)])).collect();
        tell(crowd, look_up(&readers, asked).await);
    }
}

type Answer = (usize, Result<Claim, StoreError>);

async fn look_up(readers: &Pool, asked: Vec<serde_json::Value>) -> Result<Vec<Answer>, StoreError> {
    let find = "SELECT asked.key AS number, devices.tenant, devices.home, devices.device, devices.revoked_at,
            orders.id, clinic, profile, issuer, common_name, organization, orders.key, validity, account, because, replaces, opened_at,
            state, draft_serial, draft_key, draft_tbs, draft_shard, found
        FROM json_each($1) AS asked JOIN devices ON devices.identity = unhex(asked.value ->> 0)
        LEFT JOIN orders ON orders.id = unhex(asked.value ->> 1)
            AND orders.tenant = devices.tenant AND orders.home = devices.home AND orders.device = devices.device";
    let find = query(find).bind(serde_json::Value::from(asked).to_string());
    all(readers, "orders", find, |row| Ok((usize::try_from(row.count("number")?).unwrap_or(usize::MAX), claim(row)))).await
}

fn claim(row: &Columns) -> Result<Claim, StoreError> {
    let order = if row.is_null("id")? { None } else { Some(row.order()?) };
    Ok(Claim { holder: row.holder()?, order })
}

/// Whoever does not wait any more does not mind.
fn tell(crowd: Vec<Question>, answers: Result<Vec<Answer>, StoreError>) {
    let mut waiting: Vec<_> = crowd.into_iter().map(|question| Some(question.answer)).collect();
    let (answers, failure) = match answers {
        Ok(answers) => (answers, None),
        Err(error) => (vec![], Some(error)),
    };
    for (number, claim) in answers {
        if let Some(answer) = waiting.get_mut(number).and_then(Option::take) {
            let _ = answer.send(claim.map(Some));
        }
    }
    let mut rest = waiting.into_iter().flatten();
    // A failed read is told to the first; the others find the channel closed, which says the same.
    if let Some(error) = failure
        && let Some(first) = rest.next()
    {
        let _ = first.send(Err(error));
        return;
    }
    for answer in rest {
        let _ = answer.send(Ok(None));
    }
}
