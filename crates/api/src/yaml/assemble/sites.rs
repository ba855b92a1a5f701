//! On one device, a browser can select only one certificate of a clinic for a site. Between clinics people choose (`tegata-agent switch`).

use std::collections::BTreeMap;

use tegata_core::name::DeviceId;
use tegata_core::policy::{Assignment, ClinicNetwork};

use super::Declared;
use super::clinic::{SLOTS_MAX, selected};
use crate::hint::quote;
use crate::v1::device::origin;
use crate::v1::problem::Finding;
use crate::yaml::draft::{Content, Draft};
use crate::yaml::gather::{At, Wrong};

/// Reports every assignment that selects for a site which another profile of the clinic selects for on the same device: the first device of each.
/// The clinics of a guest are told apart by the slug or the vendor's names in their certificates.
pub(super) fn check(drafts: &[Draft], declared: &Declared<'_>, findings: &mut Vec<Finding>) {
    for draft in drafts {
        let Some(Content::Clinic(_, clinic)) = &draft.content else { continue };
        let mut gather = draft.gather();
        let (mut claims, mut slots) = (Claims::new(), 0);
        for (index, assignment) in clinic.certificates.iter().enumerate() {
            let Some(devices) = selected(clinic, declared, &assignment.devices) else { continue };
            slots += devices.len();
            // Reported where the slots are counted.
            if slots > SLOTS_MAX {
                break;
            }
            if let Some(wrong) = conflict(clinic, assignment, devices, declared, &mut claims) {
                let root = At::ROOT;
                let at_spec = root.key("spec");
                gather.say(&at_spec.key("certificates").item(index).key("profile"), wrong);
            }
        }
        findings.append(&mut gather.findings);
    }
}

/// Which profile of the clinic selects for each site on each device.
type Claims<'a> = BTreeMap<DeviceId, BTreeMap<String, &'a str>>;

fn conflict<'a>(
    clinic: &ClinicNetwork,
    assignment: &Assignment,
    devices: Vec<DeviceId>,
    declared: &Declared<'a>,
    claims: &mut Claims<'a>,
) -> Option<Wrong> {
    let profile = declared.profiles.get(assignment.profile.as_str()).copied()??;
    let (name, sites) = (profile.name.as_str(), profile.select.iter().map(|site| origin(&site.fill(clinic))));
    let sites: Vec<String> = sites.collect();
    for device in devices {
        let claimed = claims.entry(device.clone()).or_default();
        for site in &sites {
            // The same profile twice is reported as such.
            if let Some(first) = claimed.insert(site.clone(), name).filter(|first| *first != name) {
                return Some(both(first, name, &device, site));
            }
        }
    }
    None
}

fn both(first: &str, second: &str, device: &DeviceId, site: &str) -> Wrong {
    let (device, site) = (quote(&device.to_string()), quote(site));
    Wrong::new(
        format!("on device {device}, profiles {} and {} both select for {site}", quote(first), quote(second)),
        "a browser takes one certificate for a site; let one of them name another, or go on other devices",
    )
}
