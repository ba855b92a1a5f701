//! What is kept of what people are told.

use tegata_core::name::{ClinicId, ClinicName, TenantName};
use tegata_core::notice::{Kind, Rung};
use tegata_core::time::Timestamp;

/// What one clinic is told on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct LetterRow {
    /// What it is known by.
    pub id: String,
    /// Whose.
    pub clinic: ClinicId,
    /// When it was decided.
    pub at: Timestamp,
    /// What it says: a `Bulletin` of the wire.
    pub body: serde_json::Value,
}

/// A letter that is about to be kept, with what it tells and to whom.
#[derive(Debug, Clone)]
pub struct NewLetter {
    /// The letter.
    pub letter: LetterRow,
    /// The rungs that it tells.
    pub told: Vec<Told>,
    /// Who gets it.
    pub to: Vec<(Channel, String)>,
}

/// A rung that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What kind of thing has the deadline.
    pub kind: Kind,
    /// What it is known by.
    pub object: String,
    /// The deadline.
    pub deadline: Timestamp,
    /// The rung.
    pub rung: Rung,
}

/// How somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// By mail.
    Mail,
    /// By a signed HTTP request.
    Webhook,
}

/// One recipient of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its name. Becomes the Message-ID or `webhook-id`: a letter that is sent again is recognised.
    pub id: String,
    /// The letter.
    pub letter: String,
    /// How.
    pub channel: Channel,
    /// The mail address, or the URL.
    pub target: String,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, or when it ended.
    pub at: Timestamp,
    /// Why it failed, or why the last try did.
    pub problem: Option<String>,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is tried, or tried again.
    Waiting,
    /// It was taken.
    Done,
    /// It will not be tried again.
    Failed,
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Done,
    /// It did not work this time.
    Later(String),
    /// It will not be tried again.
    Failed(String),
}

/// Which of a webhook's keys is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookKeyRow {
    /// Counts up from 1.
    pub generation: u32,
    /// When it was shown.
    pub shown_at: Timestamp,
}

/// Which certificates that expire are asked for.
#[derive(Debug, Clone)]
pub struct ExpiringQuery {
    /// Whose.
    pub tenant: TenantName,
    /// Only those of this clinic's slots.
    pub clinic: Option<ClinicName>,
    /// Not those that expired before.
    pub since: Timestamp,
    /// Not those that live longer.
    pub until: Timestamp,
    /// How many at most, soonest first.
    pub limit: u32,
}
