//! Writes down what was decided, in the same transaction as the work that it orders, and gives the proof.

use aws_lc_rs::rand;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::{ClinicId, DeviceId, OrderId};
use tegata_core::plan::{Action, Plan};
use tegata_core::policy::KeyOrigin;
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;

use super::observe::{Scene, newest_orders};
use crate::audit::{Ledger, Recorded, TEGATA};
use crate::store::installers::InstallerChange;
use crate::store::{Batch, Change, NewRecord, OrderRow, OrderState, StoreError};
use crate::words;

/// Puts every action of the plan on record, as *intended*. Holds are silence: they are shown to whoever asks, and not recorded.
pub(crate) async fn announce(
    ledger: &Ledger,
    clinic: &ClinicId,
    scene: &Scene,
    plan: &Plan,
    now: Timestamp,
) -> Result<Recorded<Vec<Action>>, StoreError> {
    let actions: Vec<Action> = plan.actions.iter().filter(|action| !action.is_waiting()).cloned().collect();
    let mut batch = Batch::default();
    batch.changes.extend(nothing_was_given_out_since(clinic, scene, &actions));
    for action in &actions {
        let announcement = Announcement { clinic, scene, batch: &mut batch, now };
        announcement.write(action)?;
    }
    if actions.is_empty() { Ok(ledger.nothing()) } else { ledger.record(actions, batch).await }
}

/// Who brings a vendor's file, or asks at the portal, waits for no turn: a slot may hold what it misses by now, or the last place be gone.
fn nothing_was_given_out_since(clinic: &ClinicId, scene: &Scene, actions: &[Action]) -> Option<Change> {
    let has_portal = scene.policy.clinics.get(&clinic.clinic).is_some_and(|clinic| clinic.portal.is_some());
    let is_contested =
        |action: &Action| matches!(action, Action::Issue { template, .. } if has_portal || template.key == KeyOrigin::Vendor);
    let guard = || Change::ExpectNudges { clinic: clinic.clone(), nudges: scene.snapshot.nudges };
    actions.iter().any(is_contested).then(guard)
}

struct Announcement<'a> {
    clinic: &'a ClinicId,
    scene: &'a Scene,
    batch: &'a mut Batch,
    now: Timestamp,
}

impl Announcement<'_> {
    fn write(mut self, action: &Action) -> Result<(), StoreError> {
        let (tenant, at) = (self.clinic.tenant.clone(), self.now);
        match action {
            Action::Issue { .. } => self.order(action)?,
            Action::Cancel { slot, because } => {
                let Some(order) = newest_orders(&self.scene.snapshot).get(slot).map(|order| order.id) else { return Ok(()) };
                let details = json!({ "order": order.to_string(), "because": words::reason(*because) });
                // The transaction is the deed.
                self.record(Stage::Intended, "order.cancel", slot, details.clone());
                self.record(Stage::Done, "order.cancel", slot, details);
                self.batch.changes.push(Change::CancelOrder { id: order, at });
            }
            Action::Revoke { slot, serial, because } => {
                let cause = Cause::from(*because);
                let details = json!({ "serial": serial.to_string(), "because": words::reason(*because), "reason": words::cause(cause) });
                // Revocation lists are made from the database: once it is there, it is done.
                self.record(Stage::Intended, "certificate.revoke", slot, details.clone());
                self.record(Stage::Done, "certificate.revoke", slot, details);
                self.batch.changes.push(Change::Revoke { serial: *serial, at, because: cause });
            }
            Action::Retire { slot, serial, because } => {
                let details = json!({ "serial": serial.to_string(), "because": words::reason(*because) });
                self.record(Stage::Intended, "certificate.retire", slot, details);
                self.batch.changes.push(Change::Retiring { serial: *serial, at });
            }
            Action::RemoveInstaller { device, sha256 } => {
                self.record(Stage::Intended, "installer.remove", device, json!({ "sha256": sha256.to_string() }));
                let (device, sha256): (DeviceId, _) = (device.clone(), *sha256);
                self.batch.changes.push(Change::RemovingInstaller { tenant, device, sha256 });
            }
            Action::QuarantineInstaller { device, sha256 } => {
                self.record(Stage::Intended, "installer.quarantine", device, json!({ "sha256": sha256.to_string() }));
                let (device, sha256): (DeviceId, _) = (device.clone(), *sha256);
                self.batch.changes.push(Change::Installer(InstallerChange::Quarantining { tenant, device, sha256 }));
            }
            Action::KeepInstaller { .. } | Action::Hold { .. } => {}
        }
        Ok(())
    }

    fn order(&mut self, action: &Action) -> Result<(), StoreError> {
        let Action::Issue { slot, because, template, account, replaces } = action else { return Ok(()) };
        let id = new_order_id()?;
        let details = json!({
            "order": id.to_string(),
            "because": words::reason(*because),
            "issuer": template.issuer.as_str(),
            "commonName": template.common_name,
            "organization": template.organization,
            "key": words::key(template.key),
            "validitySeconds": template.validity.as_secs(),
            "account": account.as_ref().map(|name| name.as_str()),
            "replaces": replaces.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        self.record(Stage::Intended, "order.open", slot, details);
        self.batch.changes.push(Change::OpenOrder(OrderRow {
            id,
            tenant: self.clinic.tenant.clone(),
            slot: slot.clone(),
            template: template.clone(),
            account: account.clone(),
            because: *because,
            replaces: replaces.clone(),
            opened_at: self.now,
            state: OrderState::Open,
            draft: None,
            found: None,
        }));
        Ok(())
    }

    fn record(&mut self, stage: Stage, action: &'static str, object: &impl ToString, details: serde_json::Value) {
        let (tenant, actor) = (self.clinic.tenant.clone(), TEGATA.to_owned());
        self.batch.records.push(NewRecord { tenant, at: self.now, stage, actor, action, object: object.to_string(), details });
    }
}

pub(crate) fn new_order_id() -> Result<OrderId, StoreError> {
    let mut id = [0; 16];
    rand::fill(&mut id).map_err(|_| StoreError::Unsafe("the operating system gives no random numbers".into()))?;
    Ok(OrderId(id))
}
