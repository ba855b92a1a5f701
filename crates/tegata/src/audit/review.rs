//! What an auditor would stop at, read out of records alone: whoever has them can count again.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;
use tegata_api::v1::audit::{Record, Stage};

/// What a record has said that would be done, and which record says that it was, or that it will not be.
struct Promise {
    intended: &'static str,
    /// What tells one from another.
    by: By,
    /// Any of these ends it, once it is *done* or *seen*.
    ended_by: &'static [&'static str],
    /// How long it may take, in seconds, before somebody should look at it.
    within: i64,
}

/// What two records have in common that belong together.
#[derive(Clone, Copy)]
enum By {
    /// Their object.
    Object,
    /// Details of these names, whatever the object is.
    Details(&'static [&'static str]),
    /// The certificate: records of the server name its serial number, receipts its fingerprint.
    Certificate,
    /// The object, and the contents of a file.
    File,
}

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;

const fn promise(intended: &'static str, by: By, ended_by: &'static [&'static str], within: i64) -> Promise {
    Promise { intended, by, ended_by, within }
}

/// Every intent that has an outcome of its own. What a device or a person has to do may take its time; what the server does itself may not.
const PROMISES: [Promise; 16] = [
    promise("certificate.sign", By::Details(&["serial"]), &["certificate.issue", "certificate.abandon"], MINUTE),
    promise("portal.sign", By::Details(&["serial"]), &["portal.issue", "portal.abandon"], MINUTE),
    promise("order.open", By::Details(&["order"]), &FULFILLED, DAY),
    promise("order.cancel", By::Details(&["order"]), &["order.cancel"], MINUTE),
    promise("certificate.revoke", By::Details(&["serial"]), &["certificate.revoke"], MINUTE),
    promise("portal.revoke", By::Details(&["serial"]), &["portal.revoke"], MINUTE),
    promise("certificates.revoke", By::Object, &["certificates.revoke"], MINUTE),
    promise("certificate.retire", By::Certificate, &["certificate.retired"], DAY),
    promise("installer.remove", By::File, &["installer.removed"], DAY),
    promise("installer.quarantine", By::File, &["installer.quarantined", "installer.removed"], DAY),
    promise("device.revoke", By::Object, &["device.revoke"], MINUTE),
    promise("backup.store", By::Details(&["backup", "target"]), &["backup.store", "backup.forget", "backup.remove"], DAY),
    promise("backup.remove", By::Details(&["backup", "target"]), &["backup.remove", "backup.forget"], DAY),
    promise("notice.send", By::Details(&["letter"]), &["notice.send", "notice.give-up"], 3 * DAY),
    promise("playbook.run", By::Object, &["playbook.run"], DAY),
    promise("portal.code", By::Object, &["portal.code", "portal.code-not-mailed"], 10 * MINUTE),
];

/// What an order comes to.
const FULFILLED: [&str; 5] = ["certificate.issue", "certificate.import", "certificate.adopt", "certificate.renewed", "order.cancel"];

/// Intents whose record is all there is of them: what follows is told by other records, or stays with whoever asked. Any other of which
/// nothing is said here ends by a record of the same action and object.
const WITHOUT_OUTCOME: [&str; 8] =
    ["act.ask", "backup.ask", "bundle.export", "certificate.renew", "identity.sign", "ocsp.sign", "pin.try", "server.sign"];

/// Records of something that was refused.
const REFUSED: [&str; 5] = ["access.refuse", "session.refuse", "device.code-refused", "portal.code-refused", "portal.renewal-refused"];
/// Records of a certificate that a PC has, and of which the log knows nothing.
const UNRECORDED: [&str; 2] = ["certificate.unknown", "certificate.unrecorded"];

/// Why somebody should look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matter {
    /// It was to be done, and nothing says that it was.
    Unfinished,
    /// A PC has a certificate that the log does not know.
    Unrecorded,
    /// A device is further than the server: the server has lost a past, or somebody pretends to be the device.
    Ahead,
    /// No quorum of witnesses has vouched for the log in a while.
    Unwitnessed,
    /// A device was shown a log that does not go on from the one that it knows.
    Contradicted,
    /// Somebody was refused.
    Refused,
}

/// Records that tell by themselves that something is to be looked at.
const MATTERS: [(&[&str], Matter); 5] = [
    (&REFUSED, Matter::Refused),
    (&UNRECORDED, Matter::Unrecorded),
    (&["device.ahead"], Matter::Ahead),
    (&["log.unwitnessed"], Matter::Unwitnessed),
    (&["log.contradicted"], Matter::Contradicted),
];

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exception {
    /// The record that tells it.
    pub sequence: u64,
    /// When, seconds since the Unix epoch.
    pub at: i64,
    /// Why.
    pub matter: Matter,
    /// What the record is of.
    pub action: String,
    /// By whom.
    pub actor: String,
    /// To what.
    pub object: String,
    /// What tells it from others: a serial number, an order, a file.
    pub about: String,
}

/// What can be counted again in the records themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completeness {
    /// Certificates that were to be signed.
    pub intended: u64,
    /// Those of them that were signed.
    pub issued: u64,
    /// Those of them that were given up.
    pub abandoned: u64,
    /// Those of which nothing more is said.
    pub open: u64,
    /// Signed or given up here, and intended before the first of these records.
    pub begun_before: u64,
}

impl Completeness {
    /// Every intent has exactly one outcome, or is open.
    pub fn holds(&self) -> bool {
        self.intended == self.issued + self.abandoned + self.open
    }
}

/// What records come to, one after the other.
#[derive(Default)]
pub struct Review {
    /// How many of each kind.
    pub kinds: BTreeMap<(String, &'static str), u64>,
    /// When the first and the last were written.
    pub times: Option<(i64, i64)>,
    completeness: Completeness,
    /// By action, and by what tells one from another.
    open: HashMap<(String, String), Exception>,
    serials: HashMap<String, String>,
    told: Vec<Exception>,
}

impl Review {
    /// Takes the next one.
    pub fn push(&mut self, record: &Record) {
        *self.kinds.entry((record.action.clone(), super::word(record.stage))).or_default() += 1;
        self.times = Some(self.times.map_or((record.at, record.at), |(first, last)| (first.min(record.at), last.max(record.at))));
        if let (Some(fingerprint), Some(serial)) = (record.details["fingerprint"].as_str(), record.details["serial"].as_str()) {
            self.serials.insert(fingerprint.to_owned(), serial.to_owned());
        }
        match record.stage {
            Stage::Intended => self.promised(record),
            Stage::Done | Stage::Seen => self.ended(record),
        }
        if let Some((_, matter)) = MATTERS.iter().find(|(actions, _)| actions.contains(&&*record.action)) {
            self.told.push(exception(record, *matter, String::new()));
        }
    }

    fn promised(&mut self, record: &Record) {
        if WITHOUT_OUTCOME.contains(&&*record.action) {
            return;
        }
        self.completeness.intended += u64::from(is_signing(&record.action));
        let about = self.name(known(&record.action).map_or(By::Object, |promise| promise.by), record);
        self.open.insert((record.action.clone(), about.clone()), exception(record, Matter::Unfinished, about));
    }

    fn ended(&mut self, record: &Record) {
        if known(&record.action).is_none() {
            self.open.remove(&(record.action.clone(), record.object.clone()));
        }
        for promise in PROMISES.iter().filter(|promise| promise.ended_by.contains(&&*record.action)) {
            let was_open = self.open.remove(&(promise.intended.to_owned(), self.name(promise.by, record))).is_some();
            if is_signing(promise.intended) {
                let counted = match was_open {
                    false => &mut self.completeness.begun_before,
                    true if record.action.ends_with(".abandon") => &mut self.completeness.abandoned,
                    true => &mut self.completeness.issued,
                };
                *counted += 1;
            }
        }
    }

    fn name(&self, by: By, record: &Record) -> String {
        let detail = |name: &str| record.details[name].as_str().unwrap_or_default().to_owned();
        let receipt = || record.details["receipt"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
        match by {
            By::Object => record.object.clone(),
            By::Details(names) => names.iter().map(|name| detail(name)).collect::<Vec<_>>().join(" "),
            By::Certificate => {
                let fingerprint = receipt()["deed"]["fingerprint"].as_str().unwrap_or_default().to_owned();
                if fingerprint.is_empty() { detail("serial") } else { self.serials.get(&fingerprint).cloned().unwrap_or(fingerprint) }
            }
            By::File => {
                let hash = receipt()["deed"]["file"]["sha256"].as_str().map_or_else(|| detail("sha256"), str::to_owned);
                format!("{} {hash}", record.object)
            }
        }
    }

    /// What there is to look at, oldest first, and the count. What was promised too shortly before the last record is not late yet.
    pub fn findings(&self) -> (Vec<Exception>, Completeness) {
        let last = self.times.map_or(0, |(_, last)| last);
        let open = self.open.keys().filter(|(intended, _)| is_signing(intended)).count() as u64;
        let within = |intended: &str| known(intended).map_or(DAY, |promise| promise.within);
        let late = self.open.iter().filter(|((intended, _), open)| last.saturating_sub(open.at) > within(intended)).map(|(_, open)| open);
        let mut exceptions: Vec<_> = self.told.iter().chain(late).cloned().collect();
        exceptions.sort_by_key(|exception| exception.sequence);
        (exceptions, Completeness { open, ..self.completeness.clone() })
    }
}

fn known(intended: &str) -> Option<&'static Promise> {
    PROMISES.iter().find(|promise| promise.intended == intended)
}

fn is_signing(intended: &str) -> bool {
    ["certificate.sign", "portal.sign"].contains(&intended)
}

fn exception(record: &Record, matter: Matter, about: String) -> Exception {
    let Record { sequence, at, action, actor, object, .. } = record.clone();
    Exception { sequence, at, matter, action, actor, object, about }
}

#[cfg(test)]
mod tests;
