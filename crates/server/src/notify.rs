//! Tells people what is about to expire: what comes due is put on record with its letter, and the post takes it from there.
//!
//! A clinic's turn finds what is due, so that work is in proportion to it. A letter and the rungs that it tells are one commit: whatever
//! crashes, each rung is told once.

mod address;
pub mod answers;
mod due;
pub mod keys;
mod letter;
pub mod post;
#[cfg(test)]
mod tests;
pub mod webhook;
mod words;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::notice::{Bulletin, Item};
use tegata_core::calendar::{Calendar, Local};
use tegata_core::name::{ClinicId, SlotId};
use tegata_core::notice::{self, Rung};
use tegata_core::plan::{Action, Obstacle, Plan};
use tegata_core::policy::ClinicNetwork;
use tegata_core::time::Timestamp;
use tegata_pki::key::random;

use self::due::{Expiry, running_out};
use crate::audit::{Ledger, TEGATA};
use crate::bells::Bells;
use crate::store::notices::{Channel, LetterRow, NewLetter, Told};
use crate::store::{Batch, Change, NewRecord, Personal, StoreError};
use crate::turn::observe::Scene;
use crate::words as wire;

/// Tells a clinic what is due, and says when to look again. To be asked once its plan is quiet: then the plan says what is waited for.
pub(crate) async fn tell(
    ledger: &Ledger,
    bells: &Bells,
    clinic: &ClinicId,
    scene: &Scene,
    plan: &Plan,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(network) = scene.policy.clinics.get(&clinic.clinic) else { return Ok(None) };
    let running: Vec<_> = running_out(scene, network, now).map(|expiry| (expiry.look(network, None, now), expiry)).collect();
    let next = running.iter().filter_map(|(outlook, _)| outlook.next).min();
    let perhaps = running.into_iter().filter_map(|(outlook, expiry)| Some((outlook.due?, expiry)));
    let due = not_told(ledger, clinic, perhaps.collect()).await?;
    if due.is_empty() {
        return Ok(next);
    }
    let last = ledger.store().letters(&clinic.tenant, Some(&clinic.clinic), 1).await?.first().map(|letter| letter.at);
    let at = due.iter().map(|(_, expiry)| notice::letter_at(&network.hours, last, expiry.deadline, now)).min().unwrap_or(now);
    if at > now {
        return Ok(Some(next.map_or(at, |next| next.min(at))));
    }
    let letter = letter(clinic, network, &due, plan, now);
    let intended = intended(&letter);
    ledger.record((), Batch { records: vec![intended], changes: vec![Change::PutLetter(letter.into())] }).await?;
    bells.ring_post();
    Ok(next)
}

/// What the renewal of a slot waits for.
fn waits_for(plan: &Plan, slot: &SlotId) -> Option<Obstacle> {
    plan.actions.iter().find_map(|action| match action {
        Action::Hold { slot: held, because, .. } if held == slot => Some(*because),
        _ => None,
    })
}

async fn not_told<'a>(ledger: &Ledger, clinic: &ClinicId, perhaps: Vec<(Rung, Expiry<'a>)>) -> Result<Vec<(Rung, Expiry<'a>)>, StoreError> {
    if perhaps.is_empty() {
        return Ok(perhaps);
    }
    let asked: Vec<Told> = perhaps.iter().map(|(rung, expiry)| expiry.told(*rung)).collect();
    let told = ledger.store().told(&clinic.tenant, &asked).await?;
    let newest: BTreeMap<_, _> = told.iter().map(|told| ((told.kind, &told.object[..], told.deadline), told.rung)).collect();
    let is_new = |asked: &Told| newest.get(&(asked.kind, &asked.object[..], asked.deadline)).is_none_or(|told| *told < asked.rung);
    Ok(perhaps.into_iter().zip(&asked).filter(|(_, asked)| is_new(asked)).map(|(expiry, _)| expiry).collect())
}

fn letter(clinic: &ClinicId, network: &ClinicNetwork, due: &[(Rung, Expiry<'_>)], plan: &Plan, now: Timestamp) -> NewLetter {
    let mut items: Vec<Item> = due.iter().map(|(rung, expiry)| expiry.item(*rung, network, plan, now)).collect();
    items.sort_by(|a, b| (a.deadline, &a.slot).cmp(&(b.deadline, &b.slot)));
    let bulletin = Bulletin {
        tenant: clinic.tenant.to_string(),
        clinic: clinic.clinic.to_string(),
        display_name: network.display_name.to_string(),
        date: local(&network.hours, now).0,
        items,
    };
    let id = data_encoding::HEXLOWER.encode(&random::<16>());
    let mail = network.contacts.iter().map(|contact| (Channel::Mail, contact.to_string()));
    let webhooks = network.notify.webhooks.iter().map(|webhook| (Channel::Webhook, webhook.url.as_str().to_owned()));
    NewLetter {
        letter: LetterRow {
            id,
            clinic: clinic.clone(),
            at: now,
            body: serde_json::to_value(bulletin).expect("a bulletin is plain data with text keys"),
        },
        told: due.iter().map(|(rung, expiry)| expiry.told(*rung)).collect(),
        to: mail.chain(webhooks).collect(),
    }
}

fn intended(new: &NewLetter) -> NewRecord {
    let told = new.told.iter().map(|told| {
        json!({ "kind": wire::kind(told.kind), "object": told.object, "deadline": told.deadline.unix(), "rung": wire::rung(told.rung) })
    });
    let to = new.to.iter().map(|(channel, target)| json!({ "channel": wire::channel(*channel), "to": told_to(*channel, target) }));
    let details = json!({ "letter": new.letter.id, "told": told.collect::<Vec<_>>(), "to": to.collect::<Vec<_>>() });
    record(&new.letter, Stage::Intended, "notice.send", details)
}

fn record(letter: &LetterRow, stage: Stage, action: &'static str, details: serde_json::Value) -> NewRecord {
    let ClinicId { tenant, clinic } = letter.clinic.clone();
    NewRecord { tenant, at: letter.at, stage, actor: TEGATA.to_owned(), action, object: clinic.to_string(), details }
}

/// A recipient as the log has it: a mail address names somebody.
fn told_to(channel: Channel, target: &str) -> Value {
    match channel {
        Channel::Mail => json!(Personal(target)),
        Channel::Webhook => shown(channel, target).into(),
    }
}

/// A recipient as people may see it: what stands behind the host of a URL is often a secret.
fn shown(channel: Channel, target: &str) -> String {
    match channel {
        Channel::Mail => target.to_owned(),
        Channel::Webhook => tegata_core::policy::WebhookUrl::parse(target, true).map_or("?".into(), |url| url.shown().to_owned()),
    }
}

/// Date, and date and time, by the clinic's clock.
fn local(hours: &Calendar, moment: Timestamp) -> (String, String) {
    match hours.local(moment) {
        Some(Local { date, minute, .. }) => {
            let date = format!("{:04}-{:02}-{:02}", date.year, date.month, date.day);
            let time = format!("{date} {:02}:{:02}", minute / 60, minute % 60);
            (date, time)
        }
        None => (moment.to_string(), moment.to_string()),
    }
}
