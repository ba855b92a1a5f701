//! Runs of playbooks on record: what is about to be done and to whom, before any host is spoken to, and what came of each. And the keys of
//! hosts that were believed the first time that they were seen.
//!
//! Nothing of this has a table of its own: it is in the audit log, which nobody can change.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use serde_json::json;
use tegata_api::v1::audit::{Record, Stage};
use tegata_api::v1::playbook::{BeginRun, EndRun, HOSTS_MAX, HostState, Mode, TrustKey, TrustedKey};
use tegata_core::name::{DeviceId, ProfileName, Sha256, TenantName};
use tegata_core::policy::{ClinicSsh, DeviceSsh, Tenant};
use tegata_core::time::Timestamp;
use tegata_pki::key::random;
use tegata_ssh::HostKey;
use tokio::sync::Mutex;

use crate::asks::AskError;
use crate::audit::Ledger;
use crate::store::audit::Search;
use crate::store::audit::filter::Filter;
use crate::store::{Batch, NewRecord, Part};

/// What runs of playbooks are recorded under.
const RUNS: &str = "playbooks";
const RUN: &str = "playbook.run";
/// What keys of hosts are recorded under.
const KEYS: &str = "host-keys";
const TRUST: &str = "host-key.trust";
/// More than all hosts of a tenant.
const ALL: u32 = 1_000_000;

/// Who asks, and when.
#[derive(Clone, Copy)]
pub struct By<'a> {
    /// Whose hosts.
    pub tenant: &'a TenantName,
    /// Who.
    pub actor: &'a str,
    /// When.
    pub now: Timestamp,
}

impl By<'_> {
    fn record(&self, stage: Stage, action: &'static str, object: String, details: serde_json::Value) -> Batch {
        let record = NewRecord { tenant: self.tenant.clone(), at: self.now, stage, actor: self.actor.to_owned(), action, object, details };
        Batch { records: vec![record], changes: vec![] }
    }
}

/// Puts on record that a run is about to begin; gives its name.
///
/// Refuses hosts that policy does not know, or does not say how to reach.
pub async fn begin(ledger: &Ledger, by: By<'_>, run: &BeginRun) -> Result<String, AskError> {
    let playbook: ProfileName = run.playbook.parse().map_err(|_| AskError::Malformed("playbook must be a name"))?;
    let sha256: Sha256 = run.sha256.parse().map_err(|_| AskError::Malformed("sha256 must be 64 hexadecimal digits"))?;
    if run.hosts.is_empty() || run.hosts.len() > HOSTS_MAX {
        return Err(AskError::Malformed("a run has between 1 and 10,000 hosts"));
    }
    let policy = ledger.policy(by.tenant).await?;
    for host in &run.hosts {
        host.parse().ok().and_then(|host| reached(&policy, &host)).ok_or(AskError::NotFound("host"))?;
    }
    let name = HEXLOWER.encode(&random::<8>());
    let details = json!({ "mode": run.mode, "sha256": sha256.to_string(), "hosts": run.hosts });
    ledger.record((), by.record(Stage::Intended, RUN, object(&playbook, &name), details)).await?;
    Ok(name)
}

/// Puts on record what came of a run, once.
pub async fn end(ledger: &Ledger, by: By<'_>, run: &str, ended: &EndRun) -> Result<(), AskError> {
    let playbook: ProfileName = ended.playbook.parse().map_err(|_| AskError::NotFound("run"))?;
    let object = object(&playbook, run);
    let _alone = BELIEVING.lock().await;
    let records = about(ledger, by.tenant, object.clone(), RUN).await?;
    let begun = records.iter().find(|record| record.stage == Stage::Intended).ok_or(AskError::NotFound("run"))?;
    if records.iter().any(|record| record.stage == Stage::Done) {
        return Err(AskError::Gone("what came of this run is on record already"));
    }
    let intended: BTreeSet<&str> = begun.details["hosts"].as_array().into_iter().flatten().filter_map(|host| host.as_str()).collect();
    let told: BTreeSet<&str> = ended.hosts.iter().map(|host| host.host.as_str()).collect();
    if told != intended || told.len() != ended.hosts.len() {
        return Err(AskError::Malformed("each host of the run has one result"));
    }
    let looked_only = begun.details["mode"] == json!(Mode::Check);
    if looked_only && ended.hosts.iter().any(|host| host.state == HostState::Changed) {
        return Err(AskError::Malformed("a check changes nothing"));
    }
    ledger.record((), by.record(Stage::Done, RUN, object, json!({ "hosts": ended.hosts }))).await?;
    Ok(())
}

/// The keys that were believed the first time that they were seen.
pub async fn trusted(ledger: &Ledger, tenant: &TenantName) -> Result<Vec<TrustedKey>, AskError> {
    let text = |record: &Record, name: &str| record.details[name].as_str().unwrap_or_default().to_owned();
    let records = about(ledger, tenant, KEYS.into(), TRUST).await?;
    let key = |record: &Record| TrustedKey {
        host: record.object.trim_start_matches(KEYS).trim_start_matches('/').to_owned(),
        key: text(record, "key"),
        fingerprint: text(record, "fingerprint"),
        by: record.actor.clone(),
        at: record.at,
    };
    // The first that was believed of a host, and no other.
    let mut hosts = BTreeSet::new();
    Ok(records.iter().map(key).filter(|key| hosts.insert(key.host.clone())).collect())
}

/// Whoever reads what was believed, to believe something else, is alone: one server works on a database.
static BELIEVING: Mutex<()> = Mutex::const_new(());

/// Believes the key that a host shows, from now on and no other: once, while the clinic's window is open and policy pins none.
pub async fn trust(ledger: &Ledger, by: By<'_>, device: &DeviceId, shown: &TrustKey) -> Result<(), AskError> {
    let policy = ledger.policy(by.tenant).await?;
    let (clinic, ssh) = reached(&policy, device).ok_or(AskError::NotFound("host"))?;
    let key: HostKey = shown.key.parse().map_err(|_| AskError::Malformed("key must be a host key, as known_hosts has it"))?;
    if !ssh.host_keys.is_empty() {
        return Err(AskError::Gone("policy pins the keys of this host, and only those are believed"));
    }
    if !clinic.host_authorities.is_empty() {
        return Err(AskError::Gone("policy names authorities for the hosts of this clinic, and only their certificates are believed"));
    }
    let object = format!("{KEYS}/{device}");
    let _alone = BELIEVING.lock().await;
    match about(ledger, by.tenant, object.clone(), TRUST).await?.first() {
        Some(known) if known.details["key"] == json!(key.to_string()) => return Ok(()),
        Some(_) => return Err(AskError::Gone("another key of this host was believed before; if it was replaced, pin its key in policy")),
        None => {}
    }
    if clinic.first_use_until.is_none_or(|until| by.now >= until) {
        return Err(AskError::Gone("no window is open in which an unknown key is believed (ssh.firstUse of the clinic)"));
    }
    let details = json!({ "key": key.to_string(), "fingerprint": key.fingerprint() });
    ledger.record((), by.record(Stage::Done, TRUST, object, details)).await?;
    Ok(())
}

async fn about(ledger: &Ledger, tenant: &TenantName, object: String, action: &str) -> Result<Vec<Record>, AskError> {
    // A clinic may be called like this too: what is of another kind does not count.
    let filter = Filter { object: Some(object), kinds: [action.to_owned()].into(), ..Filter::default() };
    let search = Search { part: Part::After(0), through: u64::MAX, limit: ALL, filter };
    Ok(ledger.store().search(tenant, &search).await?.into_iter().map(|entry| entry.record).collect())
}

fn object(playbook: &ProfileName, run: &str) -> String {
    format!("{RUNS}/{playbook}@{run}")
}

/// How a device is reached, if policy says so.
fn reached<'a>(policy: &'a Tenant, device: &DeviceId) -> Option<(&'a ClinicSsh, &'a DeviceSsh)> {
    let clinic = policy.clinics.get(&device.clinic)?;
    Some((&clinic.ssh, clinic.devices.get(&device.device)?.ssh.as_ref()?))
}

#[cfg(test)]
mod tests;
