//! For a PC that cannot reach the server: a bundle stands for what the server would say, an answer for what the agent would.
//!
//! A bundle is believed for the same reason as the server on the link: a certificate of the authorities that this PC has known since it was
//! enrolled. It is believed whole or not at all, before anything is done. What is done then is done by the agent itself: only the server
//! behind it is another one.

mod believe;
mod carried;
mod refusal;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use data_encoding::BASE64;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tegata_api::v1::device::SlotReport;
use tegata_api::v1::offline::{self, Meant, OfflineAnswer, SignedAnswer};
use tegata_core::time::Timestamp;
use tegata_pki::key::{KeyError, PrivateKey};

use self::believe::believe;
use self::carried::Carried;
pub use self::refusal::Refusal;

use crate::agent::{Agent, RunError};
use crate::disk::{self, DiskError, Readers};
use crate::link;
use crate::receipts::{ReceiptError, SendError};
use crate::server::Server;
use crate::state::State;
use crate::status::slot_phrase;
use crate::words::{BundlePhrase, Language, Phrase, local_time, say};

/// Why a bundle was not applied, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It is not believed. Nothing was done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The agent cannot work. Nothing was done.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The bundle cannot be kept. Nothing was done.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What the server has heard cannot be noted.
    #[error(transparent)]
    Receipts(#[from] SendError),
    /// The answer cannot be put together. What was installed stays, and what has to be said too.
    #[error("the answer cannot be made; apply the bundle again")]
    Answer(#[from] ReceiptError),
    /// The answer cannot be signed.
    #[error("the answer cannot be signed; apply the bundle again")]
    Sign(#[from] KeyError),
    /// The answer cannot be written where it should be. What was installed stays, and what has to be said too.
    #[error("the bundle was applied, but its answer is not written; apply it again, perhaps with --answer FILE")]
    Write(#[source] DiskError),
}

/// What applying a bundle has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// `clinic/device`.
    pub device: String,
    /// The manifest's.
    pub generation: u64,
    /// When the bundle was made, by the server's clock, seconds since the Unix epoch.
    pub made_at: i64,
    /// The slots.
    pub slots: Vec<SlotReport>,
    /// Those of them that wait until the answer has come to the server.
    pub waiting: Vec<String>,
    /// Where the answer is.
    pub answer: PathBuf,
}

impl Applied {
    /// True if nobody has to do anything but carry the answer.
    pub fn is_well(&self) -> bool {
        self.slots.iter().all(|slot| slot.trouble.is_none() || self.waiting.contains(&slot.slot))
    }

    /// Tells it to people, with times as clocks in `zone` show them.
    pub fn tell(&self, language: Language, zone: &TimeZone) -> String {
        let slot = |slot: &SlotReport| match self.waiting.contains(&slot.slot) {
            true => Phrase::Bundle(BundlePhrase::Waiting(slot.slot.clone())),
            false => slot_phrase(slot),
        };
        let mut phrases = vec![Phrase::Bundle(BundlePhrase::Applied(self.device.clone(), local_time(self.made_at, zone)))];
        phrases.extend(self.slots.iter().map(slot));
        phrases.push(Phrase::Bundle(BundlePhrase::Answer(self.answer.display().to_string())));
        phrases.iter().map(|phrase| say(language, phrase) + "\n").collect()
    }
}

/// The bundle that was applied last, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Last {
    /// When it was applied, by the device's clock, seconds since the Unix epoch.
    pub applied_at: i64,
    /// When it was made, by the server's.
    pub made_at: i64,
}

/// Applies a bundle once, and writes the answer. For the one process that holds the lock.
///
/// # Errors
/// [`ApplyError`].
pub async fn apply(state: &State, file: &Path, answer: &Path) -> Result<Applied, ApplyError> {
    let (settings, identity) = Agent::own(state)?;
    let from = File::open(file).map_err(|problem| Refusal::Unreadable(problem.into()))?;
    let now = Timestamp::from_unix(crate::wall_clock());
    let bundle = believe(&offline::read(from).map_err(Refusal::Unreadable)?, &settings, &identity, now)?;
    let (key, carried) = (Rc::clone(&identity.key), Rc::new(Carried::of(bundle)));
    let agent = Agent::behind(state, settings, identity, Rc::clone(&carried) as Rc<dyn Server>)?;
    let applied = carry_out(agent, &carried, &key, answer).await?;
    disk::write_json(&state.carried(), &Last { applied_at: now.unix(), made_at: applied.made_at })?;
    Ok(applied)
}

/// Has the agent do what the bundle says, with the bundle as its server.
async fn carry_out(mut agent: Agent, carried: &Carried, key: &PrivateKey, path: &Path) -> Result<Applied, ApplyError> {
    agent.follow(&carried.bundle.manifest).map_err(not_followed)?;
    agent.receipts().hear_of(carried.bundle.receipts)?;
    agent.pass(true).await;
    let answer = carried.answer(&mut agent)?;
    let said = |order: &String| answer.requests.contains_key(order) || answer.taken.contains_key(order);
    let waiting = answer.report.slots.iter().filter(|slot| slot.trouble.is_some() && said(&slot.order));
    let applied = Applied {
        device: answer.device.clone(),
        generation: carried.bundle.manifest.generation,
        made_at: carried.bundle.made_at,
        waiting: waiting.map(|slot| slot.slot.clone()).collect(),
        slots: answer.report.slots.clone(),
        answer: path.to_owned(),
    };
    write(path, &signed(&answer, key)?)?;
    Ok(applied)
}

fn not_followed(problem: link::Refusal) -> ApplyError {
    match problem {
        link::Refusal::OtherDevice(device) => Refusal::OtherDevice(device.to_string()).into(),
        link::Refusal::GoesBack { got, seen } => Refusal::TooOld { got, seen }.into(),
        link::Refusal::OtherHistory => Refusal::OtherHistory.into(),
        link::Refusal::Unreadable(problem) => Refusal::Nonsense(problem).into(),
        link::Refusal::Disk(problem) => problem.into(),
    }
}

fn signed(answer: &OfflineAnswer, key: &PrivateKey) -> Result<SignedAnswer, ApplyError> {
    let answer = serde_json::to_string(answer).expect("an answer holds only texts, numbers and names");
    let signature = key.sign(&Meant::Answer.signed_bytes(&answer))?;
    Ok(SignedAnswer { answer, signature: BASE64.encode(&signature) })
}

/// For everybody to read: whoever takes it to the server is another user of another PC. Nothing in it is secret.
fn write(path: &Path, answer: &SignedAnswer) -> Result<(), ApplyError> {
    let bytes = serde_json::to_vec(answer).expect("an answer is two texts");
    disk::write(path, &bytes, Readers::Everyone).map_err(ApplyError::Write)
}

#[cfg(test)]
mod tests;
