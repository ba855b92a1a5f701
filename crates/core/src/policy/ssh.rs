//! How playbooks reach devices.

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// How playbooks reach the devices of a clinic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClinicSsh {
    /// The login name on devices that name none.
    pub user: Option<String>,
    /// A machine that stands before the devices.
    pub jump: Option<JumpHost>,
    /// Keys of authorities, `algorithm base64`: a machine that has no key of its own pinned shows a certificate of one of them.
    pub host_authorities: Vec<String>,
    /// Until when the key of a device that has none pinned is believed the first time. None: never.
    pub first_use_until: Option<Timestamp>,
    /// What playbooks know of every device.
    pub variables: BTreeMap<String, String>,
}

/// A machine that stands before others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpHost {
    /// Host name or address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// The login name.
    pub user: String,
    /// Its keys, `algorithm base64`. None: the clinic's authorities speak for it.
    pub host_keys: Vec<String>,
}

/// How playbooks reach one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSsh {
    /// Host name or address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// The login name; `None`: the clinic's.
    pub user: Option<String>,
    /// Its keys, `algorithm base64`. None: the clinic's authorities speak for it, or it is believed the first time, within its window.
    pub host_keys: Vec<String>,
    /// What playbooks know of it.
    pub variables: BTreeMap<String, String>,
}
