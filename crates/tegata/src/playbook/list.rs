//! Playbooks and hosts as tables.

use serde_json::json;
use tegata_playbook::{Host, Pins, Playbook};
use tegata_ssh::{HostKey, Identity};

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::table::Table;

/// Lists playbooks.
pub fn playbooks(global: &Global, playbooks: &[Playbook]) -> Result<Exit, Failure> {
    let told = |playbook: &Playbook| {
        let spec = playbook.spec();
        json!({
            "name": playbook.name(), "description": spec.description, "platforms": spec.platforms, "variables": spec.variables,
            "tasks": spec.tasks.iter().map(|task| &task.name).collect::<Vec<_>>(),
        })
    };
    let all: Vec<_> = playbooks.iter().map(told).collect();
    output::show(global, &all, |look| {
        let mut table = Table::new(look, ["NAME", "TASKS", "NEEDS", "WHAT IT DOES"]);
        for playbook in playbooks {
            let spec = playbook.spec();
            let needs = spec.variables.iter().filter(|(_, variable)| variable.default.is_none()).map(|(name, _)| name.as_str());
            let (needs, tasks) = (needs.collect::<Vec<_>>().join(", "), spec.tasks.len().to_string());
            table.row([playbook.name().into(), tasks.into(), needs.into(), spec.description.clone().into()]);
        }
        table.or("No playbooks.")
    })?;
    Ok(Exit::Fine)
}

/// Lists hosts.
pub fn hosts(global: &Global, hosts: &[Host]) -> Result<Exit, Failure> {
    let known = |host: &Host| match &host.pins {
        Pins::Known(Identity::Keys(keys)) => fingerprints(keys),
        Pins::Known(Identity::Authorities(keys)) => format!("a certificate by {}", fingerprints(keys)),
        Pins::FirstUse(until) => format!("not yet; believed until {until}"),
        Pins::Unknown => "no key, and none is believed".into(),
    };
    let told = |host: &Host| json!({ "host": host.name(), "address": host.address.to_string(), "user": host.user, "knownBy": known(host) });
    let all: Vec<_> = hosts.iter().map(told).collect();
    output::show(global, &all, |look| {
        let mut table = Table::new(look, ["HOST", "ADDRESS", "USER", "KNOWN BY"]);
        for host in hosts {
            table.row([host.name().into(), host.address.to_string().into(), host.user.clone().into(), known(host).into()]);
        }
        table.or("Policy says of no device how it is reached (devices: ssh).")
    })?;
    Ok(Exit::Fine)
}

fn fingerprints(keys: &[HostKey]) -> String {
    keys.iter().map(HostKey::fingerprint).collect::<Vec<_>>().join(", ")
}
