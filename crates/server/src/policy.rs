//! The policy documents that are in force: loading, previewing and applying them.

mod access;
mod accounts;
mod difference;
mod issuers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::fleet::{ApplyRequest, Documents, Preview};
use tegata_api::v1::policy::Kind;
use tegata_api::v1::problem::Finding;
use tegata_api::yaml::{self, Document, Loaded};
use tegata_core::name::{ClinicId, SlotId, TenantName};
use tegata_core::plan::{locked_out, plan};
use tegata_core::policy::Tenant;
use tegata_core::time::Timestamp;
use tegata_pki::key::sha256;

use self::difference::{Affected, Edit};
use crate::approvals::{self, Act, ApprovalError};
use crate::audit::Ledger;
use crate::bells::Bells;
use crate::store::approvals::What;
use crate::store::{Batch, Change, DocumentRow, NewRecord, Store, StoreError, audit};
use crate::turn::observe;
use crate::words;

/// Why a tenant's policy cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored was acceptable once and is not any more. Applying corrected documents heals it.
    #[error("the stored policy of tenant {tenant} is not acceptable any more ({} findings)", findings.len())]
    Stored {
        /// Whose.
        tenant: TenantName,
        /// What is wrong.
        findings: Vec<Finding>,
    },
}

/// Why documents were not applied. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Something is wrong with them: everything that was found.
    #[error("the documents have {} errors", .0.len())]
    Invalid(Vec<Finding>),
    /// Devices could no longer sign in, more of them than the caller allowed.
    #[error("{} devices could no longer sign in", .0.locked_out.len())]
    WouldLockOut(Preview),
    /// Accounts have no place for all that is asked for under them, for more of it than the caller allowed.
    #[error("{} slots find no place under the quota of their account", .0.over_quota.len())]
    OverQuota(Preview),
    /// Somebody else has to agree first.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// The database failed, or somebody else applied documents at the same moment.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The policy of every tenant that was asked for, remembered for as long as no document of it changes.
#[derive(Clone, Default)]
pub struct Policies(Arc<Mutex<Known>>);

/// Each tenant's policy, and the revision of the documents that it was read from.
type Known = HashMap<TenantName, (u64, Arc<Tenant>)>;

impl Policies {
    /// The policy of one tenant as it is now.
    pub async fn at(&self, store: &dyn Store, name: &TenantName) -> Result<Arc<Tenant>, PolicyError> {
        let revision = store.policy_revision(name).await?;
        if let Some((_, known)) = self.known().get(name).filter(|(known, _)| *known == revision) {
            return Ok(known.clone());
        }
        // Read after the revision was: documents that changed in between are newer than the number kept here, so the next call reads again.
        let policy = Arc::new(tenant(store, name).await?);
        self.known().insert(name.clone(), (revision, policy.clone()));
        Ok(policy)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that a tenant declared, put together from the stored documents. [`Ledger::policy`] is the same, remembered.
pub async fn tenant(store: &dyn Store, name: &TenantName) -> Result<Tenant, PolicyError> {
    let rows = store.documents(name).await?;
    assemble(name, &rows).map_err(|findings| PolicyError::Stored { tenant: name.clone(), findings })
}

/// What applying these documents would do.
pub async fn preview(ledger: &Ledger, tenant: &TenantName, documents: &Documents, now: Timestamp) -> Result<Preview, ApplyError> {
    Ok(foresee(ledger, tenant, documents, now).await?.preview)
}

/// Applies documents, all or none.
///
/// Refuses if more devices could no longer sign in than the request allows, if more slots find no place under a quota, and if other
/// documents were applied meanwhile.
pub async fn apply(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    request: &ApplyRequest,
    author: &str,
    now: Timestamp,
) -> Result<Preview, ApplyError> {
    apply_within(ledger, bells, tenant, request, (author, None), now).await
}

/// The same for somebody who may reach at most `alone` devices without somebody else's word, and changes nobody's access without it.
pub async fn apply_within(
    ledger: &Ledger,
    bells: &Bells,
    tenant: &TenantName,
    request: &ApplyRequest,
    (author, alone): (&str, Option<u32>),
    now: Timestamp,
) -> Result<Preview, ApplyError> {
    let foreseen = foresee(ledger, tenant, &request.documents, now).await?;
    if foreseen.preview.locked_out.len() > usize::try_from(request.allow_lockout).unwrap_or(usize::MAX) {
        return Err(ApplyError::WouldLockOut(foreseen.preview));
    }
    if foreseen.preview.over_quota.len() > usize::try_from(request.allow_over_quota).unwrap_or(usize::MAX) {
        return Err(ApplyError::OverQuota(foreseen.preview));
    }
    if foreseen.edits.is_empty() {
        return Ok(foreseen.preview);
    }
    let mut batch = batch(tenant, &foreseen, author, now);
    if let Some(devices) = alone.and_then(|alone| beyond(&foreseen, alone)) {
        let object = sha256(json!([foreseen.revision, request]).to_string().as_bytes()).to_string();
        let act = Act { tenant, what: What::Apply, object: &object, devices };
        let release = approvals::expect(ledger, act, (author, now)).await?;
        batch.records.splice(0..0, release.records);
        batch.changes.extend(release.changes);
    }
    ledger.record((), batch).await?;
    bells.ring_turn();
    Ok(foreseen.preview)
}

/// How many devices documents reach, if that is more than somebody may reach alone, or if they say who may do what.
fn beyond(foreseen: &Foreseen, alone: u32) -> Option<u64> {
    let device = |object: &str| match object.parse::<SlotId>() {
        Ok(slot) => slot.device.to_string(),
        Err(_) => object.to_owned(),
    };
    let acted_on = foreseen.preview.actions.iter().filter(|action| action.action != "hold").map(|action| device(&action.object));
    let devices: BTreeSet<String> = acted_on.chain(foreseen.preview.locked_out.iter().cloned()).collect();
    let changes_access = foreseen.edits.iter().any(|edit| edit.change.kind == Kind::AccessBinding.as_str());
    let reached = devices.len() as u64;
    (changes_access || reached > u64::from(alone)).then_some(reached)
}

/// What would be, were documents applied.
struct Foreseen {
    /// The revision of the policy that this was compared with.
    revision: u64,
    edits: Vec<Edit>,
    affected: Vec<Affected>,
    preview: Preview,
}

async fn foresee(ledger: &Ledger, tenant: &TenantName, documents: &Documents, now: Timestamp) -> Result<Foreseen, ApplyError> {
    let store = ledger.store();
    let revision = store.policy_revision(tenant).await?;
    let rows = store.documents(tenant).await?;
    let stored = if documents.prune { vec![] } else { stored(&rows).map_err(ApplyError::Invalid)? };
    let checked = yaml::check(&documents.files, tenant, &stored).map_err(ApplyError::Invalid)?;
    let edits = difference::edits(&rows, &checked.documents, documents.prune);
    // A stored policy that is not acceptable any more is not in force: nothing is planned by it until it is corrected.
    let before = assemble(tenant, &rows).unwrap_or_else(|_| nothing_declared(tenant));
    let affected = difference::affected(&before, &checked.tenant);
    let mut findings = issuers::misnamed(store, &checked).await?;
    findings.extend(issuers::missed(store, tenant, &edits, &affected, now).await?);
    findings.extend(access::last_admin(&before, &checked));
    if !findings.is_empty() {
        return Err(ApplyError::Invalid(findings));
    }
    let mut preview = Preview { documents: edits.iter().map(|edit| edit.change.clone()).collect(), ..Preview::default() };
    for clinic in &affected {
        compare(store, &checked.tenant, clinic, now, &mut preview).await?;
    }
    Ok(Foreseen { revision, edits, affected, preview })
}

/// Plans one clinic before and after, and keeps the difference.
async fn compare(store: &dyn Store, policy: &Tenant, affected: &Affected, now: Timestamp, preview: &mut Preview) -> Result<(), StoreError> {
    let id = ClinicId { tenant: policy.name.clone(), clinic: affected.clinic.clone() };
    let (_, observed) = observe::observe(store, policy, &id, &[&affected.before, &affected.after], now).await?;
    let before = plan(&affected.before, &observed, now);
    let after = plan(&affected.after, &observed, now);
    let known: BTreeSet<_> = before.actions.into_iter().collect();
    let new = after.actions.iter().filter(|action| !known.contains(action));
    preview.actions.extend(new.map(|action| words::action(&affected.clinic, action)));
    let locked_out = locked_out(&affected.before, &affected.after, &observed, now);
    for device in locked_out.iter().map(ToString::to_string) {
        if !preview.locked_out.contains(&device) {
            preview.locked_out.push(device);
        }
    }
    accounts::compare(affected, &observed, now, preview);
    Ok(())
}

fn batch(tenant: &TenantName, foreseen: &Foreseen, author: &str, now: Timestamp) -> Batch {
    let expect = Change::ExpectPolicy { tenant: tenant.clone(), revision: foreseen.revision };
    let mut batch = Batch { records: vec![], changes: vec![expect] };
    for Edit { change, body, revision } in &foreseen.edits {
        let (kind, name) = (change.kind.clone(), change.name.clone());
        batch.records.push(NewRecord {
            tenant: tenant.clone(),
            at: now,
            stage: Stage::Done,
            actor: author.to_owned(),
            action: "policy.apply",
            object: format!("{kind}/{name}"),
            details: json!({ "change": change.change, "paths": change.paths, "revision": revision, "document": body.as_ref().map(without_mail) }),
        });
        batch.changes.push(match body.clone() {
            Some(body) => Change::PutDocument { tenant: tenant.clone(), kind, name, body, author: author.to_owned(), at: now },
            None => Change::DeleteDocument { tenant: tenant.clone(), kind, name },
        });
    }
    let clinics = foreseen.affected.iter().map(|affected| ClinicId { tenant: tenant.clone(), clinic: affected.clinic.clone() });
    batch.changes.extend(clinics.map(|clinic| Change::Nudge { clinic, at: now }));
    batch
}

/// A document as the log has it: names are the tenant's own, addresses are of people.
fn without_mail(body: &Value) -> Value {
    fn hide(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (&**name, &mut *value) {
                        ("mail", mail @ Value::String(_)) => audit::personal::wrap(mail),
                        ("contacts", Value::Array(contacts)) => contacts.iter_mut().for_each(audit::personal::wrap),
                        _ => hide(value),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(hide),
            _ => {}
        }
    }
    let mut hidden = body.clone();
    hide(&mut hidden);
    hidden
}

fn stored(rows: &[DocumentRow]) -> Result<Vec<Document>, Vec<Finding>> {
    let mut findings = Vec::new();
    let documents = rows.iter().filter_map(|row| Document::stored(row.body.clone()).map_err(|finding| findings.push(finding)).ok());
    let documents = documents.collect();
    if findings.is_empty() { Ok(documents) } else { Err(findings) }
}

fn assemble(tenant: &TenantName, rows: &[DocumentRow]) -> Result<Tenant, Vec<Finding>> {
    yaml::assemble(tenant, &Loaded { documents: stored(rows)? })
}

fn nothing_declared(name: &TenantName) -> Tenant {
    Tenant {
        name: name.clone(),
        clinics: BTreeMap::new(),
        profiles: BTreeMap::new(),
        issuers: BTreeMap::new(),
        targets: BTreeMap::new(),
        bindings: BTreeMap::new(),
    }
}
