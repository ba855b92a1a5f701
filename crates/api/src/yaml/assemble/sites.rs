//! On one device, a browser can select only one certificate for a site.

use std::collections::{BTreeMap, BTreeSet};

use tegata_core::name::{ClinicName, DeviceId};
use tegata_core::policy::{Assignment, ClinicNetwork};

use super::Declared;
use super::clinic::{SLOTS_MAX, selected};
use crate::hint::quote;
use crate::v1::problem::Finding;
use crate::yaml::draft::{Content, Draft};
use crate::yaml::gather::{At, Wrong};

/// Who selects for a site on a device first.
struct Claim<'a> {
    clinic: &'a ClinicName,
    profile: &'a str,
}

/// Reports every assignment that selects for a site which something else selects for on the same device: the first device of each.
pub(super) fn check(drafts: &[Draft], declared: &Declared<'_>, findings: &mut Vec<Finding>) {
    let shared = guests(declared);
    // Claims on devices of one clinic alone are forgotten with it; those on shared devices are kept to the end.
    let mut on_shared = BTreeMap::new();
    for draft in drafts {
        let Some(Content::Clinic(_, clinic)) = &draft.content else { continue };
        let mut gather = draft.gather();
        let (mut on_own, mut slots) = (BTreeMap::new(), 0);
        for (index, assignment) in clinic.certificates.iter().enumerate() {
            let Some(devices) = selected(clinic, declared, &assignment.devices) else { continue };
            slots += devices.len();
            // Reported where the slots are counted.
            if slots > SLOTS_MAX {
                break;
            }
            if let Some(wrong) = conflict(clinic, assignment, &devices, declared, [&mut on_own, &mut on_shared], &shared) {
                let root = At::ROOT;
                let at_spec = root.key("spec");
                gather.say(&at_spec.key("certificates").item(index).key("profile"), wrong);
            }
        }
        findings.append(&mut gather.findings);
    }
}

fn guests<'a>(declared: &Declared<'a>) -> BTreeSet<&'a DeviceId> {
    declared.clinics.values().flatten().flat_map(|clinic| &clinic.guests).collect()
}

/// A site as browsers tell it from others (RFC 6454, section 4): the case of its letters and the usual port make no difference.
fn origin(site: &str) -> String {
    reqwest::Url::parse(site).map_or_else(|_| site.to_owned(), |url| url.origin().ascii_serialization())
}

/// What is claimed on each device, by site.
type Claims<'a> = BTreeMap<DeviceId, BTreeMap<String, Claim<'a>>>;

fn conflict<'a>(
    clinic: &'a ClinicNetwork,
    assignment: &Assignment,
    devices: &[DeviceId],
    declared: &Declared<'a>,
    [on_own, on_shared]: [&mut Claims<'a>; 2],
    shared: &BTreeSet<&DeviceId>,
) -> Option<Wrong> {
    let profile = declared.profiles.get(assignment.profile.as_str()).copied()??;
    let sites: Vec<String> = profile.select.iter().map(|site| origin(&site.fill(clinic))).collect();
    for device in devices {
        let claims = if shared.contains(device) { &mut *on_shared } else { &mut *on_own }.entry(device.clone()).or_default();
        for site in &sites {
            let claim = Claim { clinic: &clinic.name, profile: profile.name.as_str() };
            let Some(first) = claims.insert(site.clone(), claim) else { continue };
            // The same profile twice in one clinic is reported as such.
            if first.clinic != &clinic.name || first.profile != profile.name.as_str() {
                return Some(both(&first, clinic, profile.name.as_str(), device, site));
            }
        }
    }
    None
}

fn both(first: &Claim<'_>, clinic: &ClinicNetwork, profile: &str, device: &DeviceId, site: &str) -> Wrong {
    let (device, site) = (quote(&device.to_string()), quote(site));
    if first.profile == profile {
        Wrong::new(
            format!(
                "on device {device}, profile {} selects for {site} for clinics {} and {}",
                quote(profile),
                quote(first.clinic.as_str()),
                quote(clinic.name.as_str())
            ),
            "a browser takes one certificate for a site; put {facilitySlug} into it, so that each clinic has its own",
        )
    } else {
        Wrong::new(
            format!("on device {device}, profiles {} and {} both select for {site}", quote(first.profile), quote(profile)),
            "a browser takes one certificate for a site; let one of them name another, or go on other devices",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_takes_for_one_site_is_one_site() {
        assert_eq!(origin("https://App.example.jp:443"), origin("https://app.example.jp"));
        assert_eq!(origin("https://app.example.jp:0443"), origin("https://app.example.jp:"));
        assert_ne!(origin("https://app.example.jp:8443"), origin("https://app.example.jp"));
        assert_ne!(origin("https://app.example.jp:1443"), origin("https://app.example.jp:443"));
    }
}
