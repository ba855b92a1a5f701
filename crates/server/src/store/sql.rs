//! The store in SQL: one writer, many commits for one `fsync`, and readers beside it. On SQLite in one file, or on a PostgreSQL server.

mod access;
mod applications;
mod approvals;
mod backups;
mod changes;
mod crowd;
mod db;
mod group;
mod index;
mod installers;
mod log;
mod lookup;
pub mod moving;
mod notices;
mod personal;
mod portal;
pub mod postgres;
mod recovery;
mod revocation;
mod rows;
mod sessions;
mod snapshot;
pub mod sqlite;
mod telemetry;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use tegata_api::v1::audit::Record;
use tegata_api::v1::device::FileHash;
use tegata_core::name::{ClinicId, ClinicName, DeviceId, IssuerName, OrderId, Serial, Sha256, SlotId, TenantName};
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use self::db::{Pool, Source, Statement, query};
use self::lookup::Question;
use self::postgres::Neighbours;
use self::rows::Columns;
use self::writer::{Failure, Request, Writer};
use crate::store::audit::filter::Filter;
use crate::store::audit::{Entry, Search};
use crate::store::installers::Tombstone;
use crate::store::notices::{DeliveryRow, ExpiringQuery, LetterRow, Told, WebhookKeyRow};
use crate::store::revocation::{RevokedRow, Selected, Selection, Shard, ShardRow, Verdict};
use crate::store::signals::Signal;
use crate::store::{
    ApplicationRow, AuditQuery, AuthorityRow, Batch, Bundle, CertificateFilter, CertificateRow, Claim, CodeRow, DeviceRow, DocumentRow,
    OrderRow, Snapshot, Store, StoreError,
};

/// How many batches may wait for the writer; whoever comes later waits before that.
const QUEUE: usize = 1_024;

/// A store in a database.
pub struct Database {
    readers: Pool,
    writer: mpsc::Sender<Request>,
    lookup: mpsc::Sender<Question>,
    failure: watch::Receiver<Failure>,
    neighbours: Option<Mutex<Neighbours>>,
}

impl Database {
    /// Begins to write and to read. To be called inside a Tokio runtime: the writer is one of its tasks.
    fn begin(
        writer: impl FnOnce(mpsc::Receiver<Request>, watch::Sender<Failure>) -> Writer,
        readers: Pool,
        neighbours: Option<Neighbours>,
    ) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        let (failed, failure) = watch::channel(None);
        tokio::spawn(writer(queue, failed).run());
        let (lookup, questions) = mpsc::channel(QUEUE);
        tokio::spawn(lookup::answer(readers.clone(), questions));
        Self { readers, writer: requests, lookup, failure, neighbours: neighbours.map(Mutex::new) }
    }

    fn failure(&self) -> StoreError {
        let failure = self.failure.borrow().clone();
        StoreError::Database(failure.unwrap_or_else(|| Arc::new(sqlx::Error::WorkerCrashed)))
    }

    async fn all<T>(&self, table: &'static str, statement: Statement, read: Read<T>) -> Result<Vec<T>, StoreError> {
        all(&self.readers, table, statement, read).await
    }

    async fn one<T>(&self, table: &'static str, statement: Statement, read: Read<T>) -> Result<Option<T>, StoreError> {
        one(&self.readers, table, statement, read).await
    }
}

type Read<T> = fn(&Columns) -> Result<T, StoreError>;

#[async_trait]
impl Store for Database {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.send(Request { batch, answer }).await.map_err(|_| self.failure())?;
        answered.await.unwrap_or_else(|_| Err(self.failure()))
    }

    async fn failed(&self) {
        // An error means that the writer is gone without a word, which is a failure as well.
        let _ = self.failure.clone().wait_for(Option::is_some).await;
    }

    async fn overheard(&self) -> Signal {
        match &self.neighbours {
            Some(neighbours) => neighbours.lock().await.next().await,
            None => std::future::pending().await,
        }
    }

    async fn tenants(&self) -> Result<Vec<TenantName>, StoreError> {
        self.all("tenants", query("SELECT tenant FROM tenants ORDER BY tenant"), Columns::tenant).await
    }

    async fn policy_revision(&self, tenant: &TenantName) -> Result<u64, StoreError> {
        let find = query("SELECT policy_revision FROM tenants WHERE tenant = $1").bind(tenant.as_str());
        Ok(self.one("tenants", find, |row| row.count("policy_revision")).await?.unwrap_or_default())
    }

    async fn documents(&self, tenant: &TenantName) -> Result<Vec<DocumentRow>, StoreError> {
        let find = query("SELECT * FROM documents WHERE tenant = $1 ORDER BY kind, name").bind(tenant.as_str());
        self.all("documents", find, Columns::document).await
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<ClinicId>, StoreError> {
        if let Pool::Postgres(_) = self.readers {
            return postgres::claim(&self.readers, now, limit).await;
        }
        let find = "SELECT tenant, clinic FROM clinics WHERE wake_at IS NOT NULL AND wake_at <= $1 ORDER BY wake_at LIMIT $2";
        self.all("clinics", query(find).bind(now.unix()).bind(limit), Columns::clinic).await
    }

    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        // Without repeating the partial index's WHERE this would read the whole table.
        let find = query("SELECT min(wake_at) AS wake_at FROM clinics WHERE wake_at IS NOT NULL");
        Ok(self.one("clinics", find, |row| row.optional_moment("wake_at")).await?.flatten())
    }

    async fn clinics(&self, tenant: &TenantName) -> Result<BTreeMap<ClinicName, Option<Timestamp>>, StoreError> {
        let find = query("SELECT clinic, wake_at FROM clinics WHERE tenant = $1").bind(tenant.as_str());
        let clinics = self.all("clinics", find, |row| Ok((row.clinic_name()?, row.optional_moment("wake_at")?))).await?;
        Ok(clinics.into_iter().collect())
    }

    async fn snapshot(&self, clinic: &ClinicId, history_since: Timestamp) -> Result<Snapshot, StoreError> {
        snapshot::read(&self.readers, clinic, history_since).await
    }

    async fn code(&self, handle: &str) -> Result<Option<CodeRow>, StoreError> {
        self.one("codes", query("SELECT * FROM codes WHERE handle = $1").bind(handle), Columns::code).await
    }

    async fn device(&self, tenant: &TenantName, device: &DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        let find = "SELECT * FROM devices WHERE tenant = $1 AND home = $2 AND device = $3";
        self.one("devices", on_device(find, tenant, device), Columns::device).await
    }

    async fn claim(&self, identity: &Sha256, order: &OrderId) -> Result<Option<Claim>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let question = Question { identity: *identity, order: *order, answer };
        self.lookup.send(question).await.map_err(|_| self.failure())?;
        answered.await.unwrap_or_else(|_| Err(self.failure()))
    }

    async fn device_by_identity(&self, identity: &Sha256) -> Result<Option<DeviceRow>, StoreError> {
        let find = query("SELECT * FROM devices WHERE identity = $1").bind(&identity.0[..]);
        self.one("devices", find, Columns::device).await
    }

    async fn devices(&self, tenant: &TenantName) -> Result<Vec<DeviceRow>, StoreError> {
        let find = query("SELECT * FROM devices WHERE tenant = $1 ORDER BY home, device").bind(tenant.as_str());
        self.all("devices", find, Columns::device).await
    }

    async fn orders_on(&self, tenant: &TenantName, device: &DeviceId) -> Result<Vec<OrderRow>, StoreError> {
        let find = "SELECT * FROM orders WHERE number IN (SELECT max(number) FROM orders
            WHERE tenant = $1 AND home = $2 AND device = $3 AND state <> 2 GROUP BY clinic, profile) ORDER BY number";
        self.all("orders", on_device(find, tenant, device), Columns::order).await
    }

    async fn devices_away(&self, clinic: &ClinicId) -> Result<BTreeSet<DeviceId>, StoreError> {
        let find = "SELECT DISTINCT home, device FROM orders WHERE clinic <> home AND state <> 2 AND tenant = $1 AND home = $2";
        let find = query(find).bind(clinic.tenant.as_str()).bind(clinic.clinic.as_str());
        Ok(self.all("orders", find, Columns::device_id).await?.into_iter().collect())
    }

    async fn order(&self, id: &OrderId) -> Result<Option<OrderRow>, StoreError> {
        self.one("orders", query("SELECT * FROM orders WHERE id = $1").bind(&id.0[..]), Columns::order).await
    }

    async fn certificate(&self, serial: &Serial) -> Result<Option<CertificateRow>, StoreError> {
        let find = query("SELECT * FROM certificates WHERE serial = $1").bind(&serial.0[..]);
        self.one("certificates", find, Columns::certificate).await
    }

    async fn certificate_of_order(&self, id: &OrderId) -> Result<Option<CertificateRow>, StoreError> {
        let find = query("SELECT * FROM certificates WHERE order_id = $1").bind(&id.0[..]);
        self.one("certificates", find, Columns::certificate).await
    }

    async fn certificates_by_fingerprint(&self, tenant: &TenantName, fingerprint: &Sha256) -> Result<Vec<CertificateRow>, StoreError> {
        let find = query("SELECT * FROM certificates WHERE fingerprint = $1 AND tenant = $2 ORDER BY rowid").bind(&fingerprint.0[..]);
        self.all("certificates", find.bind(tenant.as_str()), Columns::certificate).await
    }

    async fn bundle(&self, order: &OrderId) -> Result<Option<Bundle>, StoreError> {
        self.one("bundles", query("SELECT * FROM bundles WHERE order_id = $1").bind(&order.0[..]), Columns::bundle).await
    }

    async fn certificates(&self, tenant: &TenantName, filter: CertificateFilter) -> Result<Vec<CertificateRow>, StoreError> {
        let mut found = self.all("certificates", narrowest(tenant, &filter), Columns::certificate).await?;
        found.retain(|row| {
            filter.clinic.as_ref().is_none_or(|clinic| row.slot.clinic == *clinic)
                && filter.device.as_ref().is_none_or(|device| row.slot.device == *device)
        });
        Ok(found)
    }

    async fn revoked(
        &self,
        tenant: &TenantName,
        issuer: &IssuerName,
        shard: Option<Shard>,
        alive_at: Timestamp,
        limit: u32,
    ) -> Result<Vec<RevokedRow>, StoreError> {
        revocation::revoked(&self.readers, (tenant, issuer, shard), alive_at, limit).await
    }

    async fn shard(&self, tenant: &TenantName, issuer: &IssuerName, shard: Option<Shard>) -> Result<Option<ShardRow>, StoreError> {
        revocation::shard(&self.readers, tenant, issuer, shard).await
    }

    async fn sample(
        &self,
        tenant: &TenantName,
        issuer: &IssuerName,
        shard: Shard,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Serial, Vec<u8>)>, StoreError> {
        revocation::sample(&self.readers, (tenant, issuer, shard), now, limit).await
    }

    async fn verdict(&self, tenant: &TenantName, issuer: &IssuerName, serial: &Serial) -> Result<Option<Verdict>, StoreError> {
        revocation::verdict(&self.readers, tenant, issuer, serial).await
    }

    async fn selected(&self, tenant: &TenantName, selection: &Selection, now: Timestamp, limit: u32) -> Result<Vec<Selected>, StoreError> {
        revocation::selected(&self.readers, tenant, selection, now, limit).await
    }

    async fn cut_off(&self, tenant: &TenantName, selection: &Selection, now: Timestamp) -> Result<Vec<SlotId>, StoreError> {
        revocation::cut_off(&self.readers, tenant, selection, now).await
    }

    async fn condemned(&self, by: &Serial) -> Result<Vec<(Serial, Cause)>, StoreError> {
        revocation::condemned(&self.readers, by).await
    }

    async fn unsigned_drafts(&self) -> Result<Vec<OrderRow>, StoreError> {
        let find = query("SELECT * FROM orders WHERE state = 0 AND draft_serial IS NOT NULL ORDER BY number");
        self.all("orders", find, Columns::order).await
    }

    async fn installers_to_remove(&self, tenant: &TenantName, device: &DeviceId) -> Result<Vec<FileHash>, StoreError> {
        self.all("installers_seen", on_device(installers::TO_REMOVE, tenant, device), Columns::file).await
    }

    async fn installers_to_quarantine(&self, tenant: &TenantName, device: &DeviceId) -> Result<BTreeSet<Sha256>, StoreError> {
        let find = on_device(installers::TO_QUARANTINE, tenant, device);
        Ok(self.all("installers_seen", find, |row| row.sha256("sha256")).await?.into_iter().collect())
    }

    async fn files_on_record(&self, tenant: &TenantName, device: &DeviceId, files: &[Sha256]) -> Result<BTreeSet<Sha256>, StoreError> {
        let found = self.all("installers", installers::on_record(tenant, device, files), |row| row.sha256("sha256")).await?;
        Ok(found.into_iter().collect())
    }

    async fn tombstones(&self, tenant: &TenantName, device: &DeviceId) -> Result<Vec<Tombstone>, StoreError> {
        self.all("tombstones", on_device(installers::ON_DEVICE, tenant, device), installers::tombstone).await
    }

    async fn devices_with_file(&self, tenant: &TenantName, sha256: &Sha256) -> Result<Vec<DeviceId>, StoreError> {
        let find = query("SELECT home, device FROM installers_seen WHERE tenant = $1 AND sha256 = $2");
        self.all("installers_seen", find.bind(tenant.as_str()).bind(&sha256.0[..]), Columns::device_id).await
    }

    async fn applications(&self, tenant: &TenantName, clinic: Option<&ClinicName>) -> Result<Vec<ApplicationRow>, StoreError> {
        let find = "SELECT * FROM applications WHERE tenant = $1 AND ($2 IS NULL OR clinic = $2) ORDER BY number";
        self.all("applications", applications::bind(find, tenant, clinic), Columns::application).await
    }

    async fn pin_tries(&self, tenant: &TenantName, slot: &SlotId, file: &Sha256) -> Result<u32, StoreError> {
        let spent = self.one("pin_tries", applications::tries(tenant, slot, file), |row| row.count("spent")).await?;
        Ok(spent.map_or(0, |spent| u32::try_from(spent).unwrap_or(u32::MAX)))
    }

    async fn told(&self, tenant: &TenantName, asked: &[Told]) -> Result<Vec<Told>, StoreError> {
        notices::told(&self.readers, tenant, asked).await
    }

    async fn letters(&self, tenant: &TenantName, clinic: Option<&ClinicName>, limit: u32) -> Result<Vec<LetterRow>, StoreError> {
        notices::letters(&self.readers, tenant, clinic, limit).await
    }

    async fn letter(&self, id: &str) -> Result<Option<LetterRow>, StoreError> {
        notices::letter(&self.readers, id).await
    }

    async fn deliveries_of(&self, letters: &[String]) -> Result<Vec<DeliveryRow>, StoreError> {
        notices::deliveries_of(&self.readers, letters).await
    }

    async fn deliveries_due(&self, now: Timestamp, limit: u32) -> Result<Vec<DeliveryRow>, StoreError> {
        notices::deliveries_due(&self.readers, now, limit).await
    }

    async fn next_delivery(&self) -> Result<Option<Timestamp>, StoreError> {
        notices::next_delivery(&self.readers).await
    }

    async fn webhook_key(&self, clinic: &ClinicId, url: &str) -> Result<Option<WebhookKeyRow>, StoreError> {
        notices::webhook_key(&self.readers, clinic, url).await
    }

    async fn expiring(&self, asked: &ExpiringQuery) -> Result<Vec<CertificateRow>, StoreError> {
        notices::expiring(&self.readers, asked).await
    }

    async fn authorities(&self, tenant: Option<&TenantName>) -> Result<Vec<AuthorityRow>, StoreError> {
        let find = query("SELECT * FROM authorities WHERE tenant = $1 ORDER BY name").bind(tenant.map_or("", TenantName::as_str));
        self.all("authorities", find, Columns::authority).await
    }

    async fn records(&self, tenant: &TenantName, asked: &AuditQuery) -> Result<Vec<Record>, StoreError> {
        let filter = Filter { object: asked.object.clone(), ..Filter::default() };
        let search = Search { part: asked.part, through: u64::MAX, limit: asked.limit, filter };
        Ok(self.search(tenant, &search).await?.into_iter().map(|entry| entry.record).collect())
    }

    async fn search(&self, tenant: &TenantName, search: &Search) -> Result<Vec<Entry>, StoreError> {
        let mut found = index::search(&self.readers, tenant, search).await?;
        personal::show(&self.readers, tenant, &mut found).await?;
        Ok(found)
    }

    async fn newest(&self, tenant: &TenantName) -> Result<u64, StoreError> {
        let find = query("SELECT coalesce(max(sequence), 0) AS newest FROM audit WHERE tenant = $1").bind(tenant.as_str());
        Ok(self.one("audit", find, |row| row.count("newest")).await?.unwrap_or_default())
    }

    async fn indexes_behind(&self) -> Result<Vec<(TenantName, u64)>, StoreError> {
        index::behind(&self.readers).await
    }
}

fn on_device(sql: &'static str, tenant: &TenantName, device: &DeviceId) -> Statement {
    query(sql).bind(tenant.as_str()).bind(device.clinic.as_str()).bind(device.device.as_str())
}

/// The query that reads the fewest rows which could pass the filter. Oldest first.
fn narrowest(tenant: &TenantName, filter: &CertificateFilter) -> Statement {
    if let Some(device) = &filter.device {
        let find = "SELECT * FROM certificates WHERE tenant = $1 AND home = $2 AND device = $3 AND ($4 OR retired_at IS NULL)
            ORDER BY issued_at, rowid";
        return on_device(find, tenant, device).bind(!filter.present);
    }
    if let Some(clinic) = &filter.clinic {
        let find = "SELECT * FROM certificates WHERE tenant = $1 AND clinic = $2 AND ($3 OR retired_at IS NULL) ORDER BY issued_at, rowid";
        return query(find).bind(tenant.as_str()).bind(clinic.as_str()).bind(!filter.present);
    }
    let find = "SELECT * FROM certificates WHERE tenant = $1 AND ($2 OR retired_at IS NULL) ORDER BY issued_at, rowid";
    query(find).bind(tenant.as_str()).bind(!filter.present)
}

async fn all<T>(db: impl Source, table: &'static str, statement: Statement, read: Read<T>) -> Result<Vec<T>, StoreError> {
    let rows = db.rows(statement).await.map_err(database)?;
    rows.into_iter().map(|row| read(&Columns { row, table })).collect()
}

async fn one<T>(db: impl Source, table: &'static str, statement: Statement, read: Read<T>) -> Result<Option<T>, StoreError> {
    let row = db.rows(statement).await.map_err(database)?.into_iter().next();
    row.map(|row| read(&Columns { row, table })).transpose()
}

/// Bytes as `unhex` reads them: JSON, in which rows for many are passed, has no bytes.
fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn database(error: sqlx::Error) -> StoreError {
    if postgres::passes(&error) { StoreError::Away(Arc::new(error)) } else { StoreError::Database(Arc::new(error)) }
}
