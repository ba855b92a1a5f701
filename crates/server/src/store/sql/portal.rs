//! What the portal keeps, in SQL.

use async_trait::async_trait;
use tegata_core::name::{IssuerName, Serial, Sha256, TenantName};
use tegata_core::time::Timestamp;

use super::Database;
use super::changes::{Applied, Refusal, guard};
use super::db::{Db, Statement, query};
use super::rows::{Columns, number};
use crate::store::StoreError;
use crate::store::portal::{
    AccountId, DeliveryRow, MEMO_TAKEN, NO_ROOM, PortalCertificateRow, PortalChange, PortalCodeRow, PortalDraft, PortalIssued,
    PortalQueries, PortalSeat, PortalSessionRow, Rolling, Room,
};
use crate::words;

/// A certificate and the one that follows it. The one that is revoked follows nothing.
const CERTIFICATE: &str = "SELECT own.*, (SELECT next.serial FROM portal_certificates AS next
        WHERE next.replaces = own.serial AND next.revoked_at IS NULL AND next.der IS NOT NULL) AS followed_by
    FROM portal_certificates AS own WHERE own.der IS NOT NULL";

#[async_trait]
impl PortalQueries for Database {
    async fn portal_code(&self, handle: &str) -> Result<Option<PortalCodeRow>, StoreError> {
        self.one("portal_codes", query("SELECT * FROM portal_codes WHERE handle = $1").bind(handle.to_owned()), code).await
    }

    async fn portal_session(&self, digest: &Sha256) -> Result<Option<PortalSessionRow>, StoreError> {
        let find = query("SELECT * FROM portal_sessions WHERE digest = $1").bind(digest.0.to_vec());
        self.one("portal_sessions", find, session).await
    }

    async fn portal_certificates(&self, account: &AccountId) -> Result<Vec<PortalCertificateRow>, StoreError> {
        let find = sql(" AND own.tenant = $1 AND own.clinic = $2 AND own.account = $3 ORDER BY own.applied_at DESC, own.rowid DESC");
        self.all("portal_certificates", of_account(find, account), certificate).await
    }

    async fn portal_certificate(&self, serial: &Serial) -> Result<Option<PortalCertificateRow>, StoreError> {
        self.one("portal_certificates", sql(" AND own.serial = $1").bind(serial.0.to_vec()), certificate).await
    }

    async fn portal_certificate_by_fingerprint(&self, fingerprint: &Sha256) -> Result<Option<PortalCertificateRow>, StoreError> {
        self.one("portal_certificates", sql(" AND own.fingerprint = $1").bind(fingerprint.0.to_vec()), certificate).await
    }

    async fn portal_bundle(&self, serial: &Serial) -> Result<Option<Vec<u8>>, StoreError> {
        let find = query("SELECT bundle FROM portal_certificates WHERE serial = $1 AND bundle IS NOT NULL").bind(serial.0.to_vec());
        self.one("portal_certificates", find, |row| row.raw("bundle")).await
    }

    async fn portal_next(&self, tenant: &TenantName, issuer: &IssuerName) -> Result<u64, StoreError> {
        let find = query(
            "SELECT max(coalesce((SELECT max(n) FROM portal_certificates WHERE tenant = $1 AND issuer = $2), 0),
            coalesce((SELECT n FROM portal_numbers WHERE tenant = $1 AND issuer = $2), 0)) + 1 AS n",
        );
        let find = find.bind(tenant.to_string()).bind(issuer.to_string());
        Ok(self.one("portal_certificates", find, |row| row.count("n")).await?.unwrap_or(1))
    }

    async fn portal_drafts(&self) -> Result<Vec<PortalDraft>, StoreError> {
        self.all("portal_certificates", query("SELECT * FROM portal_certificates WHERE der IS NULL ORDER BY applied_at"), draft).await
    }

    async fn portal_delivery(&self, digest: &Sha256) -> Result<Option<DeliveryRow>, StoreError> {
        let find = query("SELECT * FROM portal_deliveries WHERE digest = $1").bind(digest.0.to_vec());
        self.one("portal_deliveries", find, delivery).await
    }
}

/// The seats of one clinic's accounts, for its plan.
pub(super) const SEATS: &str = "SELECT own.account, own.applied_at, own.not_after, own.revoked_at,
        (SELECT next.applied_at FROM portal_certificates AS next
            WHERE next.replaces = own.serial AND next.revoked_at IS NULL AND next.der IS NOT NULL) AS followed_at
    FROM portal_certificates AS own WHERE own.tenant = $1 AND own.clinic = $2 AND own.der IS NOT NULL";

pub(super) fn seat(row: &Columns) -> Result<PortalSeat, StoreError> {
    let ends = [Some(row.moment("not_after")?), row.optional_moment("revoked_at")?, row.optional_moment("followed_at")?];
    let takes_a_place_until = ends.into_iter().flatten().min().unwrap_or(Timestamp::from_unix(0));
    Ok(PortalSeat { account: row.text("account")?, applied_at: row.moment("applied_at")?, takes_a_place_until })
}

fn sql(narrow: &str) -> Statement {
    query(format!("{CERTIFICATE}{narrow}"))
}

fn of_account(statement: Statement, account: &AccountId) -> Statement {
    statement.bind(account.tenant.to_string()).bind(account.clinic.to_string()).bind(account.account.to_string())
}

fn code(row: &Columns) -> Result<PortalCodeRow, StoreError> {
    Ok(PortalCodeRow {
        handle: row.raw("handle")?,
        tenant: row.tenant()?,
        clinic: row.clinic_name()?,
        subject: row.sha256("subject")?,
        account: row.optional_text("account")?,
        digest: row.sha256("digest")?,
        tries_left: row.small("tries_left")?,
        made_at: row.moment("made_at")?,
        expires_at: row.moment("expires_at")?,
        used_at: row.optional_moment("used_at")?,
    })
}

impl Columns {
    pub(super) fn account(&self) -> Result<AccountId, StoreError> {
        Ok(AccountId { tenant: self.tenant()?, clinic: self.clinic_name()?, account: self.text("account")? })
    }
}

fn session(row: &Columns) -> Result<PortalSessionRow, StoreError> {
    Ok(PortalSessionRow { digest: row.sha256("digest")?, account: row.account()?, expires_at: row.moment("expires_at")? })
}

fn draft(row: &Columns) -> Result<PortalDraft, StoreError> {
    Ok(PortalDraft {
        serial: Serial(row.bytes("serial")?),
        account: row.account()?,
        issuer: row.text("issuer")?,
        shard: row.shard()?,
        n: row.count("n")?,
        common_name: row.raw("common_name")?,
        organization: row.raw("organization")?,
        memo: row.raw("memo")?,
        label: row.raw("label")?,
        remarks: row.raw("remarks")?,
        file_name: row.raw("file_name")?,
        public_key: row.sha256("public_key")?,
        tbs: row.raw("tbs")?,
        not_after: row.moment("not_after")?,
        applied_at: row.moment("applied_at")?,
        replaces: row.optional_bytes("replaces")?.map(Serial),
    })
}

fn certificate(row: &Columns) -> Result<PortalCertificateRow, StoreError> {
    Ok(PortalCertificateRow {
        draft: draft(row)?,
        der: row.raw("der")?,
        fingerprint: row.sha256("fingerprint")?,
        fetched_at: row.optional_moment("fetched_at")?,
        revoked_at: row.optional_moment("revoked_at")?,
        followed_by: row.optional_bytes("followed_by")?.map(Serial),
    })
}

fn delivery(row: &Columns) -> Result<DeliveryRow, StoreError> {
    Ok(DeliveryRow {
        digest: row.sha256("digest")?,
        serial: Serial(row.bytes("serial")?),
        holder: row.sha256("holder")?,
        expires_at: row.moment("expires_at")?,
        fetched_at: row.optional_moment("fetched_at")?,
    })
}

/// Applies one change inside the open transaction.
pub(super) async fn apply(db: &mut Db, change: &PortalChange) -> Applied {
    match change {
        PortalChange::PutCode { code, since, most } => put_code(db, code, *since, *most).await,
        PortalChange::SpendTry { handle, now } => spend_try(db, handle, *now).await,
        PortalChange::UseCode { handle, at, session } => use_code(db, handle, *at, session).await,
        PortalChange::EndSession { digest } => {
            query("DELETE FROM portal_sessions WHERE digest = $1").bind(digest.0.to_vec()).execute(db).await?;
            Ok(())
        }
        PortalChange::PutDraft { draft, room } => put_draft(db, draft, room).await,
        PortalChange::Fulfil(issued) => fulfil(db, issued).await,
        PortalChange::Abandon { serial } => {
            let forget = query("DELETE FROM portal_certificates WHERE serial = $1 AND der IS NULL").bind(serial.0.to_vec());
            guard(forget.execute(db).await?, "there is no such draft")
        }
        PortalChange::Remark { account, serial, remarks } => {
            let put =
                query("UPDATE portal_certificates SET remarks = $1 WHERE serial = $2 AND tenant = $3 AND clinic = $4 AND account = $5");
            let put = of_account(put.bind(remarks.clone()).bind(serial.0.to_vec()), account);
            guard(put.execute(db).await?, "there is no such certificate")
        }
        PortalChange::Fetched { serial, at } => fetched(db, serial, *at).await,
        PortalChange::Revoke { serial, at, because } => {
            let revoke = "UPDATE portal_certificates SET revoked_at = $1, revoked_because = $2 WHERE serial = $3 AND revoked_at IS NULL AND der IS NOT NULL";
            let revoke = query(revoke).bind(at.unix()).bind(words::cause(*because)).bind(serial.0.to_vec());
            guard(revoke.execute(db).await?, "there is no such certificate, or it is revoked")
        }
        PortalChange::PutDelivery { delivery, now } => put_delivery(db, delivery, *now).await,
        PortalChange::Deliver { digest, serial, at } => {
            let deliver = query("UPDATE portal_deliveries SET fetched_at = $1 WHERE digest = $2 AND fetched_at IS NULL");
            guard(deliver.bind(at.unix()).bind(digest.0.to_vec()).execute(&mut *db).await?, "it was fetched before")?;
            fetched(db, serial, *at).await
        }
    }
}

async fn put_code(db: &mut Db, code: &PortalCodeRow, since: Timestamp, most: u32) -> Applied {
    query("DELETE FROM portal_codes WHERE made_at < $1 AND expires_at < $2")
        .bind(since.unix())
        .bind(code.made_at.unix())
        .execute(&mut *db)
        .await?;
    let put = "INSERT INTO portal_codes (handle, tenant, clinic, subject, account, digest, tries_left, made_at, expires_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE $11 >
            (SELECT count(*) FROM portal_codes WHERE tenant = $2 AND clinic = $3 AND subject = $4 AND made_at >= $10)";
    let put =
        query(put).bind(code.handle.clone()).bind(code.tenant.to_string()).bind(code.clinic.to_string()).bind(code.subject.0.to_vec());
    let put = put.bind(code.account.as_ref().map(ToString::to_string)).bind(code.digest.0.to_vec()).bind(code.tries_left);
    let put = put.bind(code.made_at.unix()).bind(code.expires_at.unix()).bind(since.unix()).bind(most);
    guard(put.execute(db).await?, "too many codes were made for this address")
}

async fn spend_try(db: &mut Db, handle: &str, now: Timestamp) -> Applied {
    let spend = "UPDATE portal_codes SET tries_left = tries_left - 1
        WHERE handle = $1 AND tries_left > 0 AND used_at IS NULL AND expires_at > $2";
    guard(query(spend).bind(handle.to_owned()).bind(now.unix()).execute(db).await?, "the code is not to be tried any more")
}

async fn use_code(db: &mut Db, handle: &str, at: Timestamp, session: &PortalSessionRow) -> Applied {
    let take = query("UPDATE portal_codes SET used_at = $1 WHERE handle = $2 AND used_at IS NULL").bind(at.unix()).bind(handle.to_owned());
    guard(take.execute(&mut *db).await?, "the code was used")?;
    query("DELETE FROM portal_sessions WHERE expires_at < $1").bind(at.unix()).execute(&mut *db).await?;
    let open = query("INSERT INTO portal_sessions (tenant, clinic, account, digest, expires_at) VALUES ($1, $2, $3, $4, $5)");
    of_account(open, &session.account).bind(session.digest.0.to_vec()).bind(session.expires_at.unix()).execute(db).await?;
    Ok(())
}

/// Counted where nobody can come between: the memo, the places, and what is followed.
async fn put_draft(db: &mut Db, draft: &PortalDraft, room: &Room) -> Applied {
    let living = "own.tenant = $1 AND own.clinic = $2 AND own.account = $3 AND own.revoked_at IS NULL AND own.not_after >= $4
        AND own.serial IS DISTINCT FROM $5 AND NOT EXISTS (SELECT 1 FROM portal_certificates AS next WHERE next.replaces = own.serial AND next.revoked_at IS NULL)";
    let of = |sql: String| {
        let find = of_account(query(sql), &draft.account);
        find.bind(draft.applied_at.unix()).bind(draft.replaces.map(|serial| serial.0.to_vec()))
    };
    let taken = of(format!("SELECT 1 FROM portal_certificates AS own WHERE {living} AND own.memo = $6")).bind(draft.memo.clone());
    if taken.fetch_optional(&mut *db).await?.is_some() {
        return Err(Refusal::Conflict(MEMO_TAKEN));
    }
    let places = format!(
        "SELECT 1 WHERE $6 <= (SELECT count(*) FROM portal_certificates AS own WHERE {living})
            + (SELECT count(*) FROM certificates WHERE tenant = $1 AND clinic = $2 AND account = $3
                AND retired_at IS NULL AND revoked_at IS NULL AND not_after >= $4)"
    );
    // What follows another takes over its place.
    if draft.replaces.is_none() && of(places).bind(room.living_max).fetch_optional(&mut *db).await?.is_some() {
        return Err(Refusal::Conflict(NO_ROOM));
    }
    for Rolling { since, most, unrevoked_only } in &room.issued {
        let issued = "SELECT 1 WHERE $5 <= (SELECT count(*) FROM portal_certificates WHERE tenant = $1 AND clinic = $2 AND account = $3 AND applied_at > $4 AND NOT ($6 AND revoked_at IS NOT NULL))
            + (SELECT count(*) FROM certificates WHERE tenant = $1 AND clinic = $2 AND account = $3 AND issued_at > $4 AND NOT ($6 AND revoked_at IS NOT NULL))";
        let issued = of_account(query(issued), &draft.account).bind(since.unix()).bind(*most).bind(*unrevoked_only);
        if issued.fetch_optional(&mut *db).await?.is_some() {
            return Err(Refusal::Conflict(NO_ROOM));
        }
    }
    insert_draft(db, draft).await
}

async fn insert_draft(db: &mut Db, draft: &PortalDraft) -> Applied {
    if let Some(old) = &draft.replaces {
        let find = query("SELECT 1 FROM portal_certificates WHERE serial = $1 AND revoked_at IS NULL AND der IS NOT NULL");
        if find.bind(old.0.to_vec()).fetch_optional(&mut *db).await?.is_none() {
            return Err(Refusal::Conflict("there is no such certificate, or it is revoked"));
        }
    }
    let put = "INSERT INTO portal_certificates (tenant, clinic, account, serial, issuer, shard, n, common_name, organization, memo, label,
            remarks, file_name, public_key, tbs, not_after, applied_at, replaces)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
    let put = of_account(query(put), &draft.account).bind(draft.serial.0.to_vec()).bind(draft.issuer.to_string());
    let put = put.bind(draft.shard).bind(number(draft.n));
    let put = put.bind(draft.common_name.clone()).bind(draft.organization.clone()).bind(draft.memo.clone()).bind(draft.label.clone());
    let put = put.bind(draft.remarks.clone()).bind(draft.file_name.clone()).bind(draft.public_key.0.to_vec()).bind(draft.tbs.clone());
    let put = put.bind(draft.not_after.unix()).bind(draft.applied_at.unix()).bind(draft.replaces.map(|serial| serial.0.to_vec()));
    put.execute(db).await?;
    Ok(())
}

async fn fulfil(db: &mut Db, issued: &PortalIssued) -> Applied {
    let put = "UPDATE portal_certificates SET der = $1, fingerprint = $2, bundle = $3, issued_at = $4 WHERE serial = $5 AND der IS NULL";
    let put = query(put).bind(issued.der.clone()).bind(issued.fingerprint.0.to_vec()).bind(issued.bundle.clone());
    guard(put.bind(issued.at.unix()).bind(issued.serial.0.to_vec()).execute(db).await?, "there is no such draft, or it is signed")
}

async fn fetched(db: &mut Db, serial: &Serial, at: Timestamp) -> Applied {
    let fetched = query("UPDATE portal_certificates SET fetched_at = coalesce(fetched_at, $1) WHERE serial = $2");
    guard(fetched.bind(at.unix()).bind(serial.0.to_vec()).execute(db).await?, "there is no such certificate")
}

async fn put_delivery(db: &mut Db, delivery: &DeliveryRow, now: Timestamp) -> Applied {
    query("DELETE FROM portal_deliveries WHERE expires_at < $1").bind(now.unix()).execute(&mut *db).await?;
    let put = query("INSERT INTO portal_deliveries (digest, serial, holder, expires_at) VALUES ($1, $2, $3, $4)");
    let put = put.bind(delivery.digest.0.to_vec()).bind(delivery.serial.0.to_vec()).bind(delivery.holder.0.to_vec());
    put.bind(delivery.expires_at.unix()).execute(db).await?;
    Ok(())
}
