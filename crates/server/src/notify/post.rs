//! The post: takes what is on record to be sent, sends it, and puts on record what became of it.
//!
//! A try is counted before it is made. Whatever is cut off between sending and its record is sent again under the same name, so that
//! who got it can tell.

use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::notice::{Bulletin, EXPIRY, Event};
use tegata_core::name::Mail;
use tegata_core::policy::{ClinicNetwork, Webhook};
use tegata_core::time::{DAY, HOUR, MINUTE, Timestamp};
use tegata_pki::key::sha256;
use tokio_util::sync::CancellationToken;

use super::webhook::Hooks;
use super::{letter, record, shown, told_to};
use crate::audit::{Ledger, Recorded};
use crate::bells::Bells;
use crate::clock::Clock;
use crate::mail::{Letter, MailError, Mailer};
use crate::policy::PolicyError;
use crate::store::notices::{Channel, DeliveryRow, LetterRow, Outcome};
use crate::store::{Batch, Change, Personal, StoreError};
use crate::words;

/// How many deliveries are asked for at once.
const DUE_MAX: u32 = 64;
/// How many are under way at the same time.
const AT_ONCE: usize = 8;
/// The longest sleep. The clock of the machine may be set while the post sleeps.
const SLEEP_MAX: Duration = MINUTE;
/// When the database is asked again that did not answer.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = HOUR;
/// How long it is tried. Senders should not give up earlier (RFC 5321, section 4.5.4.1).
const GIVE_UP_AFTER: Duration = DAY.saturating_mul(5);
/// Why nothing is mailed where no mail server is known.
const NO_MAIL_SERVER: &str = "the server knows no mail server; start it with --smtp and --mail-from";

/// Everything that sends.
pub struct Post {
    /// Reads and records.
    pub ledger: Ledger,
    /// Wakes the post.
    pub bells: Bells,
    /// What time it is.
    pub clock: Clock,
    /// Where mail is handed in, if anywhere.
    pub mailer: Option<Mailer>,
    /// Who calls webhooks.
    pub hooks: Hooks,
}

/// Why a delivery could not even be tried.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl Post {
    /// Sends until `stopping`, or until the database has failed for good. What is under way when it stops may end.
    pub async fn run(self, stopping: CancellationToken) {
        let failed = async { self.ledger.store().failed().await };
        tokio::pin!(failed);
        while !stopping.is_cancelled() {
            let now = self.clock.now();
            match self.ledger.deliveries_due(now, DUE_MAX).await {
                Ok(due) if due.is_empty() => {
                    tokio::select! {
                        () = stopping.cancelled() => {}
                        () = &mut failed => return,
                        () = self.rest(now) => {}
                    }
                }
                Ok(due) => self.send_all(due, &stopping).await,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "cannot ask what has to be sent");
                    tokio::select! {
                        () = stopping.cancelled() => {}
                        () = &mut failed => return,
                        () = tokio::time::sleep(AGAIN_AFTER) => {}
                    }
                }
            }
        }
    }

    /// Sends whatever is due now, and returns once nothing is.
    pub async fn send_due(&self) -> Result<(), StoreError> {
        loop {
            let due = self.ledger.deliveries_due(self.clock.now(), DUE_MAX).await?;
            if due.is_empty() {
                return Ok(());
            }
            self.send_all(due, &CancellationToken::new()).await;
        }
    }

    async fn rest(&self, now: Timestamp) {
        let next = self.ledger.store().next_delivery().await.ok().flatten();
        let sleep = next.map_or(SLEEP_MAX, |next| next.since(now).clamp(Duration::from_secs(1), SLEEP_MAX));
        tokio::select! {
            () = self.bells.post() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }

    async fn send_all(&self, due: Vec<Recorded<DeliveryRow>>, stopping: &CancellationToken) {
        let deliveries = futures::stream::iter(due);
        deliveries.for_each_concurrent(AT_ONCE, |delivery| self.unless_stopping(delivery, stopping)).await;
    }

    async fn unless_stopping(&self, delivery: Recorded<DeliveryRow>, stopping: &CancellationToken) {
        if stopping.is_cancelled() {
            return;
        }
        let id = delivery.get().id.clone();
        match self.deliver(delivery).await {
            Ok(()) => {}
            Err(PostError::Store(StoreError::Conflict(guard))) => tracing::debug!(id, guard, "somebody else has this delivery"),
            Err(error) => tracing::error!(id, error = &error as &dyn std::error::Error, "a delivery was not recorded"),
        }
    }

    /// Makes one try.
    async fn deliver(&self, delivery: Recorded<DeliveryRow>) -> Result<(), PostError> {
        let (row, now) = (delivery.get().clone(), self.clock.now());
        let attempt = row.attempts + 1;
        let next = now.after(pause(&row.id, attempt));
        let counted = Change::TryDelivery { id: row.id.clone(), attempt, next };
        self.ledger.note(Batch { records: vec![], changes: vec![counted] }).await?;
        let Some(letter) = self.ledger.store().letter(&row.letter).await? else { return Ok(()) };
        let outcome = self.send(delivery, &letter, now).await?;
        let outcome = match outcome {
            Outcome::Later(problem) if next > letter.at.after(GIVE_UP_AFTER) => {
                Outcome::Failed(format!("{problem} (given up after {} tries)", attempt))
            }
            outcome => outcome,
        };
        self.note(row, &letter, attempt, outcome).await
    }

    async fn send(&self, delivery: Recorded<DeliveryRow>, letter: &LetterRow, now: Timestamp) -> Result<Outcome, PostError> {
        let policy = self.ledger.policy(&letter.clinic.tenant).await?;
        let Ok(bulletin) = serde_json::from_value::<Bulletin>(letter.body.clone()) else {
            return Ok(Outcome::Failed("the letter was kept by another version and cannot be read".into()));
        };
        // Whoever was taken out of the clinic's document is told nothing any more, not even what was meant for him.
        let network = policy.clinics.get(&letter.clinic.clinic);
        let row = delivery.get();
        Ok(match row.channel {
            Channel::Mail => match network.filter(|network| is_contact(network, &row.target)) {
                Some(network) => self.mail(&delivery, &bulletin, network).await,
                None => Outcome::Failed("not a contact of the clinic any more".into()),
            },
            Channel::Webhook => match network.and_then(|network| webhook(network, &row.target)) {
                Some(webhook) => {
                    let event = Event { kind: EXPIRY.into(), timestamp: letter.at.unix(), data: bulletin };
                    let generation = self.ledger.store().webhook_key(&letter.clinic, &row.target).await?.map_or(1, |key| key.generation);
                    self.hooks.call(&delivery, &letter.clinic, webhook, generation, &event, now).await
                }
                None => Outcome::Failed("not a webhook of the clinic any more".into()),
            },
        })
    }

    async fn mail(&self, delivery: &Recorded<DeliveryRow>, bulletin: &Bulletin, network: &ClinicNetwork) -> Outcome {
        let DeliveryRow { id, target, .. } = delivery.get();
        let Some(mailer) = &self.mailer else { return Outcome::Failed(NO_MAIL_SERVER.into()) };
        let Ok(to) = target.parse::<Mail>() else { return Outcome::Failed("not a mail address".into()) };
        let written = match letter::write(bulletin, network.notify.language) {
            Ok(written) => written,
            Err(error) => return Outcome::Failed(format!("the letter cannot be written: {error}")),
        };
        match mailer.send(&Letter { to: vec![to], subject: written.subject, text: written.text, id: id.clone() }).await {
            Ok(()) => Outcome::Done,
            Err(error @ MailError::Passing(_)) => Outcome::Later(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Puts on record what became of a try. That it has to be tried again is shown, and not recorded.
    async fn note(&self, row: DeliveryRow, letter: &LetterRow, attempt: u32, outcome: Outcome) -> Result<(), PostError> {
        let at = self.clock.now();
        let to = shown(row.channel, &row.target);
        let told = told_to(row.channel, &row.target);
        let details =
            json!({ "letter": letter.id, "delivery": row.id, "channel": words::channel(row.channel), "to": told, "tries": attempt });
        let ended = match &outcome {
            Outcome::Done => Some(("notice.send", details)),
            Outcome::Failed(problem) => {
                tracing::warn!(clinic = %letter.clinic, to, problem, "somebody could not be told what is about to expire");
                let mut details = details;
                details["problem"] = json!(Personal(problem));
                Some(("notice.give-up", details))
            }
            Outcome::Later(problem) => {
                tracing::info!(clinic = %letter.clinic, to, problem, attempt, "a notice is tried again later");
                None
            }
        };
        let letter = LetterRow { at, ..letter.clone() };
        let records: Vec<_> = ended.into_iter().map(|(action, details)| record(&letter, Stage::Done, action, details)).collect();
        let batch = Batch { records, changes: vec![Change::EndTry { id: row.id, outcome, at }] };
        Ok(self.ledger.note(batch).await?)
    }
}

fn is_contact(network: &ClinicNetwork, target: &str) -> bool {
    network.contacts.iter().any(|contact| contact.as_str() == target)
}

fn webhook<'a>(network: &'a ClinicNetwork, target: &str) -> Option<&'a Webhook> {
    network.notify.webhooks.iter().find(|webhook| webhook.url.as_str() == target)
}

/// How long to wait after a try: a minute, then twice as long each time, up to an hour; and up to a quarter more, by a hash, so that those
/// who failed together do not come back together.
pub(crate) fn pause(id: &str, attempt: u32) -> Duration {
    let pause = MINUTE.saturating_mul(1 << (attempt - 1).min(10)).min(PAUSE_MAX);
    let lot = sha256(format!("{id} {attempt}").as_bytes()).0[0];
    pause + pause * u32::from(lot) / (4 * 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour_and_a_quarter_at_most() {
        let pauses: Vec<u64> = (1..=40).map(|attempt| pause("x-1", attempt).as_secs()).collect();
        assert!((60..=75).contains(&pauses[0]) && (120..=150).contains(&pauses[1]), "{pauses:?}");
        assert!(pauses[6..].iter().all(|pause| (3_600..=4_500).contains(pause)), "{pauses:?}");
        assert_ne!(pause("x-1", 9), pause("x-2", 9));
    }
}
