//! Reads how playbooks reach devices.

use std::collections::BTreeMap;

use tegata_core::policy;
use tegata_core::time::Timestamp;

use super::{host_key, plain, set};
use crate::hint::quote;
use crate::v1::policy::{ClinicSsh, DeviceSsh, JumpHost};
use crate::yaml::gather::{At, Gather, Wrong};

/// The usual port.
const PORT: u16 = 22;

pub(super) fn clinic(ssh: &ClinicSsh, at: &At<'_>, gather: &mut Gather<'_>) -> policy::ClinicSsh {
    let user = ssh.user.as_ref().and_then(|user| login(user, &at.key("user"), gather));
    let host_authorities = keys(&ssh.host_authorities, &at.key("hostAuthorities"), gather);
    let jump = ssh.jump.as_ref().and_then(|host| jump(host, !ssh.host_authorities.is_empty(), &at.key("jump"), gather));
    let first_use_until = ssh.first_use.as_ref().and_then(|first| {
        let at = at.key("firstUse");
        gather.take(&at.key("until"), moment(&first.until))
    });
    variables(&ssh.variables, &at.key("variables"), gather);
    policy::ClinicSsh { user, jump, host_authorities, first_use_until, variables: ssh.variables.clone() }
}

fn jump(host: &JumpHost, is_certified: bool, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::JumpHost> {
    let address = plain(&host.address, "a host name or address", &at.key("address"), gather);
    let user = login(&host.user, &at.key("user"), gather);
    let host_keys = keys(&host.host_keys, &at.key("hostKeys"), gather);
    if host.host_keys.is_empty() && !is_certified {
        let hint = "name its hostKeys (ssh-keyscan prints them), or the clinic's ssh.hostAuthorities";
        gather.say_of_key(at, Wrong::new("a machine before others needs a pinned key, or an authority", hint));
    }
    Some(policy::JumpHost { address: address?, port: host.port.unwrap_or(PORT), user: user?, host_keys })
}

pub(super) fn device(ssh: &DeviceSsh, has_user: bool, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::DeviceSsh> {
    let address = plain(&ssh.address, "a host name or address", &at.key("address"), gather);
    let user = ssh.user.as_ref().and_then(|user| login(user, &at.key("user"), gather));
    if ssh.user.is_none() && !has_user {
        gather.say_of_key(at, Wrong::new("it is not said who signs in", "write user here, or in the clinic's ssh"));
    }
    let host_keys = keys(&ssh.host_keys, &at.key("hostKeys"), gather);
    variables(&ssh.variables, &at.key("variables"), gather);
    Some(policy::DeviceSsh { address: address?, port: ssh.port.unwrap_or(PORT), user, host_keys, variables: ssh.variables.clone() })
}

fn keys(list: &[String], at: &At<'_>, gather: &mut Gather<'_>) -> Vec<String> {
    set(list, at, gather, |key, at, gather| gather.take(at, host_key(key)), String::clone).into_iter().collect()
}

/// Names of variables are such that templates can say them, and values such that every system can carry them.
fn variables(variables: &BTreeMap<String, String>, at: &At<'_>, gather: &mut Gather<'_>) {
    for (name, value) in variables {
        let at = at.key(name);
        if !crate::v1::playbook::is_variable(name) {
            let hint = "begin with a letter; letters, digits and '_' may follow, 64 at most";
            gather.say_of_key(&at, Wrong::new(format!("{} is no name of a variable", quote(name)), hint));
        }
        if value.contains('\0') {
            gather.say(&at, Wrong::new("the value holds a NUL, which no program can be given", "delete it"));
        }
    }
}

/// A login name, as Windows and Unix have them. It never becomes part of a command.
fn login(text: &str, at: &At<'_>, gather: &mut Gather<'_>) -> Option<String> {
    plain(text, "a login name", at, gather)
}

pub(super) fn moment(text: &str) -> Result<Timestamp, Wrong> {
    Timestamp::from_rfc3339(text)
        .ok_or_else(|| Wrong::new(format!("{} is not a moment", quote(text)), "write day, time and zone: 2026-12-01T18:00:00+09:00"))
}
