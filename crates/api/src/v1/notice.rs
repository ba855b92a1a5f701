//! What people and their programs are told of what is about to expire.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/tenants/{tenant}/expiring?within=SECONDS&clinic=&limit=` | `[`[`Expiring`]`]`, soonest first |
//! | `GET /v1/tenants/{tenant}/notices?clinic=&limit=` | `[`[`Notice`]`]`, newest first |
//! | `POST /v1/tenants/{tenant}/webhooks/{clinic}/secret` [`SecretRequest`] | [`SecretAnswer`] |
//!
//! A webhook is a `POST` of [`Event`], signed as Standard Webhooks says (<https://www.standardwebhooks.com>): `webhook-id`,
//! `webhook-timestamp`, `webhook-signature: v1,<base64 of HMAC-SHA256 over "id.timestamp.body">`. The same id is the same event.

use serde::{Deserialize, Serialize};

/// What a webhook is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What it is about: [`EXPIRY`].
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was decided to tell, seconds since the Unix epoch.
    pub timestamp: i64,
    /// What is told.
    pub data: Bulletin,
}

/// The type of an [`Event`] about what is about to expire, or has.
pub const EXPIRY: &str = "tegata.expiry";

/// Everything that one clinic is told on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bulletin {
    /// The tenant.
    pub tenant: String,
    /// The clinic.
    pub clinic: String,
    /// The clinic's name as people say it.
    pub display_name: String,
    /// The clinic's own date, `2027-01-15`.
    pub date: String,
    /// What is about to expire, or has: soonest first.
    pub items: Vec<Item>,
}

/// Something with a deadline that people are told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// `certificate`, `found` or `application`.
    pub kind: String,
    /// What it is known by: a certificate's serial number, the fingerprint of one that was found, the request ID of an application.
    pub object: String,
    /// The slot, `clinic/device/profile`; the device alone for a certificate that was found.
    pub slot: String,
    /// Where the device stands, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What the certificate says about whom it is for: `CN=…, O=…`; the request ID of an application.
    pub subject: String,
    /// Who issues it: the `Issuer`; of a certificate that was found, the common name of who did.
    pub issuer: String,
    /// The deadline, seconds since the Unix epoch.
    pub deadline: i64,
    /// The same by the clinic's clock, `2027-01-15 15:30`.
    pub deadline_local: String,
    /// Whole days until then by the clinic's calendar; below zero once it has passed.
    pub days_left: i64,
    /// The rung of the ladder: `30d`, `1h`, `expired`, `expired+3d`.
    pub rung: String,
    /// Who has to act.
    pub acts: Acts,
    /// Why the slot is not right, in kebab case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What its renewal waits for, in kebab case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What else has to be changed by a person once it is replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependants: Vec<String>,
}

/// Who has to act, so that nobody stands before a closed door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acts {
    /// It is renewed by itself.
    Itself,
    /// A person.
    Person,
    /// Nobody: it is replaced already, or not wanted any more.
    Nobody,
}

/// A certificate that expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expiring {
    /// Whether a slot knows it (`managed`), or an agent found it.
    pub kind: Origin,
    /// Its serial number; of one that was found, its fingerprint, by which `tegata adopt` takes it over.
    pub serial: String,
    /// The slot, `clinic/device/profile`; the device alone for one that was found.
    pub slot: String,
    /// Where the device stands, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whom it is for: `CN=…, O=…`.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// When it expires, seconds since the Unix epoch.
    pub not_after: i64,
    /// Whole days until then; below zero once it has expired.
    pub days_left: i64,
    /// Who has to act.
    pub acts: Acts,
    /// Why its slot is not right, in kebab case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What its renewal waits for, in kebab case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// Where a certificate is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A slot holds it.
    Managed,
    /// An agent found it.
    Found,
}

/// What was told, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// What it is known by.
    pub id: String,
    /// When it was decided to tell, seconds since the Unix epoch.
    pub at: i64,
    /// What was told.
    pub bulletin: Bulletin,
    /// To whom; nobody is told who is not here.
    pub deliveries: Vec<Delivery>,
}

/// One recipient of what was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Becomes the Message-ID or `webhook-id`.
    pub id: String,
    /// `mail` or `webhook`.
    pub channel: String,
    /// The mail address, or the webhook's host: what stands behind it is often a secret.
    pub to: String,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, or when it ended: seconds since the Unix epoch.
    pub at: i64,
    /// Why it failed, or why the last try did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// It is tried, or tried again.
    Waiting,
    /// It was taken.
    Done,
    /// It will not be tried again.
    Failed,
}

/// Asks for the key that a webhook's requests are signed with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRequest {
    /// Its address as the clinic's document has it.
    pub url: String,
    /// Make a new key; the one before counts no longer.
    #[serde(default)]
    pub rotate: bool,
}

/// A webhook's key. Each is shown once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretAnswer {
    /// `whsec_` and base64, as Standard Webhooks libraries take it.
    pub secret: String,
    /// Counts up with every rotation, from 1.
    pub generation: u32,
}
