//! How machines are reached that have no agent yet: for playbooks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How playbooks reach the devices of a clinic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClinicSsh {
    /// The login name on devices that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A machine that stands before the devices. Left out: they are reached directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jump: Option<JumpHost>,
    /// Authorities that say by a host certificate of OpenSSH which machine has which name: their public keys, algorithm and base64. A machine
    /// that has no key of its own pinned is believed by a certificate of theirs for its `address`, and by nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub host_authorities: Vec<String>,
    /// Until when the key of a device that has none pinned is believed the first time. Left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_use: Option<FirstUse>,
    /// What playbooks know as `vars.NAME`, for every device of the clinic. Never a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// A machine that stands before others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JumpHost {
    /// Host name or address.
    pub address: String,
    /// TCP port. Left out: 22.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// The login name.
    pub user: String,
    /// Its keys as in `known_hosts`: algorithm and base64. Any other is refused. Left out: the clinic's `hostAuthorities` speak for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub host_keys: Vec<String>,
}

/// Until when an unknown key is believed the first time that it is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FirstUse {
    /// The moment, such as `2026-12-01T18:00:00+09:00`. A key that was believed stays the one that is expected.
    pub until: String,
}

/// How playbooks reach one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceSsh {
    /// Host name or address.
    pub address: String,
    /// TCP port. Left out: 22.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// The login name. Left out: the clinic's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its keys as in `known_hosts`: algorithm and base64. Any other is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub host_keys: Vec<String>,
    /// What playbooks know as `vars.NAME`, for this device. Never a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}
