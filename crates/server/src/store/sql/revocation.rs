//! What lists, answers and wishes about revocation are made of. All but the wishes are asked of the view `serials`.

use tegata_core::name::{IssuerName, Serial, SlotId, TenantName};
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

use super::changes::{Applied, Refusal};
use super::db::{Db, Pool, Statement, query};
use super::rows::Columns;
use super::{all, hex, one};
use crate::store::StoreError;
use crate::store::revocation::{Holder, RevokedRow, Selected, Selection, Shard, ShardRow, Verdict};
use crate::words;

fn of(sql: &'static str, tenant: &TenantName, issuer: &IssuerName) -> Statement {
    query(sql).bind(tenant.as_str()).bind(issuer.as_str())
}

/// One shard of an issuer, or the newest.
pub(super) async fn shard(
    db: &Pool,
    tenant: &TenantName,
    issuer: &IssuerName,
    shard: Option<Shard>,
) -> Result<Option<ShardRow>, StoreError> {
    let find = "SELECT shard, url FROM shards WHERE tenant = $1 AND issuer = $2 AND shard <= $3 ORDER BY shard DESC LIMIT 1";
    let found = of(find, tenant, issuer).bind(shard.unwrap_or(Shard::MAX));
    let found = one(db, "shards", found, |row| Ok(ShardRow { shard: row.shard()?, url: row.url()?, filled: 0 })).await?;
    let Some(row) = found.filter(|row| shard.is_none_or(|shard| row.shard == shard)) else { return Ok(None) };
    let count = "SELECT count(*) AS count FROM serials WHERE tenant = $1 AND issuer = $2 AND shard = $3";
    let filled = one(db, "certificates", of(count, tenant, issuer).bind(row.shard), |row| row.count("count")).await?;
    Ok(Some(ShardRow { filled: filled.unwrap_or_default(), ..row }))
}

/// What is revoked in one shard, or everywhere, of that which lives until `alive_at` or longer: at most `limit`.
pub(super) async fn revoked(
    db: &Pool,
    (tenant, issuer, shard): (&TenantName, &IssuerName, Option<Shard>),
    alive_at: Timestamp,
    limit: u32,
) -> Result<Vec<RevokedRow>, StoreError> {
    let find = match shard {
        Some(shard) => of(REVOKED_IN_SHARD, tenant, issuer).bind(alive_at.unix()).bind(limit).bind(shard),
        None => of(REVOKED, tenant, issuer).bind(alive_at.unix()).bind(limit),
    };
    all(db, "certificates", find, revoked_row).await
}

const REVOKED_IN_SHARD: &str = "SELECT serial, revoked_at, revoked_because FROM serials
    WHERE tenant = $1 AND issuer = $2 AND shard = $5 AND revoked_at IS NOT NULL AND not_after >= $3 ORDER BY serial LIMIT $4";
/// The shard is asked for because rows of several tables come in order only by what they give.
const REVOKED: &str = "SELECT serial, revoked_at, revoked_because, shard FROM serials
    WHERE tenant = $1 AND issuer = $2 AND revoked_at IS NOT NULL AND not_after >= $3 ORDER BY shard, serial LIMIT $4";

fn revoked_row(row: &Columns) -> Result<RevokedRow, StoreError> {
    Ok(RevokedRow { serial: Serial(row.bytes("serial")?), at: row.moment("revoked_at")?, because: row.cause()? })
}

/// What is on record about a serial number, if the issuer has signed for it.
pub(super) async fn verdict(db: &Pool, tenant: &TenantName, issuer: &IssuerName, serial: &Serial) -> Result<Option<Verdict>, StoreError> {
    let find = "SELECT not_after, revoked_at, revoked_because FROM serials WHERE serial = $3 AND tenant = $1 AND issuer = $2";
    one(db, "certificates", of(find, tenant, issuer).bind(&serial.0[..]), |row| {
        let revoked = match row.optional_moment("revoked_at")? {
            Some(at) => Some((at, row.cause()?)),
            None => None,
        };
        Ok(Verdict { revoked, not_after: row.moment("not_after")? })
    })
    .await
}

/// Some certificates of a shard: its index holds them in the order in which they were signed, so that both ends are at hand.
pub(super) async fn sample(
    db: &Pool,
    (tenant, issuer, shard): (&TenantName, &IssuerName, Shard),
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(Serial, Vec<u8>)>, StoreError> {
    let find = of(SAMPLE, tenant, issuer).bind(shard).bind(now.unix()).bind(limit);
    all(db, "certificates", find, |row| Ok((Serial(row.bytes("serial")?), row.der()?))).await
}

const SAMPLE: &str = "SELECT serial, der FROM certificates WHERE not_before <= $4 AND not_after >= $4 AND rowid IN (
        SELECT * FROM (SELECT rowid FROM certificates WHERE tenant = $1 AND issuer = $2 AND shard = $3 ORDER BY rowid LIMIT $5) AS oldest
        UNION
        SELECT * FROM (SELECT rowid FROM certificates WHERE tenant = $1 AND issuer = $2 AND shard = $3 ORDER BY rowid DESC LIMIT $5) AS newest)
    UNION ALL
    SELECT serial, der FROM portal_certificates WHERE der IS NOT NULL AND issued_at <= $4 AND not_after >= $4 AND rowid IN (
        SELECT * FROM (SELECT rowid FROM portal_certificates WHERE tenant = $1 AND issuer = $2 AND shard = $3 ORDER BY rowid LIMIT $5) AS oldest
        UNION
        SELECT * FROM (SELECT rowid FROM portal_certificates WHERE tenant = $1 AND issuer = $2 AND shard = $3 ORDER BY rowid DESC LIMIT $5) AS newest)";

/// The conditions of a selection on the row called `alias`; its parameters are $2 to $9.
macro_rules! meant {
    ($alias:literal) => {
        concat!(
            "($2 IS NULL OR ",
            $alias,
            ".serial IN (SELECT unhex(value ->> 0) FROM json_each($2)))
            AND ($3 IS NULL OR (",
            $alias,
            ".home = $3 AND ",
            $alias,
            ".device = $4))
            AND ($5 IS NULL OR ",
            $alias,
            ".account = $5) AND ($6 IS NULL OR ",
            $alias,
            ".profile = $6)
            AND ($7 IS NULL OR ",
            $alias,
            ".issuer = $7)
            AND ($8 IS NULL OR ",
            $alias,
            ".issued_at >= $8) AND ($9 IS NULL OR ",
            $alias,
            ".issued_at < $9)"
        )
    };
}

/// The same for what the portal handed out: no device and no profile has it.
macro_rules! meant_of_portal {
    ($alias:literal) => {
        concat!(
            "$3 IS NULL AND $4 IS NULL AND $6 IS NULL AND ($2 IS NULL OR ",
            $alias,
            ".serial IN (SELECT unhex(value ->> 0) FROM json_each($2))) AND ($5 IS NULL OR ",
            $alias,
            ".account = $5) AND ($7 IS NULL OR ",
            $alias,
            ".issuer = $7) AND ($8 IS NULL OR ",
            $alias,
            ".issued_at >= $8) AND ($9 IS NULL OR ",
            $alias,
            ".issued_at < $9)"
        )
    };
}

/// A certificate with which its device can sign in.
macro_rules! works {
    ($alias:literal) => {
        concat!(
            $alias,
            ".proven_at IS NOT NULL AND ",
            $alias,
            ".retired_at IS NULL AND ",
            $alias,
            ".revoked_at IS NULL AND ",
            $alias,
            ".not_after >= $10"
        )
    };
}

macro_rules! same_slot {
    () => {
        "o.tenant = c.tenant AND o.home = c.home AND o.device = c.device AND o.clinic = c.clinic AND o.profile = c.profile"
    };
}

const SELECTED: &str = concat!(
    "SELECT c.serial, c.clinic, c.home, c.device, c.profile, c.retired_at IS NULL AS is_present,
        EXISTS (SELECT 1 FROM certificates AS o WHERE ",
    same_slot!(),
    " AND o.rowid > c.rowid AND ",
    works!("o"),
    " AND NOT (",
    meant!("o"),
    ")) AS is_replaced
    FROM certificates AS c WHERE c.tenant = $1 AND c.revoked_at IS NULL AND c.not_after >= $10 AND ",
    meant!("c")
);

const SELECTED_OF_PORTAL: &str = concat!(
    "SELECT c.serial, c.tenant, c.clinic, c.account,
        EXISTS (SELECT 1 FROM portal_certificates AS o WHERE o.replaces = c.serial AND o.der IS NOT NULL AND o.revoked_at IS NULL
            AND o.not_after >= $10 AND NOT (",
    meant_of_portal!("o"),
    ")) AS is_replaced
    FROM portal_certificates AS c WHERE c.tenant = $1 AND c.der IS NOT NULL AND c.revoked_at IS NULL AND c.not_after >= $10 AND ",
    meant_of_portal!("c")
);

const CUT_OFF: &str = concat!(
    "SELECT c.clinic, c.home, c.device, c.profile FROM certificates AS c WHERE c.tenant = $1 AND ",
    works!("c"),
    " AND ",
    meant!("c"),
    " AND NOT EXISTS (SELECT 1 FROM certificates AS o WHERE ",
    same_slot!(),
    " AND ",
    works!("o"),
    " AND NOT (",
    meant!("o"),
    "))"
);

/// What the narrowest index is asked for: a condition that may be left out is none that SQLite looks up.
fn narrowest(selection: &Selection) -> &'static str {
    if selection.serials.is_some() {
        " AND c.serial IN (SELECT unhex(value ->> 0) FROM json_each($2))"
    } else if selection.device.is_some() {
        " AND c.home = $3 AND c.device = $4"
    } else if selection.issuer.is_some() {
        " AND c.issuer = $7"
    } else {
        ""
    }
}

fn narrowest_of_portal(selection: &Selection) -> &'static str {
    if selection.serials.is_some() {
        " AND c.serial IN (SELECT unhex(value ->> 0) FROM json_each($2))"
    } else if selection.issuer.is_some() {
        " AND c.issuer = $7"
    } else {
        ""
    }
}

fn select(sql: &str, narrowest: &str, tenant: &TenantName, selection: &Selection, now: Timestamp, limit: u32) -> Statement {
    let serials = selection.serials.as_ref().map(|serials| listed(serials));
    let (home, device) = selection.device.as_ref().map(|id| (id.clinic.to_string(), id.device.to_string())).unzip();
    let sql = format!("{sql}{narrowest} ORDER BY c.rowid LIMIT $11");
    let find = query(sql).bind(tenant.to_string()).bind(serials);
    let find = find.bind(home).bind(device).bind(selection.account.as_ref().map(ToString::to_string));
    let find = find.bind(selection.profile.as_ref().map(ToString::to_string)).bind(selection.issuer.as_ref().map(ToString::to_string));
    let find = find.bind(selection.issued_from.map(Timestamp::unix)).bind(selection.issued_until.map(Timestamp::unix));
    find.bind(now.unix()).bind(limit)
}

/// The certificates that a selection means, oldest first: at most `limit`.
pub(super) async fn selected(
    db: &Pool,
    tenant: &TenantName,
    selection: &Selection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Selected>, StoreError> {
    let selected = select(SELECTED, narrowest(selection), tenant, selection, now, limit);
    let mut selected = all(db, "certificates", selected, |row| {
        let (serial, holder) = (Serial(row.bytes("serial")?), Holder::Slot(row.slot()?));
        Ok(Selected { serial, holder, is_present: row.flag("is_present")?, is_replaced: row.flag("is_replaced")? })
    })
    .await?;
    let left = limit.saturating_sub(u32::try_from(selected.len()).unwrap_or(limit));
    let of_portal = select(SELECTED_OF_PORTAL, narrowest_of_portal(selection), tenant, selection, now, left);
    selected.extend(
        all(db, "portal_certificates", of_portal, |row| {
            let (serial, holder) = (Serial(row.bytes("serial")?), Holder::Account(row.account()?));
            Ok(Selected { serial, holder, is_present: true, is_replaced: row.flag("is_replaced")? })
        })
        .await?,
    );
    Ok(selected)
}

/// The slots whose device signs in now, and could not without what is meant.
pub(super) async fn cut_off(db: &Pool, tenant: &TenantName, selection: &Selection, now: Timestamp) -> Result<Vec<SlotId>, StoreError> {
    all(db, "certificates", select(CUT_OFF, narrowest(selection), tenant, selection, now, u32::MAX), Columns::slot).await
}

/// The certificates that go with the proof of `by`: condemned, older, in the same slot, and not revoked yet.
pub(super) async fn condemned(db: &Pool, by: &Serial) -> Result<Vec<(Serial, Cause)>, StoreError> {
    let find = "SELECT c.serial, c.condemned_because AS revoked_because FROM certificates AS n
        JOIN certificates AS c ON c.tenant = n.tenant AND c.clinic = n.clinic AND c.home = n.home AND c.device = n.device
            AND c.profile = n.profile AND c.condemned_because IS NOT NULL AND c.revoked_at IS NULL AND c.rowid < n.rowid
        WHERE n.serial = $1 ORDER BY c.rowid";
    all(db, "certificates", query(find).bind(&by.0[..]), |row| Ok((Serial(row.bytes("serial")?), row.cause()?))).await
}

/// Begins a shard, if there is none of that number.
pub(super) async fn begin_shard(db: &mut Db, tenant: &TenantName, issuer: &IssuerName, shard: Shard, url: &str) -> Applied {
    let begin = "INSERT INTO shards (tenant, issuer, shard, url) VALUES ($1, $2, $3, $4)";
    of(begin, tenant, issuer).bind(shard).bind(url.to_owned()).execute(db).await?;
    Ok(())
}

/// Revokes all of these or none.
pub(super) async fn revoke_all(db: &mut Db, serials: &[Serial], at: Timestamp, because: Cause) -> Applied {
    let of_devices = "UPDATE certificates SET revoked_at = $2, revoked_because = $3
        WHERE serial IN (SELECT unhex(value ->> 0) FROM json_each($1)) AND revoked_at IS NULL";
    let of_portal = "UPDATE portal_certificates SET revoked_at = $2, revoked_because = $3
        WHERE serial IN (SELECT unhex(value ->> 0) FROM json_each($1)) AND revoked_at IS NULL AND der IS NOT NULL";
    let mut done = 0;
    for revoke in [of_devices, of_portal] {
        let revoke = query(revoke).bind(listed(serials)).bind(at.unix()).bind(words::cause(because));
        done += revoke.execute(&mut *db).await?;
    }
    let refused = Refusal::Conflict("one of the certificates is not there, or is revoked");
    if done == serials.len() as u64 { Ok(()) } else { Err(refused) }
}

/// Condemns all of these that are not revoked; what they were condemned for before counts no more.
pub(super) async fn condemn(db: &mut Db, serials: &[Serial], because: Cause) -> Applied {
    let condemn = "UPDATE certificates SET condemned_because = $2
        WHERE serial IN (SELECT unhex(value ->> 0) FROM json_each($1)) AND revoked_at IS NULL";
    query(condemn).bind(listed(serials)).bind(words::cause(because)).execute(db).await?;
    Ok(())
}

fn listed(serials: &[Serial]) -> String {
    let serials: Vec<_> = serials.iter().map(|serial| [hex(&serial.0)]).collect();
    serde_json::json!(serials).to_string()
}
