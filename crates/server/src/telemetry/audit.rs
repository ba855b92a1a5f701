//! The audit log as OTLP logs: every record at least once, in the order of its tenant, whatever happens to the collector.
//!
//! How far a tenant's records were taken is kept in the database, and moves only after the collector has said that it took all of a batch. So a
//! collector that is away loses nothing and holds nobody up, and after a restart it goes on from there. OpenTelemetry's own queue, which drops
//! what it cannot hold, is not used. What was taken while its answer got lost is sent again: records have numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::Attributes;
use prost::Message;
use tegata_api::v1::audit::{Disclosure, Record};
use tegata_core::name::TenantName;
use tokio_util::sync::CancellationToken;

use super::collector::{Answer, Collector};
use super::in_otlp;
use crate::audit::Ledger;
use crate::clock::Clock;
use crate::store::telemetry::Exported;
use crate::store::{Batch, Change, StoreError};

/// How long records gather. Nothing waits for it.
const GATHER: Duration = Duration::from_secs(1);
/// How many records are sent at once.
const RECORDS_MAX: u32 = 256;
/// How long to wait after the first failure; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest wait that the collector did not ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Who sends the audit log to one collector.
pub struct AuditExport {
    ledger: Ledger,
    clock: Clock,
    collector: Collector,
    resource: Resource,
    /// What the collector is called in the database: its address.
    sink: String,
    /// How many records are sent at once of tenants of whose records one is refused.
    narrowed: BTreeMap<TenantName, u32>,
    pause: Duration,
}

/// Why records were not taken.
#[derive(Debug)]
enum Untaken {
    Store(StoreError),
    /// The collector is away, or busy.
    Later {
        after: Duration,
        problem: String,
    },
    /// The collector does not want what it was sent.
    Refused {
        tenant: TenantName,
        from: u64,
        problem: String,
        is_alone: bool,
    },
}

impl From<StoreError> for Untaken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl AuditExport {
    /// Sends `ledger`'s records, as whoever `resource` names.
    pub fn new(ledger: Ledger, clock: Clock, collector: Collector, resource: &opentelemetry_sdk::Resource) -> Self {
        let sink = collector.target().place();
        Self { ledger, clock, collector, resource: in_otlp(resource), sink, narrowed: BTreeMap::new(), pause: Duration::ZERO }
    }

    /// Works until `stopping`, or until the database has failed for good.
    pub async fn run(mut self, stopping: CancellationToken) {
        let ledger = self.ledger.clone();
        while !stopping.is_cancelled() {
            let work = async {
                match self.catch_up().await {
                    Ok(()) => {
                        ledger.unexported().await;
                        tokio::time::sleep(GATHER).await;
                    }
                    Err(untaken) => tokio::time::sleep(self.after(untaken)).await,
                }
            };
            tokio::select! {
                () = stopping.cancelled() => return,
                () = ledger.store().failed() => return,
                () = work => {}
            }
        }
    }

    /// Sends everything that was not taken yet. One tenant whose records are refused holds no other up.
    async fn catch_up(&mut self) -> Result<(), Untaken> {
        let mut refused = BTreeMap::new();
        loop {
            let mut behind = self.ledger.store().exports_behind(&self.sink).await?;
            behind.retain(|(tenant, _)| !refused.contains_key(tenant));
            if behind.is_empty() {
                return refused.into_values().next().map_or(Ok(()), Err);
            }
            for (tenant, through) in behind {
                match self.send(&tenant, through).await {
                    Err(untaken @ Untaken::Refused { .. }) => {
                        refused.insert(tenant, untaken);
                    }
                    sent => sent?,
                }
            }
        }
    }

    /// Sends the next records of a tenant, and notes that they were taken.
    async fn send(&mut self, tenant: &TenantName, from: u64) -> Result<(), Untaken> {
        let limit = self.narrowed.get(tenant).copied().unwrap_or(RECORDS_MAX);
        let records = self.ledger.store().log_entries(tenant, from, limit).await?;
        let records_sent = records.len();
        let through = from + records_sent as u64;
        let numbers: Vec<u64> = (from + 1..=through).collect();
        let disclosures = self.ledger.store().disclosures_of(tenant, &numbers).await?;
        let message = self.message(tenant, records, disclosures)?;
        match self.collector.send(message).await {
            Answer::Taken => {}
            Answer::Later { after, problem } => return Err(Untaken::Later { after, problem }),
            Answer::Refused(problem) => {
                // Fewer at a time: what was too much passes, and the one that is refused is found.
                self.narrowed.insert(tenant.clone(), (limit / 2).max(1));
                return Err(Untaken::Refused { tenant: tenant.clone(), from, problem, is_alone: records_sent == 1 });
            }
        }
        let exported = Exported { sink: self.sink.clone(), tenant: tenant.clone(), from, through, at: self.clock.now() };
        self.ledger.note(Batch { records: vec![], changes: vec![Change::Export(exported)] }).await?;
        self.narrowed.remove(tenant);
        self.pause = Duration::ZERO;
        Ok(())
    }

    fn message(&self, tenant: &TenantName, records: Vec<String>, disclosures: Vec<Disclosure>) -> Result<Vec<u8>, StoreError> {
        let mut texts: BTreeMap<u64, Vec<Disclosure>> = BTreeMap::new();
        disclosures.into_iter().for_each(|disclosure| texts.entry(disclosure.sequence).or_default().push(disclosure));
        let log_records: Result<Vec<LogRecord>, serde_json::Error> =
            records.into_iter().map(|text| self.log_record(tenant, text, &mut texts)).collect();
        let log_records = log_records.map_err(|source| StoreError::Corrupt { place: "audit", source: source.into() })?;
        let scope = InstrumentationScope { name: "tegata.audit".into(), version: env!("CARGO_PKG_VERSION").into(), ..Default::default() };
        let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, schema_url: String::new() }];
        let resource_logs = vec![ResourceLogs { resource: Some(self.resource.clone()), scope_logs, schema_url: String::new() }];
        Ok(ExportLogsServiceRequest { resource_logs }.encode_to_vec())
    }

    /// The body is the record as it is kept, so that it can be proven from the log's tree; beside it are the texts that it commits to.
    fn log_record(
        &self,
        tenant: &TenantName,
        text: String,
        texts: &mut BTreeMap<u64, Vec<Disclosure>>,
    ) -> Result<LogRecord, serde_json::Error> {
        let record: Record = serde_json::from_str(&text)?;
        let stage = serde_json::to_value(record.stage)?.as_str().unwrap_or_default().to_owned();
        let texts = texts.remove(&record.sequence).map(|texts| serde_json::to_string(&texts)).transpose()?;
        let texts = texts.map(|texts| KeyValue::new("tegata.audit.personal", texts));
        let attributes = [
            KeyValue::new("tegata.tenant", tenant.to_string()),
            KeyValue::new("tegata.audit.sequence", i64::try_from(record.sequence).unwrap_or(i64::MAX)),
            KeyValue::new("tegata.audit.stage", stage),
            KeyValue::new("tegata.audit.action", record.action.clone()),
            KeyValue::new("tegata.audit.actor", record.actor),
            KeyValue::new("tegata.audit.object", record.object),
        ];
        let attributes = Attributes::from(attributes.into_iter().chain(texts));
        Ok(LogRecord {
            time_unix_nano: nanoseconds(record.at),
            observed_time_unix_nano: nanoseconds(self.clock.now().unix()),
            severity_number: SeverityNumber::Info.into(),
            severity_text: "INFO".into(),
            body: Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }),
            attributes: attributes.0,
            event_name: format!("tegata.audit.{}", record.action),
            ..LogRecord::default()
        })
    }

    /// Says what went wrong, and how long to wait.
    fn after(&mut self, untaken: Untaken) -> Duration {
        if let Untaken::Refused { is_alone: false, .. } = untaken {
            return PAUSE_MIN;
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        match untaken {
            Untaken::Store(StoreError::Conflict(guard)) => tracing::debug!(guard, "somebody else exports to the same collector"),
            Untaken::Store(error) => tracing::error!(error = &error as &dyn std::error::Error, "the audit log was not exported"),
            Untaken::Later { after, problem } => {
                tracing::warn!(collector = %self.sink, problem, "the audit log waits for its collector");
                return self.pause.max(after);
            }
            Untaken::Refused { tenant, from, problem, .. } => {
                let sequence = from + 1;
                tracing::error!(collector = %self.sink, %tenant, sequence, problem, "a record is refused; it is sent again until it is taken");
            }
        }
        self.pause
    }
}

fn nanoseconds(at: i64) -> u64 {
    u64::try_from(at).unwrap_or_default().saturating_mul(1_000_000_000)
}

#[cfg(test)]
mod tests;
