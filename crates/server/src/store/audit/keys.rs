//! What a record is about: read out of it here and nowhere else, for the index and for whoever asks.

use std::collections::BTreeSet;

use serde_json::Value;
use tegata_api::v1::audit::Record;
use tegata_core::name::{DeviceId, SlotId, TenantName};
use tegata_pki::key::sha256;

/// Counts up whenever [`topics`] finds something else: an index of another version is made anew.
pub const VERSION: u32 = 1;

/// How many beginnings of an object are looked up. A slot has four: `clinic`, `clinic/device`, `clinic/device@home`, and itself.
const LEVELS_MAX: usize = 5;

/// Particulars that name a certificate, or what belongs to one.
const NAMES: [&str; 6] = ["serial", "fingerprint", "order", "vendorSerial", "identity", "sha256"];

/// What a record is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Topics {
    /// Its object and all that this is a part of; the device that it concerns; the clinic whose document it is.
    pub places: BTreeSet<String>,
    /// Serial numbers, fingerprints and orders that it names, in lower case.
    pub certificates: BTreeSet<String>,
    /// The account that it concerns, as `clinic/account`.
    pub account: Option<String>,
    /// The documents of policy that it concerns, by name.
    pub policies: BTreeSet<String>,
}

/// One value that records can be looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic<'a> {
    /// One of [`Topics::places`].
    Place(&'a str),
    /// One of [`Topics::certificates`].
    Certificate(&'a str),
    /// [`Topics::account`].
    Account(&'a str),
    /// One of [`Topics::policies`].
    Policy(&'a str),
    /// Who did it.
    Actor(&'a str),
    /// What was done.
    Action(&'a str),
}

impl Topic<'_> {
    /// The number under which the index knows it. Two may have the same: what is found is read, and what does not fit is left.
    pub fn key(self, tenant: &TenantName) -> i64 {
        let (kind, value) = match self {
            Self::Place(value) => ("place", value),
            Self::Certificate(value) => ("certificate", value),
            Self::Account(value) => ("account", value),
            Self::Policy(value) => ("policy", value),
            Self::Actor(value) => ("actor", value),
            Self::Action(value) => ("action", value),
        };
        let hash = sha256(format!("{tenant}\0{kind}\0{value}").as_bytes()).0;
        i64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
    }
}

/// Reads a record.
pub fn topics(record: &Record) -> Topics {
    let mut topics = Topics::default();
    topics.places.extend(levels(&record.object).into_iter().map(str::to_owned));
    if let Some((kind, name)) = record.object.split_once('/')
        && record.action == "policy.apply"
    {
        topics.policies.insert(name.to_owned());
        topics.places.extend((kind == "ClinicNetwork").then(|| name.to_owned()));
    }
    if let Ok(slot) = record.object.parse::<SlotId>() {
        topics.places.insert(slot.device.to_string());
        topics.policies.insert(slot.profile.to_string());
    }
    topics.places.extend(actor(record, "device:").and_then(|name| name.parse::<DeviceId>().ok()).map(|device| device.to_string()));
    topics.policies.extend(record.details["issuer"].as_str().map(str::to_owned));
    topics.account = account(record);
    name_certificates(&record.details, &mut topics.certificates);
    if let Some(receipt) = record.details["receipt"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        name_certificates(&receipt["deed"], &mut topics.certificates);
        topics.certificates.extend(receipt["deed"]["file"]["sha256"].as_str().map(str::to_lowercase));
    }
    topics
}

/// Every number under which a record is found, with those of its actor and action.
pub fn keys(tenant: &TenantName, record: &Record) -> BTreeSet<i64> {
    let topics = topics(record);
    let places = topics.places.iter().map(|place| Topic::Place(place));
    let certificates = topics.certificates.iter().map(|name| Topic::Certificate(name));
    let policies = topics.policies.iter().map(|name| Topic::Policy(name));
    let account = topics.account.iter().map(|name| Topic::Account(name));
    let done = [Topic::Action(&record.action), Topic::Actor(&record.actor)];
    places.chain(certificates).chain(policies).chain(account).chain(done).map(|topic| topic.key(tenant)).collect()
}

/// An object and what it is a part of, shortest first: of `a/b@c/d`, `a`, `a/b`, `a/b@c` and itself.
fn levels(object: &str) -> Vec<&str> {
    let ends = object.char_indices().filter(|(_, c)| ['/', '@'].contains(c)).map(|(at, _)| at);
    ends.chain([object.len()]).map(|end| &object[..end]).take(LEVELS_MAX).collect()
}

/// The longest beginning of an object under which all records about it are found.
pub fn lookup(object: &str) -> &str {
    levels(object).last().copied().unwrap_or(object)
}

fn actor<'a>(record: &'a Record, kind: &str) -> Option<&'a str> {
    record.actor.strip_prefix(kind)
}

fn account(record: &Record) -> Option<String> {
    let clinic = record.object.split('/').next().unwrap_or_default();
    let of_object = record.object.split_once("/accounts/").map(|(clinic, account)| format!("{clinic}/{account}"));
    let of_order = record.details["account"].as_str().map(|account| format!("{clinic}/{account}"));
    of_object.or(of_order).or_else(|| actor(record, "account:").map(str::to_owned))
}

fn name_certificates(details: &Value, names: &mut BTreeSet<String>) {
    names.extend(NAMES.iter().filter_map(|name| details[name].as_str()).map(str::to_lowercase));
    let listed = ["replaces", "orders"].into_iter().filter_map(|name| details[name].as_array()).flatten();
    names.extend(listed.filter_map(Value::as_str).map(str::to_lowercase));
    // What the portal replaces is one.
    names.extend(details["replaces"].as_str().map(str::to_lowercase));
}
