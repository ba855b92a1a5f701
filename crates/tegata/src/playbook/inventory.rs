//! The hosts: straight from the documents in force, with the keys that were believed before.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use tegata_api::v1::fleet::DocumentInForce;
use tegata_api::v1::playbook::TrustedKey;
use tegata_api::yaml::{self, Document, Loaded};
use tegata_core::name::DeviceId;
use tegata_core::policy::Platform;
use tegata_playbook::Host;
use tegata_ssh::HostKey;

use crate::documents;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

/// Only hosts with this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    key: String,
    value: String,
}

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').unwrap_or_default();
        let is_key = matches!(key, "clinic" | "device" | "platform") || key.strip_prefix("label.").is_some_and(|label| !label.is_empty());
        if is_key && !value.is_empty() {
            Ok(Self { key: key.to_owned(), value: value.to_owned() })
        } else {
            Err("write clinic=NAME, device=CLINIC/DEVICE, platform=NAME or label.KEY=VALUE")
        }
    }
}

impl Limit {
    fn holds(&self, host: &Host) -> bool {
        let platform = match host.platform {
            Platform::Windows => "windows",
            Platform::Macos => "macos",
            Platform::Linux => "linux",
        };
        match &*self.key {
            "clinic" => host.id.clinic.as_str() == self.value,
            "device" => host.name() == self.value,
            "platform" => platform == self.value,
            key => key.strip_prefix("label.").is_some_and(|label| host.labels.get(label).is_some_and(|value| *value == self.value)),
        }
    }
}

/// Every host of the tenant.
pub async fn hosts(session: &Session) -> Result<Vec<Host>, Failure> {
    let documents: Vec<DocumentInForce> = session.get("documents").await?;
    let documents = documents.into_iter().map(|document| Document::stored(document.document));
    let documents = documents.collect::<Result<_, _>>().map_err(|finding| documents::wrong(&[finding], &[]))?;
    let tenant = yaml::assemble(session.tenant(), &Loaded { documents }).map_err(|findings| documents::wrong(&findings, &[]))?;
    let trusted: Vec<TrustedKey> = session.get("playbooks/host-keys").await?;
    let known = trusted.iter().filter_map(|known| Some((known.host.parse::<DeviceId>().ok()?, known.key.parse::<HostKey>().ok()?)));
    Ok(tegata_playbook::hosts(&tenant, &known.collect::<BTreeMap<_, _>>(), output::now()))
}

/// The hosts that are meant. Of each key, one of the values has to fit; a value that fits no host is a mistake.
pub fn narrowed(hosts: Vec<Host>, limits: &[Limit]) -> Result<Vec<Host>, Failure> {
    if let Some(limit) = limits.iter().find(|limit| !hosts.iter().any(|host| limit.holds(host))) {
        return Err(Failure::LimitFitsNothing { limit: format!("{}={}", limit.key, limit.value) });
    }
    let keys: BTreeSet<&str> = limits.iter().map(|limit| limit.key.as_str()).collect();
    let fits = |host: &Host| keys.iter().all(|key| limits.iter().any(|limit| limit.key == *key && limit.holds(host)));
    Ok(hosts.into_iter().filter(fits).collect())
}
