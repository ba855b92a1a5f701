//! What people ask: what expires, and who was told.

use std::collections::{BTreeMap, BTreeSet};

use tegata_api::v1::notice::{Delivery, DeliveryState, Expiring, Notice, Origin};
use tegata_core::name::{ClinicId, ClinicName, TenantName};
use tegata_core::notice::{self, Acts};
use tegata_core::plan::{Plan, plan};
use tegata_core::policy::Tenant;
use tegata_core::time::{DAY, Timestamp};

use super::{shown, waits_for};
use crate::audit::Ledger;
use crate::store::CertificateRow;
use crate::store::notices::{self, DeliveryRow, ExpiringQuery};
use crate::turn::TurnError;
use crate::turn::observe::{self, Scene};
use crate::words as wire;

/// How long ago something may have expired to be listed still, if it is still needed.
const EXPIRED_SINCE: std::time::Duration = DAY.saturating_mul(365);

/// Certificates that expire until `until`, soonest first, at most `limit`. Of those that have expired, only what is still needed.
pub async fn expiring(
    ledger: &Ledger,
    tenant: &TenantName,
    clinic: Option<&ClinicName>,
    until: Timestamp,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Expiring>, TurnError> {
    let since = now.before(EXPIRED_SINCE);
    let asked = ExpiringQuery { tenant: tenant.clone(), clinic: clinic.cloned(), since, until, limit };
    let rows = ledger.store().expiring(&asked).await?;
    let clinics: BTreeSet<&ClinicName> = rows.iter().map(|row| &row.slot.clinic).collect();
    let policy = ledger.policy(tenant).await?;
    let mut views = BTreeMap::new();
    for clinic in clinics {
        let id = ClinicId { tenant: tenant.clone(), clinic: clinic.clone() };
        let scene = observe::read(ledger.store(), &policy, &id, now).await?;
        let plan = plan(&scene.desired, &scene.observed, now);
        views.insert(clinic, (scene, plan));
    }
    let told = rows.iter().filter_map(|row| views.get(&row.slot.clinic).map(|(scene, plan)| managed(row, scene, plan, now)));
    let managed = told.filter(|row| row.acts != tegata_api::v1::notice::Acts::Nobody || row.not_after >= now.unix());
    let mut expiring: Vec<Expiring> = managed.chain(found(ledger, &policy, &asked, now).await?).collect();
    expiring.sort_by_key(|row| row.not_after);
    expiring.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(expiring)
}

/// What agents found and no slot knows: nobody renews it, so a person has to act.
async fn found(ledger: &Ledger, policy: &Tenant, asked: &ExpiringQuery, now: Timestamp) -> Result<Vec<Expiring>, TurnError> {
    let span = asked.since.unix()..=asked.until.unix();
    let mut rows = Vec::new();
    for device in ledger.store().devices(&asked.tenant).await? {
        let is_asked = asked.clinic.as_ref().is_none_or(|clinic| device.device.clinic == *clinic);
        if !is_asked || device.revoked_at.is_some() {
            continue;
        }
        let home = policy.clinics.get(&device.device.clinic);
        let place = home.and_then(|home| home.devices.get(&device.device.device)).and_then(|device| device.memo.as_ref());
        let hours = home.map(|home| home.hours.clone()).unwrap_or_default();
        rows.extend(device.report.found.iter().filter(|one| span.contains(&one.not_after)).map(|one| Expiring {
            kind: Origin::Found,
            serial: one.fingerprint.clone(),
            slot: device.device.to_string(),
            place: place.map(ToString::to_string),
            subject: one.subject.clone(),
            issuer: one.issuer.clone(),
            not_after: one.not_after,
            days_left: notice::days_left(&hours, Timestamp::from_unix(one.not_after), now),
            acts: wire::acts(Acts::Person),
            because: None,
            waits_for: None,
        }));
    }
    Ok(rows)
}

fn managed(row: &CertificateRow, scene: &Scene, plan: &Plan, now: Timestamp) -> Expiring {
    let home = scene.policy.clinics.get(&row.slot.device.clinic);
    let place = home.and_then(|home| home.devices.get(&row.slot.device.device)).and_then(|device| device.memo.as_ref());
    let waits_for = waits_for(plan, &row.slot);
    let acts = acts(row, scene, plan);
    let hours = scene.policy.clinics.get(&row.slot.clinic).map(|network| network.hours.clone()).unwrap_or_default();
    let is_needed = acts != Acts::Nobody;
    Expiring {
        kind: Origin::Managed,
        serial: row.serial.to_string(),
        slot: row.slot.to_string(),
        place: place.map(ToString::to_string),
        subject: format!("CN={}, O={}", row.template.common_name, row.template.organization),
        issuer: row.template.issuer.to_string(),
        not_after: row.not_after.unix(),
        days_left: notice::days_left(&hours, row.not_after, now),
        acts: wire::acts(acts),
        because: plan.verdicts.get(&row.slot).copied().flatten().filter(|_| is_needed).map(|reason| wire::reason(reason).to_owned()),
        waits_for: waits_for.filter(|_| is_needed).map(|obstacle| wire::obstacle(obstacle).to_owned()),
    }
}

/// Nobody has to act about what is replaced already, what policy does not want, and what is on a lost device.
fn acts(row: &CertificateRow, scene: &Scene, plan: &Plan) -> Acts {
    let is_wanted = scene.desired.slots.contains_key(&row.slot);
    let is_lost = scene.observed.devices.get(&row.slot.device).is_some_and(|device| device.revoked);
    let bearer = scene.observed.slots.get(&row.slot).and_then(notice::bearer);
    if !is_wanted || is_lost || bearer.is_none_or(|held| held.serial != row.serial) {
        return Acts::Nobody;
    }
    let profile = scene.policy.profiles.get(&row.slot.profile);
    let issuer = profile.and_then(|profile| scene.policy.issuers.get(&profile.issuer)).map(|issuer| &issuer.kind);
    notice::acts(issuer, waits_for(plan, &row.slot))
}

/// What clinics were told, newest first, at most `limit`.
pub async fn told(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, limit: u32) -> Result<Vec<Notice>, TurnError> {
    let letters = ledger.store().letters(tenant, clinic, limit).await?;
    let ids: Vec<String> = letters.iter().map(|letter| letter.id.clone()).collect();
    let mut deliveries: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
    for row in ledger.store().deliveries_of(&ids).await? {
        deliveries.entry(row.letter.clone()).or_default().push(delivery(row));
    }
    let told = letters.into_iter().filter_map(|letter| {
        let deliveries = deliveries.remove(&letter.id).unwrap_or_default();
        let bulletin = serde_json::from_value(letter.body).ok()?;
        Some(Notice { id: letter.id, at: letter.at.unix(), bulletin, deliveries })
    });
    Ok(told.collect())
}

fn delivery(row: DeliveryRow) -> Delivery {
    Delivery {
        id: row.id,
        channel: wire::channel(row.channel).to_owned(),
        to: shown(row.channel, &row.target),
        state: match row.state {
            notices::DeliveryState::Waiting => DeliveryState::Waiting,
            notices::DeliveryState::Done => DeliveryState::Done,
            notices::DeliveryState::Failed => DeliveryState::Failed,
        },
        attempts: row.attempts,
        at: row.at.unix(),
        problem: row.problem,
    }
}
