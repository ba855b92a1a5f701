//! What records say about who could open what. Whatever is no such record, or cannot be read, says nothing.

use serde_json::Value;
use tegata_api::v1::audit::{Record, Stage};
use tegata_api::v1::device::{Deed, Receipt};
use tegata_core::history::{Certificate, Event, Place};
use tegata_core::name::{DeviceId, SlotId};
use tegata_core::time::Timestamp;

/// Records of certificates that were signed or taken in.
pub const ISSUED: [&str; 5] = ["certificate.issue", "certificate.import", "certificate.adopt", "certificate.renewed", "portal.issue"];

/// Records of what became of a certificate: each names it.
pub const FATES: [&str; 6] =
    ["order.open", "certificate.installed", "certificate.proven", "certificate.retired", "certificate.revoke", "portal.revoke"];

/// What a record says.
pub fn read(record: &Record) -> Vec<Event> {
    let told = match record.action.as_str() {
        "order.open" => ordered(&record.details),
        action if ISSUED.contains(&action) => issued(record),
        // It counts from when it is done; what is intended is the same moment.
        "certificate.revoke" | "portal.revoke" if record.stage == Stage::Done => parsed(&record.details, "serial").map(Event::Revoked),
        "certificate.installed" | "certificate.proven" | "certificate.retired" => seen(record),
        _ => None,
    };
    let device = record.actor.strip_prefix("device:").and_then(|name| name.parse().ok());
    told.into_iter().chain(device.map(Event::Heard)).collect()
}

fn parsed<T: std::str::FromStr>(details: &Value, name: &str) -> Option<T> {
    details[name].as_str()?.parse().ok()
}

fn ordered(details: &Value) -> Option<Event> {
    Some(Event::Ordered(parsed(details, "order")?, parsed(details, "issuer")?))
}

fn issued(record: &Record) -> Option<Event> {
    let place = match record.object.parse::<SlotId>() {
        // A portal's `clinic/accounts/account` looks like a slot of a device called `accounts`.
        Ok(slot) if record.action != "portal.issue" => Place::Slot(slot),
        _ => {
            let (clinic, account) = record.object.split_once("/accounts/")?;
            Place::Account(clinic.parse().ok()?, account.parse().ok()?)
        }
    };
    let details = &record.details;
    let certificate = Certificate {
        serial: parsed(details, "serial")?,
        fingerprint: parsed(details, "fingerprint")?,
        order: parsed(details, "order"),
        not_after: Timestamp::from_unix(details["notAfter"].as_i64()?),
    };
    Some(Event::Issued(place, certificate))
}

/// Receipts were checked when they came; what they say stands in the bytes that the device has signed.
fn seen(record: &Record) -> Option<Event> {
    let device: DeviceId = record.actor.strip_prefix("device:")?.parse().ok()?;
    let receipt: Receipt = serde_json::from_str(record.details["receipt"].as_str()?).ok()?;
    match receipt.deed {
        Deed::Installed { fingerprint, .. } => Some(Event::Installed(device, fingerprint.parse().ok()?)),
        Deed::Proven { fingerprint, .. } => Some(Event::Proven(device, fingerprint.parse().ok()?)),
        Deed::Retired { fingerprint } => Some(Event::Gone(device, fingerprint.parse().ok()?)),
        Deed::InstallerQuarantined { .. } | Deed::InstallerRestored { .. } | Deed::LogContradicted { .. } => None,
        Deed::InstallerRemoved { .. } | Deed::RootTrusted { .. } | Deed::RootDistrusted { .. } => None,
    }
}
