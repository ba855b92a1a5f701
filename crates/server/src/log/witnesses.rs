//! Asks witnesses for their cosignatures, so that whoever steals the log's key cannot rewrite it unseen.
//!
//! Every log is asked about by itself. That a tenant's checkpoint is a record of the installation's log would not be enough: whoever has the
//! keys could put a second history of the tenant there beside the first, and the installation's log would only have grown.
//!
//! Nothing waits for witnesses. What they say is put beside the log, and a log that they have not vouched for in a while is on record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tegata_api::v1::audit::{Stage, Vouched, Witness, Witnesses as Answer};
use tegata_core::name::TenantName;
use tegata_core::time::{MINUTE, Timestamp};
use tegata_tlog::gather;
use tegata_tlog::note::{Note, NoteError};
use tegata_tlog::policy::{self, Policy};
use tegata_tlog::witness::Request;
use tokio_util::sync::CancellationToken;

use super::keys::LogKeys;
use super::path;
use crate::audit::{Ledger, TEGATA};
use crate::clock::Clock;
use crate::store::log::{Alarm, Asked, CosignedRow, UnseenRow, WitnessRow};
use crate::store::{Batch, Change, NewRecord, StoreError};
use crate::web;

/// How long to wait before witnesses are asked again (C2SP tlog-witness asks for patience; nobody reads faster).
const PAUSE: Duration = Duration::from_secs(10);
/// How old what they vouch for may become while the log is silent: so that silence can be told from a server that hides something.
const FRESH: Duration = MINUTE.saturating_mul(10);
/// From when on a log counts as unwitnessed.
pub const ALARM: Duration = MINUTE.saturating_mul(15);
/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 16 << 10;
/// How many logs are asked about at once.
const LOGS_AT_ONCE: usize = 8;

/// Who asks.
pub struct Witnesses {
    ledger: Ledger,
    clock: Clock,
    keys: Arc<LogKeys>,
    policy: Arc<Policy>,
    web: Client,
    /// Nothing was asked before.
    since: Timestamp,
}

/// Why a witness has not cosigned, as its operator and ours are told.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("no answer: {0}")]
    Unreachable(&'static str),
    #[error("it does not follow this log")]
    UnknownLog,
    #[error("it knows this log by another key")]
    OtherKey,
    #[error("it has cosigned {0} entries and the log has fewer: an older state was put back, or somebody else signs with the log's key")]
    Ahead(u64),
    #[error("it has cosigned another tree of this size, or one that this does not go on from: the log's history is not what it was")]
    OtherHistory,
    #[error("it answered {0}")]
    Status(u16),
    #[error("what it answered is no cosignature of its key")]
    Forged,
    #[error("the log's tiles do not come to a proof")]
    Damaged,
    #[error("the database failed")]
    Store(#[from] StoreError),
}

impl Witnesses {
    /// Asks those of `policy`.
    ///
    /// # Errors
    /// A client for HTTP cannot be made.
    pub fn new(ledger: Ledger, clock: Clock, keys: Arc<LogKeys>, policy: Arc<Policy>) -> Result<Self, reqwest::Error> {
        let since = clock.now();
        Ok(Self { ledger, clock, keys, policy, web: client()?, since })
    }

    /// Works until `stopping`.
    pub async fn run(self, stopping: CancellationToken) {
        loop {
            if let Err(error) = self.round().await {
                tracing::error!(error = &error as &dyn std::error::Error, "witnesses were not asked");
            }
            if stopping.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// Asks about every log that has grown, and about those that nobody has vouched for in a while.
    ///
    /// # Errors
    /// The database failed.
    pub async fn round(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut unseen = self.ledger.store().logs_unseen(now.before(FRESH)).await?;
        unseen.retain(|log| self.policy.is_about(self.keys.signer(&log.tenant).verifier()));
        // Whoever does not answer once is not waited for again in this round.
        let silent: Vec<AtomicBool> = self.policy.witnesses().iter().map(|_| AtomicBool::new(false)).collect();
        let asking: Vec<_> = unseen.iter().map(|log| self.ask(log, &silent)).collect();
        let asked: Vec<_> = stream::iter(asking).buffer_unordered(LOGS_AT_ONCE).collect().await;
        let asked = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
        let alarms = self.ledger.store().log_alarms().await?;
        let news = unseen.iter().filter_map(|log| self.news(log, &asked, alarms.contains_key(&log.tenant), now));
        let (records, alarms): (Vec<_>, Vec<_>) = news.unzip();
        let changes: Vec<_> = asked.into_iter().map(Change::Witness).chain(alarms.into_iter().map(Change::LogAlarm)).collect();
        if changes.is_empty() { Ok(()) } else { self.ledger.note(Batch { records, changes }).await }
    }

    async fn ask(&self, log: &UnseenRow, silent: &[AtomicBool]) -> Result<Asked, StoreError> {
        let known = self.ledger.store().log_witnesses(&log.tenant).await?;
        let corrupt = |error: NoteError| StoreError::Corrupt { place: "log_heads.note", source: Box::new(error) };
        let mut note: Note = log.head.note.parse().map_err(corrupt)?;
        let each = self.policy.witnesses().iter().zip(silent).filter_map(|(witness, silent)| {
            let (url, key) = (witness.url.as_deref()?, witness.key.to_string());
            let blank = || WitnessRow { witness: key.clone(), size: 0, seen: None, problem: None };
            let row = known.iter().find(|row| row.witness == key).cloned().unwrap_or_else(blank);
            Some((witness, url, silent, row))
        });
        let answers = join_all(each.map(|(witness, url, silent, row)| {
            let note = &note;
            async move { (witness, self.cosignature(log, note, url, (row.size, silent)).await, row) }
        }));
        let (answers, now) = (answers.await, self.clock.now());
        let told = answers.into_iter().map(|(witness, answer, row)| {
            let added = answer.and_then(|lines| note.add(&lines, &witness.key).map_err(|_| Problem::Forged));
            match added {
                Ok(_) => WitnessRow { size: log.head.size, seen: Some(now), ..row },
                Err(problem) => {
                    tracing::debug!(witness = witness.name, tenant = %log.tenant, "{problem}");
                    WitnessRow { problem: Some((problem.to_string(), now)), ..row }
                }
            }
        });
        let told = told.collect();
        let holds = self.policy.seen(&note).is_ok();
        let cosigned = holds.then(|| CosignedRow { size: log.head.size, note: note.to_string(), seen: now });
        Ok(Asked { tenant: log.tenant.clone(), cosigned, told })
    }

    /// The lines that a witness answers; from the size that it is said to have cosigned last, or from the one that it says itself.
    async fn cosignature(&self, log: &UnseenRow, note: &Note, url: &str, (old, silent): (u64, &AtomicBool)) -> Result<String, Problem> {
        if silent.load(Ordering::Relaxed) {
            return Err(Problem::Unreachable("not in time"));
        }
        // What is kept of it may be ahead of a state that was put back.
        let first = self.post(log, note, url, old.min(log.head.size)).await;
        let answer = match first {
            Ok(Err(said)) if said <= log.head.size => self.post(log, note, url, said).await,
            answer => answer,
        };
        match answer {
            Ok(Ok(lines)) => Ok(lines),
            Ok(Err(ahead)) if ahead > log.head.size => Err(Problem::Ahead(ahead)),
            // It says another size each time.
            Ok(Err(_)) => Err(Problem::Status(StatusCode::CONFLICT.as_u16())),
            Err(problem) => {
                silent.fetch_or(matches!(problem, Problem::Unreachable(_)), Ordering::Relaxed);
                Err(problem)
            }
        }
    }

    /// Asks once; gives the lines, or the size that the witness has cosigned last.
    async fn post(&self, log: &UnseenRow, note: &Note, url: &str, old: u64) -> Result<Result<String, u64>, Problem> {
        let parts = gather::consistency(old, log.head.size).unwrap_or_default();
        let path = path(&self.ledger, &log.tenant, parts).await?.ok_or(Problem::Damaged)?;
        let request = Request { old, path, note: note.clone() };
        let asked = self.web.post(format!("{}/add-checkpoint", url.trim_end_matches('/'))).body(request.to_string()).send().await;
        let mut answer = asked.map_err(|error| Problem::Unreachable(if error.is_timeout() { "not in time" } else { "no connection" }))?;
        let (status, kind) = (answer.status(), answer.headers().get(CONTENT_TYPE).cloned());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| Problem::Unreachable("cut off"))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_MAX {
                return Err(Problem::Forged);
            }
        }
        let text = String::from_utf8(bytes).map_err(|_| Problem::Forged)?;
        let size = || text.trim_end().parse().ok().filter(|_| kind.is_some_and(|kind| kind == "text/x.tlog.size"));
        match status {
            StatusCode::OK => Ok(Ok(text)),
            StatusCode::CONFLICT => size().map(Err).ok_or(Problem::OtherHistory),
            StatusCode::UNPROCESSABLE_ENTITY => Err(Problem::OtherHistory),
            StatusCode::NOT_FOUND => Err(Problem::UnknownLog),
            StatusCode::FORBIDDEN => Err(Problem::OtherKey),
            status => Err(Problem::Status(status.as_u16())),
        }
    }

    /// What goes on record: that nobody has vouched for a log in a while, and that it is over.
    fn news(&self, log: &UnseenRow, asked: &[Asked], is_alarmed: bool, now: Timestamp) -> Option<(NewRecord, Alarm)> {
        let is_seen = asked.iter().any(|asked| asked.tenant == log.tenant && asked.cosigned.is_some());
        let since = log.seen.unwrap_or(self.since).max(self.since);
        let action = match (is_seen, is_alarmed) {
            (true, true) => "log.witnessed",
            (false, false) if now.since(since) >= ALARM => "log.unwitnessed",
            _ => return None,
        };
        if !is_seen {
            tracing::error!(tenant = %log.tenant, "no quorum of witnesses has vouched for this log in a while: see `tegata audit witnesses`");
        }
        let details = json!({ "since": since.unix(), "size": log.head.size });
        let (tenant, object) = (log.tenant.clone(), log.tenant.to_string());
        let record = NewRecord { tenant: tenant.clone(), at: now, stage: Stage::Done, actor: TEGATA.into(), action, object, details };
        Some((record, Alarm { tenant, since: (!is_seen).then_some(since) }))
    }
}

/// Since when a tenant's log is without its witnesses, if that is longer than `most`. While nobody is asked, nothing is missed.
///
/// # Errors
/// The database failed.
pub async fn missed_for(
    ledger: &Ledger,
    policy: Option<&Policy>,
    tenant: &TenantName,
    (most, now): (Duration, Timestamp),
) -> Result<Option<Timestamp>, StoreError> {
    if policy.is_none() {
        return Ok(None);
    }
    let since = ledger.store().log_alarms().await?.remove(tenant);
    Ok(since.filter(|since| now.since(*since) >= most))
}

/// Nobody is followed elsewhere, and no proxy hears what a log is called.
fn client() -> Result<Client, reqwest::Error> {
    let client = web::client(web::tls(web::system_roots())).no_proxy();
    client.connect_timeout(PATIENCE).timeout(PATIENCE).build()
}

/// The first witness of a policy that cannot be asked, by its name: what stands behind its key is no address.
pub fn misplaced(policy: &Policy) -> Option<&policy::Witness> {
    let is_address = |url: &str| reqwest::Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    policy.witnesses().iter().find(|witness| witness.url.as_deref().is_some_and(|url| !is_address(url)))
}

/// What witnesses have said about a tenant's log.
///
/// # Errors
/// The database failed.
pub async fn told(
    ledger: &Ledger,
    keys: &LogKeys,
    policy: Option<&Policy>,
    tenant: &TenantName,
    now: Timestamp,
) -> Result<Answer, StoreError> {
    let store = ledger.store();
    let policy = policy.filter(|policy| policy.is_about(keys.signer(tenant).verifier()));
    let size = store.log_head(tenant).await?.map_or(0, |head| head.size);
    let (cosigned, rows) = (store.log_cosigned(tenant).await?, store.log_witnesses(tenant).await?);
    let vouched = match (policy, &cosigned) {
        (None, _) => Vouched::Unasked,
        (Some(_), Some(cosigned)) if now.since(cosigned.seen) < ALARM => Vouched::Witnessed,
        (Some(_), _) => Vouched::Unwitnessed,
    };
    let witness = |witness: &policy::Witness| {
        let key = witness.key.to_string();
        let row = rows.iter().find(|row| row.witness == key);
        let (problem, problem_at) = row.and_then(|row| row.problem.clone()).unzip();
        Witness {
            name: witness.name.clone(),
            key,
            url: witness.url.clone(),
            size: row.filter(|row| row.seen.is_some()).map(|row| row.size),
            seen_at: row.and_then(|row| row.seen).map(Timestamp::unix),
            problem,
            problem_at: problem_at.map(Timestamp::unix),
        }
    };
    Ok(Answer {
        vouched,
        size,
        witnessed_size: cosigned.as_ref().map(|cosigned| cosigned.size),
        witnessed_at: cosigned.as_ref().map(|cosigned| cosigned.seen.unix()),
        witnesses: policy.map(|policy| policy.witnesses().iter().map(witness).collect()).unwrap_or_default(),
    })
}
