//! Columns ↔ domain types. Whatever cannot be read back is named by table and column.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use sqlx::{Postgres, Row as _, Sqlite, Type, ValueRef};
use tegata_core::fleet::Template;
use tegata_core::name::{ClinicId, DeviceId, OrderId, Serial, Sha256, SlotId};
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

use super::db::Row;
use crate::store::revocation::Shard;
use crate::store::{
    AuthorityRow, Bundle, CertificateRow, CodeRow, DeviceRow, DocumentRow, Draft, Holder, OrderRow, OrderState, StoreError,
};
use crate::words;

/// What is wrong with a value that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreadable(String);

/// A row of a known table, which errors can name.
pub(super) struct Columns {
    pub row: Row,
    /// The table, for messages.
    pub table: &'static str,
}

impl Columns {
    fn corrupt(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::Corrupt { place: self.table, source: source.into() }
    }

    /// What both databases have a type for: numbers of 64 bits, text and bytes, each perhaps not there.
    pub(super) fn raw<'r, T>(&'r self, column: &'static str) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'r, Sqlite> + Type<Sqlite> + sqlx::Decode<'r, Postgres> + Type<Postgres>,
    {
        let value = match &self.row {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        };
        value.map_err(|error| self.corrupt(error))
    }

    /// A number that is known to be small.
    pub(super) fn small<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        let value = self.raw::<i64>(column)?;
        T::try_from(value).map_err(|_| self.corrupt(Unreadable(format!("{column}: {value}"))))
    }

    pub(super) fn text<T: FromStr>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T::Err: Error + Send + Sync + 'static,
    {
        self.raw::<&str>(column)?.parse().map_err(|error: T::Err| self.corrupt(Unreadable(format!("{column}: {error}"))))
    }

    pub(super) fn optional_text<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, StoreError>
    where
        T::Err: Error + Send + Sync + 'static,
    {
        if self.raw::<Option<&str>>(column)?.is_some() { self.text(column).map(Some) } else { Ok(None) }
    }

    pub(super) fn bytes<const N: usize>(&self, column: &'static str) -> Result<[u8; N], StoreError> {
        let bytes: &[u8] = self.raw(column)?;
        bytes.try_into().map_err(|_| self.corrupt(Unreadable(format!("{column}: expected {N} bytes, found {}", bytes.len()))))
    }

    pub(super) fn optional_bytes<const N: usize>(&self, column: &'static str) -> Result<Option<[u8; N]>, StoreError> {
        if self.raw::<Option<&[u8]>>(column)?.is_some() { self.bytes(column).map(Some) } else { Ok(None) }
    }

    pub(super) fn moment(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_unix(self.raw(column)?))
    }

    pub(super) fn optional_moment(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.raw::<Option<i64>>(column)?.map(Timestamp::from_unix))
    }

    pub(super) fn count(&self, column: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.raw::<i64>(column)?).map_err(|error| self.corrupt(error))
    }

    /// Kept as a number in a table, so that it is the same in both; what PostgreSQL works out by itself has a type of its own.
    pub(super) fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        match &self.row {
            Row::Postgres(row) if row.try_get::<bool, _>(column).is_ok() => self.raw(column),
            _ => Ok(self.raw::<i64>(column)? != 0),
        }
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(self.raw(column)?).map_err(|error| self.corrupt(error))
    }

    pub(super) fn is_null(&self, column: &'static str) -> Result<bool, StoreError> {
        let is_null = match &self.row {
            Row::Sqlite(row) => row.try_get_raw(column).map(|value| value.is_null()),
            Row::Postgres(row) => row.try_get_raw(column).map(|value| value.is_null()),
        };
        is_null.map_err(|error| self.corrupt(error))
    }

    pub(super) fn word<T>(&self, column: &'static str, read: fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let word: &str = self.raw(column)?;
        read(word).ok_or_else(|| self.corrupt(Unreadable(format!("{column}: '{word}' is not a word of this version"))))
    }

    pub(super) fn tenant(&self) -> Result<tegata_core::name::TenantName, StoreError> {
        self.text("tenant")
    }

    pub(super) fn clinic_name(&self) -> Result<tegata_core::name::ClinicName, StoreError> {
        self.text("clinic")
    }

    pub(super) fn clinic(&self) -> Result<ClinicId, StoreError> {
        Ok(ClinicId { tenant: self.tenant()?, clinic: self.clinic_name()? })
    }

    pub(super) fn device_id(&self) -> Result<DeviceId, StoreError> {
        Ok(DeviceId { clinic: self.text("home")?, device: self.text("device")? })
    }

    pub(super) fn slot(&self) -> Result<SlotId, StoreError> {
        Ok(SlotId { clinic: self.clinic_name()?, device: self.device_id()?, profile: self.text("profile")? })
    }

    pub(super) fn sha256(&self, column: &'static str) -> Result<Sha256, StoreError> {
        self.bytes(column).map(Sha256)
    }

    fn template(&self) -> Result<Template, StoreError> {
        Ok(Template {
            issuer: self.text("issuer")?,
            common_name: self.raw("common_name")?,
            organization: self.raw("organization")?,
            key: self.word("key", words::read_key)?,
            validity: Duration::from_secs(self.count("validity")?),
        })
    }

    pub(super) fn document(&self) -> Result<DocumentRow, StoreError> {
        Ok(DocumentRow {
            kind: self.raw("kind")?,
            name: self.raw("name")?,
            revision: self.count("revision")?,
            body: self.json("body")?,
            author: self.raw("author")?,
            applied_at: self.moment("applied_at")?,
        })
    }

    pub(super) fn code(&self) -> Result<CodeRow, StoreError> {
        Ok(CodeRow {
            handle: self.raw("handle")?,
            tenant: self.tenant()?,
            device: self.device_id()?,
            digest: self.sha256("digest")?,
            tries_left: self.small("tries_left")?,
            expires_at: self.moment("expires_at")?,
            used_by: self.optional_bytes("used_by")?.map(Sha256),
        })
    }

    pub(super) fn device(&self) -> Result<DeviceRow, StoreError> {
        Ok(DeviceRow {
            tenant: self.tenant()?,
            device: self.device_id()?,
            identity: self.sha256("identity")?,
            public_key: self.raw("public_key")?,
            enrolled_at: self.moment("enrolled_at")?,
            last_seen: self.moment("last_seen")?,
            clock_offset: self.raw("clock_offset")?,
            revoked_at: self.optional_moment("revoked_at")?,
            facts: self.json("facts")?,
            report: self.json("report")?,
            manifest: self.json("manifest")?,
            receipts: self.count("receipts")?,
        })
    }

    pub(super) fn holder(&self) -> Result<Holder, StoreError> {
        Ok(Holder { tenant: self.tenant()?, device: self.device_id()?, revoked_at: self.optional_moment("revoked_at")? })
    }

    pub(super) fn order(&self) -> Result<OrderRow, StoreError> {
        Ok(OrderRow {
            id: OrderId(self.bytes("id")?),
            tenant: self.tenant()?,
            slot: self.slot()?,
            template: self.template()?,
            account: self.optional_text("account")?,
            because: self.word("because", words::read_reason)?,
            replaces: self.serials("replaces")?,
            opened_at: self.moment("opened_at")?,
            state: self.order_state()?,
            draft: self.draft()?,
            found: self.optional_bytes("found")?.map(Sha256),
        })
    }

    fn order_state(&self) -> Result<OrderState, StoreError> {
        match self.raw::<i64>("state")? {
            0 => Ok(OrderState::Open),
            1 => Ok(OrderState::Fulfilled),
            2 => Ok(OrderState::Cancelled),
            other => Err(self.corrupt(Unreadable(format!("state: {other}")))),
        }
    }

    fn draft(&self) -> Result<Option<Draft>, StoreError> {
        let Some(serial) = self.optional_bytes("draft_serial")? else { return Ok(None) };
        Ok(Some(Draft {
            serial: Serial(serial),
            public_key: self.sha256("draft_key")?,
            tbs: self.raw("draft_tbs")?,
            shard: self.small("draft_shard")?,
        }))
    }

    pub(super) fn shard(&self) -> Result<Shard, StoreError> {
        self.small("shard")
    }

    pub(super) fn der(&self) -> Result<Vec<u8>, StoreError> {
        self.raw("der")
    }

    pub(super) fn url(&self) -> Result<String, StoreError> {
        self.raw("url")
    }

    /// Why something is revoked. Whatever was written before there were causes has one as well.
    pub(super) fn cause(&self) -> Result<Cause, StoreError> {
        Ok(self.raw::<Option<&str>>("revoked_because")?.map(words::read_cause).unwrap_or_default())
    }

    fn serials(&self, column: &'static str) -> Result<Vec<Serial>, StoreError> {
        let bytes: &[u8] = self.raw(column)?;
        let (serials, rest) = bytes.as_chunks::<16>();
        if rest.is_empty() { Ok(serials.iter().copied().map(Serial).collect()) } else { Err(self.corrupt(Unreadable(column.into()))) }
    }

    pub(super) fn certificate(&self) -> Result<CertificateRow, StoreError> {
        Ok(CertificateRow {
            serial: Serial(self.bytes("serial")?),
            order: OrderId(self.bytes("order_id")?),
            tenant: self.tenant()?,
            slot: self.slot()?,
            template: self.template()?,
            account: self.optional_text("account")?,
            der: self.raw("der")?,
            fingerprint: self.sha256("fingerprint")?,
            public_key: self.sha256("public_key")?,
            not_before: self.moment("not_before")?,
            not_after: self.moment("not_after")?,
            issued_at: self.moment("issued_at")?,
            installed_at: self.optional_moment("installed_at")?,
            proven_at: self.optional_moment("proven_at")?,
            retiring_at: self.optional_moment("retiring_at")?,
            retired_at: self.optional_moment("retired_at")?,
            revoked_at: self.optional_moment("revoked_at")?,
        })
    }

    pub(super) fn bundle(&self) -> Result<Bundle, StoreError> {
        Ok(Bundle { file_name: self.raw("file_name")?, sealed: self.raw("sealed")? })
    }

    pub(super) fn confirmation(&self) -> Result<(Serial, String), StoreError> {
        Ok((Serial(self.bytes("serial")?), self.raw("dependant")?))
    }

    pub(super) fn file(&self) -> Result<tegata_api::v1::device::FileHash, StoreError> {
        Ok(tegata_api::v1::device::FileHash { sha256: self.sha256("sha256")?.to_string(), size: self.count("size")? })
    }

    pub(super) fn authority(&self) -> Result<AuthorityRow, StoreError> {
        let tenant = if self.raw::<&str>("tenant")?.is_empty() { None } else { Some(self.tenant()?) };
        Ok(AuthorityRow { tenant, name: self.raw("name")?, certificate: self.raw("certificate")?, sealed_key: self.raw("sealed_key")? })
    }
}

/// The number under which an order's state is kept.
pub(super) fn state_number(state: OrderState) -> i64 {
    match state {
        OrderState::Open => 0,
        OrderState::Fulfilled => 1,
        OrderState::Cancelled => 2,
    }
}

/// Counters as both databases keep them. A count beyond 2⁶³ stays there: nothing counts that far.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
