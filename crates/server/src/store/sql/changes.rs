//! What each [`Change`] means in SQL. A guard is a `WHERE` or a constraint: if it does not hold, nothing is written.

mod issuance;
mod vendor;

use tegata_api::v1::device::{FileHash, Manifest, Report};
use tegata_core::fleet::Template;
use tegata_core::name::{ClinicId, DeviceId, OrderId, Serial, Sha256, SlotId, TenantName};
use tegata_core::time::Timestamp;

use self::issuance::Gathered;
use super::applications;
use super::db::{Db, Statement, query};
use super::notices;
use super::postgres;
use super::revocation;
use super::rows::{number, state_number};
use crate::store::{AuthorityRow, Change, CodeRow, DeviceRow, OrderRow, OrderState};
use crate::words;

/// Why a change was not applied.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its guard does not hold.
    Conflict(&'static str),
    /// The database failed.
    Broken(sqlx::Error),
}

/// A constraint that is violated is a guard that does not hold; anything else is a failure of the database.
impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error
            .as_database_error()
            .is_some_and(|error| error.is_unique_violation() || error.is_foreign_key_violation() || error.is_check_violation());
        if postgres::is_unkeepable(&error) {
            return Self::Conflict("it holds something that the database cannot keep");
        }
        if constraint { Self::Conflict("there is already one like it") } else { Self::Broken(error) }
    }
}

pub(super) type Applied = Result<(), Refusal>;

/// Applies changes in their order inside the open transaction; what issues certificates is gathered and applied together.
pub(super) async fn apply_all(db: &mut Db, changes: impl Iterator<Item = &Change>) -> Applied {
    let mut gathered = Gathered::default();
    for change in changes {
        if !gathered.takes(change) {
            gathered.apply(db).await?;
            apply(db, change).await?;
        }
    }
    gathered.apply(db).await
}

async fn apply(db: &mut Db, change: &Change) -> Applied {
    match change {
        Change::PutDocument { tenant, kind, name, body, author, at } => put_document(db, tenant, (kind, name), body, author, *at).await,
        Change::DeleteDocument { tenant, kind, name } => delete_document(db, tenant, kind, name).await,
        Change::ExpectPolicy { tenant, revision } => expect_policy(db, tenant, *revision).await,
        Change::ExpectNudges { clinic, nudges } => expect_nudges(db, clinic, *nudges).await,
        Change::Wake { clinic, at } => wake(db, clinic, *at).await,
        Change::Nudge { clinic, at } => nudge(db, clinic, *at).await,
        Change::Rest { clinic, as_of, at } => rest(db, clinic, *as_of, *at).await,
        Change::Release { clinic } => release(db, clinic).await,

        Change::PutCode(code) => put_code(db, code).await,
        Change::SpendTry { handle, now } => spend_try(db, handle, *now).await,
        Change::UseCode { handle, identity } => use_code(db, handle, identity).await,

        Change::PutDevice(device) => put_device(db, device).await,
        Change::Heard { tenant, device, at } => heard(db, tenant, device, *at).await,
        Change::PutReport { tenant, device, report, clock_offset, at } => put_report(db, tenant, device, report, *clock_offset, *at).await,
        Change::RevokeDevice { tenant, device, at } => revoke_device(db, tenant, device, *at).await,
        Change::PutManifest { tenant, device, manifest } => put_manifest(db, tenant, device, manifest).await,
        Change::CountReceipt { tenant, device, number } => count_receipt(db, tenant, device, *number).await,

        Change::OpenOrder(order) => open_order(db, order).await,
        Change::CancelOrder { id, at } => cancel_order(db, id, *at).await,
        Change::PutDraft { id, draft } => issuance::put_drafts(db, &[(id, draft)]).await,
        Change::Fulfil(issued) => issuance::fulfil(db, &[issued]).await,
        Change::TakeIn(taken) => vendor::take_in(db, taken).await,
        Change::PutBundle { order, bundle } => vendor::put_bundle(db, order, bundle).await,
        Change::Confirm { serial, dependant, by, at } => vendor::confirm(db, serial, dependant, by, *at).await,
        Change::Installed { serial, at } => step(db, INSTALLED, serial, *at).await,
        Change::Proven { serial, at } => step(db, PROVEN, serial, *at).await,
        Change::Retiring { serial, at } => step(db, RETIRING, serial, *at).await,
        Change::Retired { serial, at } => step(db, RETIRED, serial, *at).await,
        Change::Revoke { serial, at, because } => revocation::revoke_all(db, &[*serial], *at, *because).await,
        Change::RevokeAll { serials, at, because } => revocation::revoke_all(db, serials, *at, *because).await,
        Change::BeginShard { tenant, issuer, shard, url } => revocation::begin_shard(db, tenant, issuer, *shard, url).await,
        Change::Condemn { serials, because } => revocation::condemn(db, serials, *because).await,
        Change::AskRenewal { tenant, slot } => ask_renewal(db, tenant, slot).await,

        Change::PutInstaller { tenant, file, name, order, at } => put_installer(db, tenant, file, name, order.as_ref(), *at).await,
        Change::RemovingInstaller { tenant, device, sha256 } => removing_installer(db, tenant, device, sha256).await,
        Change::Installer(change) => super::installers::apply(db, change).await,

        Change::RecordApplication(row) => applications::record(db, row).await,
        Change::CloseApplication { tenant, slot, because, at } => applications::close(db, tenant, slot, *because, *at).await,
        Change::KeepPin { tenant, slot, sealed, replace } => applications::keep_pin(db, tenant, slot, sealed, *replace).await,
        Change::SpendPinTry { tenant, slot, file, below } => applications::spend_pin_try(db, tenant, slot, file, *below).await,
        Change::ForgetPinTries { tenant, slot, file } => applications::forget_pin_tries(db, tenant, slot, file).await,

        Change::PutLetter(letter) => notices::put_letter(db, letter).await,
        Change::TryDelivery { id, attempt, next } => notices::try_delivery(db, id, *attempt, *next).await,
        Change::EndTry { id, outcome, at } => notices::end_try(db, id, outcome, *at).await,
        Change::UseWebhookKey { clinic, url, key } => notices::use_webhook_key(db, clinic, url, *key).await,

        Change::PutAuthority(authority) => put_authority(db, authority).await,
        Change::Token(change) => super::access::apply(db, change).await,
        Change::Session(change) => super::sessions::apply(db, change).await,
        Change::Approval(change) => super::approvals::apply(db, change).await,

        Change::Portal(change) => super::portal::apply(db, change).await,
        Change::Backup(change) => super::backups::apply(db, change).await,
        Change::GrowLog(grown) => super::log::grow(db, grown).await,
        Change::Witness(asked) => super::log::witness(db, asked).await,
        Change::LogAlarm(alarm) => super::log::alarm(db, alarm).await,
        Change::Index(indexed) => super::index::grow(db, indexed).await,
        Change::Erase(erase) => super::personal::erase(db, erase).await,
        Change::Export(exported) => super::telemetry::export(db, exported).await,
        Change::Recovery(change) => super::recovery::apply(db, change).await,
    }
}

/// Takes the statement's effect, or refuses if it had none.
pub(super) fn guard(done: u64, broken: &'static str) -> Applied {
    if done > 0 { Ok(()) } else { Err(Refusal::Conflict(broken)) }
}

pub(super) fn of_device(sql: &'static str, tenant: &TenantName, device: &DeviceId) -> Statement {
    query(sql).bind(tenant.as_str()).bind(device.clinic.as_str()).bind(device.device.as_str())
}

fn of_clinic(sql: &'static str, clinic: &ClinicId) -> Statement {
    query(sql).bind(clinic.tenant.as_str()).bind(clinic.clinic.as_str())
}

pub(super) fn bind_slot(statement: Statement, tenant: &TenantName, slot: &SlotId) -> Statement {
    let statement = statement.bind(tenant.as_str()).bind(slot.clinic.as_str()).bind(slot.device.clinic.as_str());
    statement.bind(slot.device.device.as_str()).bind(slot.profile.as_str())
}

fn bind_template(statement: Statement, template: &Template) -> Statement {
    let statement = statement.bind(template.issuer.as_str()).bind(&template.common_name[..]).bind(&template.organization[..]);
    statement.bind(words::key(template.key)).bind(number(template.validity.as_secs()))
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("wire types are plain data with text keys")
}

async fn put_document(
    db: &mut Db,
    tenant: &TenantName,
    (kind, name): (&str, &str),
    body: &serde_json::Value,
    author: &str,
    at: Timestamp,
) -> Applied {
    let put = "INSERT INTO tenants (tenant, policy_revision) VALUES ($1, 1)
            ON CONFLICT (tenant) DO UPDATE SET policy_revision = tenants.policy_revision + 1;
        INSERT INTO documents (tenant, kind, name, revision, body, author, applied_at) VALUES ($1, $2, $3, 1, $4, $5, $6)
            ON CONFLICT (tenant, kind, name) DO UPDATE SET revision = documents.revision + 1, body = $4, author = $5, applied_at = $6";
    let put = query(put).bind(tenant.as_str()).bind(kind).bind(name).bind(json(body)).bind(author);
    put.bind(at.unix()).execute(db).await?;
    Ok(())
}

async fn delete_document(db: &mut Db, tenant: &TenantName, kind: &str, name: &str) -> Applied {
    let delete = "UPDATE tenants SET policy_revision = policy_revision + 1 WHERE tenant = $1;
        DELETE FROM documents WHERE tenant = $1 AND kind = $2 AND name = $3";
    query(delete).bind(tenant.as_str()).bind(kind).bind(name).execute(db).await?;
    Ok(())
}

async fn expect_policy(db: &mut Db, tenant: &TenantName, revision: u64) -> Applied {
    let find = "SELECT 1 WHERE coalesce((SELECT policy_revision FROM tenants WHERE tenant = $1), 0) = $2";
    let found = query(find).bind(tenant.as_str()).bind(number(revision)).fetch_optional(db).await?;
    found.map(|_| ()).ok_or(Refusal::Conflict("the policy was changed by somebody else"))
}

async fn expect_nudges(db: &mut Db, clinic: &ClinicId, nudges: u64) -> Applied {
    let find = "SELECT 1 WHERE coalesce((SELECT nudges FROM clinics WHERE tenant = $1 AND clinic = $2), 0) = $3";
    let found = of_clinic(find, clinic).bind(number(nudges)).fetch_optional(db).await?;
    found.map(|_| ()).ok_or(Refusal::Conflict("something has changed for the clinic"))
}

async fn wake(db: &mut Db, clinic: &ClinicId, at: Option<Timestamp>) -> Applied {
    let wake = "INSERT INTO clinics (tenant, clinic, wake_at) VALUES ($1, $2, $3)
        ON CONFLICT (tenant, clinic) DO UPDATE SET wake_at = $3, claimed_until = NULL";
    of_clinic(wake, clinic).bind(at.map(Timestamp::unix)).execute(db).await?;
    Ok(())
}

pub(super) async fn nudge(db: &mut Db, clinic: &ClinicId, at: Timestamp) -> Applied {
    let nudge = "INSERT INTO clinics (tenant, clinic, wake_at, nudges) VALUES ($1, $2, $3, 1)
        ON CONFLICT (tenant, clinic) DO UPDATE SET wake_at = min(coalesce(clinics.wake_at, $3), $3), nudges = clinics.nudges + 1";
    of_clinic(nudge, clinic).bind(at.unix()).execute(db).await?;
    Ok(())
}

async fn rest(db: &mut Db, clinic: &ClinicId, as_of: u64, at: Option<Timestamp>) -> Applied {
    let rest = "UPDATE clinics SET wake_at = CASE WHEN nudges = $4 THEN $3 ELSE min(coalesce(wake_at, $3), coalesce($3, wake_at)) END,
            claimed_until = NULL
        WHERE tenant = $1 AND clinic = $2";
    of_clinic(rest, clinic).bind(at.map(Timestamp::unix)).bind(number(as_of)).execute(db).await?;
    Ok(())
}

async fn release(db: &mut Db, clinic: &ClinicId) -> Applied {
    of_clinic("UPDATE clinics SET claimed_until = NULL WHERE tenant = $1 AND clinic = $2", clinic).execute(db).await?;
    Ok(())
}

async fn put_code(db: &mut Db, code: &CodeRow) -> Applied {
    let put = "DELETE FROM codes WHERE tenant = $1 AND home = $2 AND device = $3;
        INSERT INTO codes (tenant, home, device, handle, digest, tries_left, expires_at, used_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let put = of_device(put, &code.tenant, &code.device).bind(&code.handle[..]).bind(&code.digest.0[..]).bind(code.tries_left);
    put.bind(code.expires_at.unix()).bind(code.used_by.map(|key| key.0.to_vec())).execute(db).await?;
    Ok(())
}

async fn spend_try(db: &mut Db, handle: &str, now: Timestamp) -> Applied {
    let spend = "UPDATE codes SET tries_left = tries_left - 1
        WHERE handle = $1 AND tries_left > 0 AND used_by IS NULL AND expires_at > $2";
    guard(query(spend).bind(handle).bind(now.unix()).execute(db).await?, "the code is not to be tried any more")
}

async fn use_code(db: &mut Db, handle: &str, identity: &Sha256) -> Applied {
    let take = "UPDATE codes SET used_by = $2 WHERE handle = $1 AND (used_by IS NULL OR used_by = $2)";
    guard(query(take).bind(handle).bind(&identity.0[..]).execute(db).await?, "the code was used by another key")
}

async fn put_device(db: &mut Db, row: &DeviceRow) -> Applied {
    let put = "INSERT INTO devices (tenant, home, device, identity, public_key, enrolled_at, last_seen, clock_offset, revoked_at,
            facts, report, generation, manifest, receipts)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (tenant, home, device) DO UPDATE SET identity = $4, public_key = $5, enrolled_at = $6, last_seen = $7,
            clock_offset = $8, revoked_at = $9, facts = $10, report = $11, receipts = $14";
    let put = of_device(put, &row.tenant, &row.device).bind(&row.identity.0[..]).bind(&row.public_key[..]);
    let put = put.bind(row.enrolled_at.unix()).bind(row.last_seen.unix()).bind(row.clock_offset).bind(row.revoked_at.map(Timestamp::unix));
    let put = put.bind(json(&row.facts)).bind(json(&row.report)).bind(number(row.manifest.generation)).bind(json(&row.manifest));
    put.bind(number(row.receipts)).execute(db).await?;
    Ok(())
}

async fn heard(db: &mut Db, tenant: &TenantName, device: &DeviceId, at: Timestamp) -> Applied {
    let heard = "UPDATE devices SET last_seen = max(last_seen, $4) WHERE tenant = $1 AND home = $2 AND device = $3";
    guard(of_device(heard, tenant, device).bind(at.unix()).execute(db).await?, "there is no such device")
}

async fn put_report(db: &mut Db, tenant: &TenantName, device: &DeviceId, report: &Report, clock_offset: i64, at: Timestamp) -> Applied {
    let put = "UPDATE devices SET report = $4, facts = $5, clock_offset = $6, last_seen = max(last_seen, $7)
        WHERE tenant = $1 AND home = $2 AND device = $3";
    let put = of_device(put, tenant, device).bind(json(report)).bind(json(&report.facts)).bind(clock_offset).bind(at.unix());
    guard(put.execute(&mut *db).await?, "there is no such device")?;
    // A file that is not there any more needs no removal; one that came back is seen anew.
    let seen: Vec<_> = report.installers.iter().map(|seen| [&seen.file.sha256]).collect();
    let keep = "DELETE FROM installers_seen WHERE tenant = $1 AND home = $2 AND device = $3
            AND sha256 NOT IN (SELECT unhex(value ->> 0) FROM json_each($4) WHERE unhex(value ->> 0) IS NOT NULL);
        INSERT INTO installers_seen (tenant, home, device, sha256)
            SELECT $1, $2, $3, unhex(value ->> 0) FROM json_each($4) WHERE length(unhex(value ->> 0)) = 32
            ON CONFLICT (tenant, home, device, sha256) DO NOTHING";
    of_device(keep, tenant, device).bind(json(&seen)).execute(db).await?;
    Ok(())
}

async fn revoke_device(db: &mut Db, tenant: &TenantName, device: &DeviceId, at: Timestamp) -> Applied {
    let revoke = "UPDATE devices SET revoked_at = $4 WHERE tenant = $1 AND home = $2 AND device = $3 AND revoked_at IS NULL";
    guard(of_device(revoke, tenant, device).bind(at.unix()).execute(&mut *db).await?, "there is no such device, or it is revoked")?;
    let forget = "DELETE FROM codes WHERE tenant = $1 AND home = $2 AND device = $3";
    of_device(forget, tenant, device).execute(db).await?;
    Ok(())
}

async fn put_manifest(db: &mut Db, tenant: &TenantName, device: &DeviceId, manifest: &Manifest) -> Applied {
    let put = "UPDATE devices SET manifest = $4, generation = $5 WHERE tenant = $1 AND home = $2 AND device = $3 AND generation = $5 - 1";
    let put = of_device(put, tenant, device).bind(json(manifest)).bind(number(manifest.generation));
    guard(put.execute(db).await?, "the manifest's generation is not the next one")
}

async fn count_receipt(db: &mut Db, tenant: &TenantName, device: &DeviceId, receipt: u64) -> Applied {
    let count = "UPDATE devices SET receipts = $4 WHERE tenant = $1 AND home = $2 AND device = $3 AND receipts = $4 - 1";
    guard(of_device(count, tenant, device).bind(number(receipt)).execute(db).await?, "the receipt's number is not the next one")
}

async fn open_order(db: &mut Db, order: &OrderRow) -> Applied {
    let clear = "DELETE FROM renewals_asked WHERE tenant = $1 AND clinic = $2 AND home = $3 AND device = $4 AND profile = $5";
    bind_slot(query(clear), &order.tenant, &order.slot).execute(&mut *db).await?;
    let open = "INSERT INTO orders (tenant, clinic, home, device, profile, issuer, common_name, organization, key, validity,
            id, account, because, replaces, opened_at, state, draft_serial, draft_key, draft_tbs, draft_shard, found)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";
    let open = bind_template(bind_slot(query(open), &order.tenant, &order.slot), &order.template);
    let open = open.bind(&order.id.0[..]).bind(order.account.as_ref().map(|name| name.as_str())).bind(words::reason(order.because));
    let replaces: Vec<u8> = order.replaces.iter().flat_map(|serial| serial.0).collect();
    let open = open.bind(replaces).bind(order.opened_at.unix()).bind(state_number(order.state));
    let draft = order.draft.as_ref();
    let open = open.bind(draft.map(|draft| draft.serial.0.to_vec())).bind(draft.map(|draft| draft.public_key.0.to_vec()));
    let open = open.bind(draft.map(|draft| &draft.tbs[..])).bind(draft.map_or(0, |draft| draft.shard));
    open.bind(order.found.map(|found| found.0.to_vec())).execute(db).await?;
    Ok(())
}

async fn cancel_order(db: &mut Db, id: &OrderId, at: Timestamp) -> Applied {
    let cancel = "UPDATE orders SET state = $2, closed_at = $3 WHERE id = $1 AND state = 0";
    let cancel = query(cancel).bind(&id.0[..]).bind(state_number(OrderState::Cancelled)).bind(at.unix());
    guard(cancel.execute(db).await?, "the order is not open")
}

const INSTALLED: &str = "UPDATE certificates SET installed_at = coalesce(installed_at, $2) WHERE serial = $1";
/// What answered over a real handshake was installed, whether or not that was heard.
const PROVEN: &str =
    "UPDATE certificates SET proven_at = coalesce(proven_at, $2), installed_at = coalesce(installed_at, $2) WHERE serial = $1";
const RETIRING: &str = "UPDATE certificates SET retiring_at = coalesce(retiring_at, $2) WHERE serial = $1";
const RETIRED: &str = "UPDATE certificates SET retired_at = coalesce(retired_at, $2) WHERE serial = $1";

async fn step(db: &mut Db, sql: &'static str, serial: &Serial, at: Timestamp) -> Applied {
    guard(query(sql).bind(&serial.0[..]).bind(at.unix()).execute(db).await?, "there is no such certificate")
}

async fn ask_renewal(db: &mut Db, tenant: &TenantName, slot: &SlotId) -> Applied {
    let ask = "INSERT INTO renewals_asked (tenant, clinic, home, device, profile) SELECT $1, $2, $3, $4, $5
        WHERE NOT EXISTS (SELECT 1 FROM orders
            WHERE tenant = $1 AND clinic = $2 AND home = $3 AND device = $4 AND profile = $5 AND state = 0)
        ON CONFLICT (tenant, clinic, home, device, profile) DO NOTHING";
    bind_slot(query(ask), tenant, slot).execute(db).await?;
    Ok(())
}

async fn put_installer(db: &mut Db, tenant: &TenantName, file: &FileHash, name: &str, order: Option<&OrderId>, at: Timestamp) -> Applied {
    let Ok(sha256) = file.sha256.parse::<Sha256>() else { return Err(Refusal::Conflict("a file is known by 64 hexadecimal digits")) };
    let put = "INSERT INTO installers (tenant, sha256, size, name, recorded_at, order_id) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant, sha256) DO UPDATE SET size = $3, name = $4, order_id = coalesce($6, installers.order_id)";
    let put = query(put).bind(tenant.as_str()).bind(&sha256.0[..]).bind(number(file.size)).bind(name);
    put.bind(at.unix()).bind(order.map(|order| order.0.to_vec())).execute(db).await?;
    Ok(())
}

async fn removing_installer(db: &mut Db, tenant: &TenantName, device: &DeviceId, sha256: &Sha256) -> Applied {
    let order = "INSERT INTO installers_seen (tenant, home, device, sha256, removing) VALUES ($1, $2, $3, $4, 1)
        ON CONFLICT (tenant, home, device, sha256) DO UPDATE SET removing = 1";
    of_device(order, tenant, device).bind(&sha256.0[..]).execute(db).await?;
    Ok(())
}

async fn put_authority(db: &mut Db, row: &AuthorityRow) -> Applied {
    let put = "INSERT INTO authorities (tenant, name, certificate, sealed_key) VALUES ($1, $2, $3, $4)";
    let put = query(put).bind(row.tenant.as_ref().map_or("", |name| name.as_str())).bind(&row.name[..]);
    put.bind(&row.certificate[..]).bind(&row.sealed_key[..]).execute(db).await?;
    Ok(())
}
