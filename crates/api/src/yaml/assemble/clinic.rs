//! What one clinic says about profiles, accounts, devices, guests and backup targets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tegata_core::name::{DeviceId, ProfileName};
use tegata_core::policy::{Assignment, BackupTarget, CertificateProfile, ClinicNetwork, Quota, Selector};
use tegata_core::vendor::SubjectRule;

use super::{Declared, referred};
use crate::hint::{did_you_mean, quote};
use crate::v1::policy::{Account, ClinicNetworkSpec, Kind};
use crate::yaml::gather::{At, Gather, Wrong};

/// The most slots of one clinic, which is planned in one go.
pub(super) const SLOTS_MAX: usize = 10_000;

/// The longest common name in a certificate (RFC 5280, appendix A.1).
const COMMON_NAME_MAX: usize = 64;

pub(super) fn check(written: &ClinicNetworkSpec, clinic: &ClinicNetwork, declared: &Declared<'_>, gather: &mut Gather<'_>) {
    let root = At::ROOT;
    let at = root.key("spec");
    guests(written, clinic, declared, &at.key("guests"), gather);
    certificates(written, clinic, declared, &at.key("certificates"), gather);
    portal(written, declared, &at.key("portal"), gather);
    let at_backup = at.key("backup");
    let at_targets = at_backup.key("targets");
    let mut first: Option<&BackupTarget> = None;
    for (index, target) in written.backup.iter().flat_map(|backup| &backup.targets).enumerate() {
        let at = at_targets.item(index);
        let Some(target) = referred(&declared.targets, declared.is_broken, Kind::BackupTarget, &target.0, &at, gather) else { continue };
        same_keepers(first.get_or_insert(target), target, &at, gather);
    }
}

/// A backup is sealed once for all of a clinic's targets: whoever could open it alone for one of them could open it alone in each.
fn same_keepers(first: &BackupTarget, target: &BackupTarget, at: &At<'_>, gather: &mut Gather<'_>) {
    let (one, other) = (&first.keepers, &target.keepers);
    let is_fine = one.threshold.max(other.threshold) < 2
        || one.threshold == other.threshold && one.of.iter().collect::<BTreeSet<_>>() == other.of.iter().collect();
    if !is_fine {
        let message = format!(
            "the targets {} and {} let different people open a backup, which is sealed once for both",
            quote(first.name.as_str()),
            quote(target.name.as_str())
        );
        gather.say(at, Wrong::new(message, "write the same recipients and the same threshold into each of the clinic's targets"));
    }
}

fn portal(written: &ClinicNetworkSpec, declared: &Declared<'_>, at: &At<'_>, gather: &mut Gather<'_>) {
    let Some(portal) = &written.portal else { return };
    let at_issuer = at.key("issuer");
    let issuer = referred(&declared.issuers, declared.is_broken, Kind::Issuer, &portal.issuer.0, &at_issuer, gather);
    if issuer.is_some_and(|issuer| issuer.portal.is_none()) {
        let message = format!("the issuer {} has no portal", quote(&portal.issuer.0));
        gather.say(&at_issuer, Wrong::new(message, "write portal: { validity: 3y } into the issuer's spec, or name another"));
    }
    if !written.accounts.iter().any(|account| account.mail.is_some()) {
        let wrong = Wrong::new("nobody could sign in: no account of this clinic has a mail address", "write mail: into an account");
        gather.say_of_key(at, wrong);
    }
}

fn guests(written: &ClinicNetworkSpec, clinic: &ClinicNetwork, declared: &Declared<'_>, at: &At<'_>, gather: &mut Gather<'_>) {
    for (index, guest) in written.guests.iter().enumerate() {
        let at = at.item(index);
        if guest.clinic.0 == clinic.name.as_str() {
            let message = format!("{} is a guest in its own clinic", quote(&guest.device.0));
            gather.say(&at.key("clinic"), Wrong::new(message, "delete the entry: the clinic's own devices are no guests"));
            continue;
        }
        let Some(home) = referred(&declared.clinics, declared.is_broken, Kind::ClinicNetwork, &guest.clinic.0, &at.key("clinic"), gather)
        else {
            continue;
        };
        if !home.devices.keys().any(|device| device.as_str() == guest.device.0) {
            let message = format!("the clinic {} has no device {}", quote(&guest.clinic.0), quote(&guest.device.0));
            let hint = did_you_mean(&guest.device.0, home.devices.keys().map(|device| device.as_str()));
            gather.say(&at.key("device"), Wrong { message, hint });
        }
        let common_name = guest.device.0.len() + 1 + guest.clinic.0.len();
        if common_name > COMMON_NAME_MAX {
            let message = format!("the guest's name in certificates, device.clinic, would have {common_name} characters");
            gather.say(
                &at.key("device"),
                Wrong::new(message, format!("at most {COMMON_NAME_MAX} fit into a certificate; give the device a shorter name")),
            );
        }
    }
}

fn certificates(written: &ClinicNetworkSpec, clinic: &ClinicNetwork, declared: &Declared<'_>, at_list: &At<'_>, gather: &mut Gather<'_>) {
    let mut assigned: BTreeSet<(&ProfileName, DeviceId)> = BTreeSet::new();
    let mut under: BTreeMap<&str, Vec<Asked<'_>>> = BTreeMap::new();
    let mut slots = 0;
    for (index, assignment) in clinic.certificates.iter().enumerate() {
        let at = at_list.item(index);
        let at_profile = at.key("profile");
        let profile =
            referred(&declared.profiles, declared.is_broken, Kind::CertificateProfile, assignment.profile.as_str(), &at_profile, gather);
        if let Some(profile) = profile {
            comparable(clinic, profile, &at_profile, gather);
        }
        if gather.is_full() {
            return;
        }
        if let Some(account) = assignment.account.as_ref().filter(|account| !clinic.accounts.contains_key(*account)) {
            let known = clinic.accounts.keys().map(|account| account.as_str());
            let hint = did_you_mean(account.as_str(), known).unwrap_or_else(|| "add it under accounts".into());
            gather.say(&at.key("account"), Wrong::new(format!("there is no account {}", quote(account.as_str())), hint));
        }
        let Some(devices) = selected(clinic, declared, &assignment.devices) else { continue };
        nobody_missing(written, clinic, index, &devices, &at.key("devices"), gather);
        // Whoever succeeds somebody who has left needs the places for it.
        if let Some(account) = assignment.account.as_ref().and_then(|account| clinic.live_account(account)) {
            let profile = declared.profiles.get(assignment.profile.as_str()).copied().flatten();
            under.entry(account.as_str()).or_default().push(Asked { assignment, devices: devices.clone(), profile });
        }
        slots += devices.len();
        if slots > SLOTS_MAX {
            let message = format!("the clinic asks for more than {SLOTS_MAX} certificates");
            gather.say_of_key(at_list, Wrong::new(message, "split it into several clinics"));
            return;
        }
        for device in devices {
            if let Some((profile, device)) = assigned.replace((&assignment.profile, device)) {
                let message = format!("the profile {} is assigned to device {} twice", quote(profile.as_str()), quote(&device.to_string()));
                gather.say(&at, Wrong::new(message, "one certificate of a profile is enough; let each device be selected once"));
                break;
            }
        }
    }
    quotas(written, clinic, &under, gather);
}

/// Reports a profile that compares certificates with something which the clinic does not say: no vendor's file could ever be taken in.
fn comparable(clinic: &ClinicNetwork, profile: &CertificateProfile, at: &At<'_>, gather: &mut Gather<'_>) {
    let (missing, key) = match profile.expect.as_ref().map(|expect| expect.subject) {
        Some(SubjectRule::InstitutionNumber) if clinic.institution_number.is_none() => ("institution number", "institutionNumber"),
        Some(SubjectRule::VendorTenant) if clinic.vendor_tenant.is_none() => ("tenant at the vendor", "vendorTenant"),
        _ => return,
    };
    let message = format!("certificates of {} name the clinic's {missing}, which is not said", quote(profile.name.as_str()));
    gather.say(at, Wrong::new(message, format!("write {key}: into the clinic's spec")));
}

/// The devices that a selector means; `None` if that cannot be told because a guest's clinic could not be understood.
pub(super) fn selected(clinic: &ClinicNetwork, declared: &Declared<'_>, selector: &Selector) -> Option<Vec<DeviceId>> {
    let own = clinic.devices.iter().map(|(name, device)| (DeviceId { clinic: clinic.name.clone(), device: name.clone() }, &device.labels));
    match selector {
        Selector::All => Some(own.map(|(id, _)| id).chain(clinic.guests.iter().cloned()).collect()),
        Selector::Names(names) => {
            let there =
                |id: &&DeviceId| clinic.guests.contains(*id) || (id.clinic == clinic.name && clinic.devices.contains_key(&id.device));
            Some(names.iter().filter(there).cloned().collect())
        }
        Selector::Labels(wanted) => {
            let mut devices: Vec<(DeviceId, &BTreeMap<String, String>)> = own.collect();
            for guest in &clinic.guests {
                let home = declared.clinics.get(guest.clinic.as_str()).copied()??;
                devices.extend(home.devices.get(&guest.device).map(|device| (guest.clone(), &device.labels)));
            }
            let fits = |labels: &BTreeMap<String, String>| wanted.iter().all(|(key, value)| labels.get(key) == Some(value));
            Some(devices.into_iter().filter(|(_, labels)| fits(labels)).map(|(id, _)| id).collect())
        }
    }
}

/// Reports names that no device has, and labels that none carries.
fn nobody_missing(
    written: &ClinicNetworkSpec,
    clinic: &ClinicNetwork,
    index: usize,
    devices: &[DeviceId],
    at: &At<'_>,
    gather: &mut Gather<'_>,
) {
    let Some(selector) = &written.certificates[index].devices else { return };
    let at_names = at.key("names");
    let there: BTreeSet<(&str, &str)> = devices.iter().map(|id| (id.clinic.as_str(), id.device.as_str())).collect();
    for (index, name) in selector.names.iter().flatten().enumerate() {
        let (home, device) = name.0.split_once('/').unwrap_or((clinic.name.as_str(), &name.0));
        if !there.contains(&(home, device)) && !gather.is_full() {
            let guests: Vec<String> = clinic.guests.iter().map(ToString::to_string).collect();
            let known = clinic.devices.keys().map(|device| device.as_str()).chain(guests.iter().map(String::as_str));
            let hint = did_you_mean(&name.0, known)
                .unwrap_or_else(|| "add it under devices, or under guests if it stands in a sister clinic".into());
            gather.say(&at_names.item(index), Wrong::new(format!("there is no device {} here", quote(&name.0)), hint));
        }
    }
    if let (Some(wanted), true) = (&selector.match_labels, devices.is_empty()) {
        let words: Vec<String> = wanted.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let carried = clinic.devices.values().flat_map(|device| &device.labels).map(|(key, value)| format!("{key}: {value}"));
        let carried: BTreeSet<String> = carried.collect();
        let stray = words.iter().find(|word| !carried.contains(*word)).unwrap_or(&words[0]);
        let hint = did_you_mean(stray, carried.iter().map(String::as_str))
            .unwrap_or_else(|| "give the devices that are meant these labels".into());
        gather.say_of_key(&at.key("matchLabels"), Wrong::new(format!("no device carries {}", quote(&words.join(", "))), hint));
    }
}

/// Certificates that one line of a clinic asks for.
struct Asked<'a> {
    assignment: &'a Assignment,
    devices: Vec<DeviceId>,
    /// `None` if it could not be understood.
    profile: Option<&'a CertificateProfile>,
}

impl Asked<'_> {
    /// How many are issued within `span` to keep these alive, if each is replaced as early as policy allows.
    fn issued_within(&self, span: Duration) -> usize {
        let Some(profile) = self.profile else { return self.devices.len() };
        let life = profile.validity.as_secs();
        // No certificate is replaced before a third of its life is over, whatever the window says.
        let each = life - profile.renewal.window.as_secs().min(life / 3 * 2);
        let times = span.as_secs().div_ceil(each.max(1));
        self.devices.len().saturating_mul(usize::try_from(times).unwrap_or(usize::MAX))
    }
}

/// What is wrong with a quota under which this is asked for: the last certificates would never be issued.
fn too_few(account: &str, quota: Quota, asked: &[Asked<'_>]) -> Option<Wrong> {
    let allowed = usize::try_from(quota.certificates).unwrap_or(usize::MAX);
    let mut slots = asked.iter().flat_map(|asked| asked.devices.iter().map(move |device| (device, &asked.assignment.profile)));
    let (device, profile) = slots.nth(allowed)?;
    let count: usize = asked.iter().map(|asked| asked.devices.len()).sum();
    let message = format!("account {} may have {allowed} certificates, but {count} are asked for under it", quote(account));
    let hint = format!(
        "number {} is {profile} on {device}; let other accounts take some of the devices, or raise the quota if the issuer allows it",
        allowed + 1
    );
    Some(Wrong::new(message, hint))
}

/// What is wrong with a quota that renewals would use up: certificates would die before their turn comes.
fn too_slow(account: &str, quota: Quota, asked: &[Asked<'_>]) -> Option<Wrong> {
    let allowed = usize::try_from(quota.certificates).unwrap_or(usize::MAX);
    let (span, slots) = (quota.per?, asked.iter().map(|asked| asked.devices.len()).sum::<usize>());
    let needed = asked.iter().fold(0_usize, |sum, asked| sum.saturating_add(asked.issued_within(span)));
    (needed > allowed).then(|| {
        let days = span.as_secs() / 86_400;
        let message = format!(
            "account {} may be issued {allowed} certificates in {days} days, but keeping {slots} alive takes up to {needed}",
            quote(account)
        );
        Wrong::new(message, "let them live longer, raise the quota, or delete `per` if the issuer counts only those alive")
    })
}

/// Reports accounts whose quota is smaller than what is asked for under them.
fn quotas(written: &ClinicNetworkSpec, clinic: &ClinicNetwork, under: &BTreeMap<&str, Vec<Asked<'_>>>, gather: &mut Gather<'_>) {
    let root = At::ROOT;
    let at_spec = root.key("spec");
    let at_accounts = at_spec.key("accounts");
    for (index, account) in written.accounts.iter().enumerate() {
        let at_account = at_accounts.item(index);
        let Some(known) = clinic.accounts.iter().find(|(name, _)| name.as_str() == account.name.0).map(|(_, known)| known) else {
            continue;
        };
        successor(account, clinic, &at_account.key("successor"), gather);
        let asked = under.get(account.name.0.as_str()).map(Vec::as_slice).unwrap_or_default();
        for (number, quota) in known.quotas.iter().enumerate() {
            let wrong = too_few(&account.name.0, *quota, asked);
            if let Some(wrong) = wrong.or_else(|| too_slow(&account.name.0, *quota, asked).filter(|_| gather.is_new())) {
                let at_quota = at_account.key("quota");
                let at_also = at_quota.key("also");
                let at_bound = if number == 0 { at_quota } else { at_also.item(number - 1) };
                gather.say(&at_bound.key("certificates"), wrong);
            }
        }
    }
}

/// Reports a successor that there is not, and one who leads to nobody.
fn successor(written: &Account, clinic: &ClinicNetwork, at: &At<'_>, gather: &mut Gather<'_>) {
    let Some(name) = &written.successor else { return };
    let known = clinic.accounts.iter().find(|(known, _)| known.as_str() == name.0);
    let Some((_, successor)) = known else {
        let hint =
            did_you_mean(&name.0, clinic.accounts.keys().map(|account| account.as_str())).unwrap_or_else(|| "add it under accounts".into());
        return gather.say(at, Wrong::new(format!("there is no account {}", quote(&name.0)), hint));
    };
    let hint = "name an account whose person is there";
    if name.0 == written.name.0 {
        gather.say(at, Wrong::new(format!("account {} would succeed itself", quote(&name.0)), hint));
    } else if !successor.active && known.and_then(|(name, _)| clinic.live_account(name)).is_none() {
        let message = format!("account {} has left too, and nobody who is there succeeds it", quote(&name.0));
        gather.say(at, Wrong::new(message, hint));
    }
}
