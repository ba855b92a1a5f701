//! Tells the browser which certificate to use for which site, so that nobody sees a chooser; and knows when it has not heard yet.

use std::collections::BTreeSet;

use serde_json::json;
use tegata_api::v1::device::BrowserRule;

use crate::disk::DiskError;
use crate::settings::{KeystoreChoice, Settings};
use crate::state::State;

#[cfg(target_os = "linux")]
mod linux;

/// The browsers of this PC.
pub trait Browser {
    /// Makes the browsers select by these rules; rules of others stay in force. True if that changed anything.
    fn select(&mut self, rules: &BTreeSet<BrowserRule>) -> Result<bool, DiskError>;
    /// Takes note that a certificate has changed: browsers that run now keep the old decision for sites they have visited.
    fn certificates_changed(&mut self) -> Result<(), DiskError>;
    /// True while a browser runs that was already running at the last change.
    fn holds_old(&self) -> Result<bool, DiskError>;
}

/// The browsers of this PC; none if it was enrolled as a PC without one.
#[cfg(target_os = "linux")]
pub fn of_this_pc(state: &State, settings: &Settings) -> Box<dyn Browser> {
    let named = settings.browser_policies.clone().map(|folder| vec![folder]);
    let usual = || if settings.keystore == KeystoreChoice::File { vec![] } else { linux::policy_folders() };
    Box::new(linux::Chromium::new(state, &settings.home, named.unwrap_or_else(usual)))
}

/// One element of `AutoSelectCertificateForUrls`: a text that holds JSON.
pub fn policy_element(rule: &BrowserRule) -> String {
    json!({
        "pattern": rule.pattern,
        "filter": { "ISSUER": { "CN": rule.issuer_common_name }, "SUBJECT": { "O": rule.subject_organization } },
    })
    .to_string()
}
