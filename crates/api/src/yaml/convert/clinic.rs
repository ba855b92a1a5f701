//! Reads a clinic.

mod installers;
mod notify;

use std::collections::BTreeMap;

use tegata_core::calendar::{self, Calendar, Weekday};
use tegata_core::name::{ClinicName, DeviceId, Label};
use tegata_core::policy;

use super::{ROOT, labels, set, ssh};
use crate::hint::{did_you_mean, quote};
use crate::v1::policy::{
    Account, AccountState, Assignment, Backup, Bound, ClinicNetworkSpec, Counting, Device, Hours, Name, OpenHours, Platform, Quota,
    Selector,
};
use crate::yaml::gather::{At, Gather, Wrong};
use crate::yaml::written;

/// How many certificates that still work may be replaced at the same time, if the policy does not say.
const REPLACE_AT_ONCE: u32 = 10;

/// Time zones that are offered when one is mistyped.
const ZONES: [&str; 3] = ["Asia/Tokyo", "UTC", "Asia/Seoul"];

pub(crate) fn clinic(name: Option<ClinicName>, spec: &ClinicNetworkSpec, gather: &mut Gather<'_>) -> Option<policy::ClinicNetwork> {
    let at = ROOT.key("spec");
    let display_name = gather.name(&at.key("displayName"), &spec.display_name.0);
    let institution_number = optional(spec.institution_number.as_ref(), |number| gather.name(&at.key("institutionNumber"), &number.0));
    let vendor_tenant = optional(spec.vendor_tenant.as_ref(), |tenant| gather.name(&at.key("vendorTenant"), &tenant.0));
    let facility_slug = gather.name(&at.key("facilitySlug"), &spec.facility_slug.0);
    let contacts = set(&spec.contacts, &at.key("contacts"), gather, |mail, at, gather| gather.name(at, &mail.0), |mail| mail.0.clone());
    let notify = spec.notify.as_ref().map(|notify| notify::notify(notify, &at.key("notify"), gather)).unwrap_or_default();
    let hours = spec.hours.as_ref().map(|hours| calendar(hours, &at.key("hours"), gather)).unwrap_or_default();
    let accounts = accounts(&spec.accounts, &at.key("accounts"), gather);
    let ssh = spec.ssh.as_ref().map(|ssh| ssh::clinic(ssh, &at.key("ssh"), gather)).unwrap_or_default();
    let has_user = spec.ssh.as_ref().is_some_and(|ssh| ssh.user.is_some());
    let devices = devices(&spec.devices, has_user, &at.key("devices"), gather);
    let guests = set(
        &spec.guests,
        &at.key("guests"),
        gather,
        |guest, at, gather| {
            let (clinic, device) = (gather.name(&at.key("clinic"), &guest.clinic.0), gather.name(&at.key("device"), &guest.device.0));
            Some(DeviceId { clinic: clinic?, device: device? })
        },
        |guest| format!("{}/{}", guest.clinic, guest.device),
    );
    let certificates = assignments(name.as_ref(), &spec.certificates, &at.key("certificates"), gather);
    let backup = spec.backup.as_ref().map(|backup| self::backup(backup, &at.key("backup"), gather));
    let portal = optional(spec.portal.as_ref(), |portal| gather.name(&at.key("portal").key("issuer"), &portal.issuer.0));
    let installers = installers::rule(spec.installers.as_ref(), &at.key("installers"), &hours, &devices, gather);
    Some(policy::ClinicNetwork {
        name: name?,
        display_name: display_name?,
        institution_number: institution_number?,
        vendor_tenant: vendor_tenant?,
        facility_slug: facility_slug?,
        contacts: contacts.into_iter().collect(),
        notify,
        hours,
        accounts,
        devices,
        guests,
        certificates: certificates?,
        installers,
        backup: backup.unwrap_or_default(),
        replace_at_once: spec.rollout.as_ref().map_or(REPLACE_AT_ONCE, |rollout| rollout.replace_at_once),
        portal: portal?,
        ssh,
    })
}

fn backup(backup: &Backup, at: &At<'_>, gather: &mut Gather<'_>) -> policy::BackupRule {
    let read = |name: &Name, at: &At<'_>, gather: &mut Gather<'_>| gather.name(at, &name.0);
    let targets = set(&backup.targets, &at.key("targets"), gather, read, |name| name.0.clone());
    let at_least = backup.at_least.map(usize::from);
    if at_least.is_some_and(|least| least == 0 || least > backup.targets.len()) {
        let hint = "write a number from 1 to that of the targets, or leave it out: then it is all of them";
        gather.say(&at.key("atLeast"), Wrong::new(format!("there are {} targets", backup.targets.len()), hint));
    }
    let approvals = backup.approvals.unwrap_or(1);
    if !(1..=2).contains(&approvals) {
        gather.say(&at.key("approvals"), Wrong::new("a backup is read by one person or by two", "write 1 or 2"));
    }
    policy::BackupRule { targets, at_least, approvals }
}

/// Reads what may be left out: `None` only if it is there and wrong.
fn optional<T, U>(written: Option<&T>, read: impl FnOnce(&T) -> Option<U>) -> Option<Option<U>> {
    match written {
        None => Some(None),
        Some(written) => read(written).map(Some),
    }
}

fn calendar(hours: &Hours, at: &At<'_>, gather: &mut Gather<'_>) -> Calendar {
    if !Calendar::check_zone(&hours.time_zone) {
        let hint = did_you_mean(&hours.time_zone, ZONES).unwrap_or_default();
        gather.say(&at.key("timeZone"), Wrong::new(format!("there is no time zone {}", quote(&hours.time_zone)), hint));
    }
    let open = week(&hours.open, &at.key("open"), gather);
    let quiet = week(&hours.quiet, &at.key("quiet"), gather);
    let at = at.key("closed");
    let closed = set(&hours.closed, &at, gather, |days, at, gather| gather.take(at, written::closed(&days.0)), |days| days.0.clone());
    Calendar { time_zone: Some(hours.time_zone.clone()), open, quiet, closed: closed.into_iter().collect() }
}

/// Reads hours for days and rows of days.
fn week(written: &BTreeMap<String, OpenHours>, at_week: &At<'_>, gather: &mut Gather<'_>) -> BTreeMap<Weekday, Vec<calendar::Hours>> {
    let mut open = BTreeMap::new();
    for (row, text) in written {
        let at = at_week.key(row);
        let spans = gather.take(&at, written::hours(&text.0));
        let days = match written::days(row) {
            Ok(days) => days,
            Err(wrong) => {
                gather.say_of_key(&at, wrong);
                continue;
            }
        };
        for day in days {
            if open.insert(day, spans.clone().unwrap_or_default()).is_some() {
                let message = format!("{} names a day that has hours already", quote(row));
                gather.say_of_key(&at, Wrong::new(message, "let each day stand in one row only"));
                break;
            }
        }
    }
    open
}

fn accounts(list: &[Account], at: &At<'_>, gather: &mut Gather<'_>) -> BTreeMap<tegata_core::name::AccountName, policy::Account> {
    let mut accounts = BTreeMap::new();
    for (index, written) in list.iter().enumerate() {
        let at = at.item(index);
        let mail = written.mail.as_ref().and_then(|mail| gather.name(&at.key("mail"), &mail.0));
        let successor = written.successor.as_ref().and_then(|name| gather.name(&at.key("successor"), &name.0));
        let quotas = written.quota.as_ref().map(|written| quotas(written, &at.key("quota"), gather)).unwrap_or_default();
        let account = policy::Account { mail, active: written.state != Some(AccountState::Left), successor, quotas };
        if let Some(name) = gather.name(&at.key("name"), &written.name.0) {
            gather.unique(&mut accounts, &at.key("name"), "accounts", name, account);
        }
    }
    accounts
}

/// Reads every bound, the first one from the quota itself.
fn quotas(quota: &Quota, at: &At<'_>, gather: &mut Gather<'_>) -> Vec<policy::Quota> {
    let Quota { certificates, per, counting, also } = quota;
    let first = Bound { certificates: *certificates, per: per.clone(), counting: *counting };
    let mut bounds: Vec<policy::Quota> = bound(&first, at, gather).into_iter().collect();
    let at_also = at.key("also");
    for (index, written) in also.iter().enumerate() {
        let at = at_also.item(index);
        let Some(read) = bound(written, &at, gather) else { continue };
        if bounds.iter().any(|other| other.per == read.per && other.counting == read.counting) {
            let message = "two bounds count the same certificates over the same span";
            gather.say(&at, Wrong::new(message, "keep the smaller one"));
        }
        bounds.push(read);
    }
    bounds
}

fn bound(quota: &Bound, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::Quota> {
    let at_per = at.key("per");
    let per = optional(quota.per.as_ref(), |per| gather.take(&at_per, written::span(&per.0)))?;
    if quota.counting.is_some() && per.is_none() {
        let message = "what is alive is counted without regard to when it was issued";
        gather.say(&at.key("counting"), Wrong::new(message, "delete counting, or write a span such as per: 730d"));
    }
    if per.is_some_and(|per| per < tegata_core::time::DAY) {
        gather.say(
            &at_per,
            Wrong::new("a quota is counted over at least one day", "write a span such as 730d, or leave per out to count those alive"),
        );
    }
    let counting = match quota.counting {
        None | Some(Counting::Issued) => policy::Counting::Issued,
        Some(Counting::Unrevoked) => policy::Counting::Unrevoked,
    };
    Some(policy::Quota { certificates: quota.certificates, per, counting })
}

fn devices(
    list: &[Device],
    has_user: bool,
    at: &At<'_>,
    gather: &mut Gather<'_>,
) -> BTreeMap<tegata_core::name::DeviceName, policy::Device> {
    let mut devices = BTreeMap::new();
    for (index, written) in list.iter().enumerate() {
        let at = at.item(index);
        let memo = written.memo.as_ref().and_then(|memo| gather.name::<Label>(&at.key("memo"), &memo.0));
        labels(&written.labels, &at.key("labels"), gather);
        let platform = match written.platform {
            Platform::Windows => policy::Platform::Windows,
            Platform::Macos => policy::Platform::Macos,
            Platform::Linux => policy::Platform::Linux,
        };
        let ssh = written.ssh.as_ref().and_then(|ssh| ssh::device(ssh, has_user, &at.key("ssh"), gather));
        if let Some(name) = gather.name(&at.key("name"), &written.name.0) {
            let device = policy::Device { platform, memo, labels: written.labels.clone(), ssh };
            gather.unique(&mut devices, &at.key("name"), "devices", name, device);
        }
    }
    devices
}

fn assignments(clinic: Option<&ClinicName>, list: &[Assignment], at: &At<'_>, gather: &mut Gather<'_>) -> Option<Vec<policy::Assignment>> {
    let mut assignments = Vec::new();
    for (index, written) in list.iter().enumerate() {
        let at = at.item(index);
        let profile = gather.name(&at.key("profile"), &written.profile.0);
        let account = optional(written.account.as_ref(), |account| gather.name(&at.key("account"), &account.0));
        let devices = match &written.devices {
            None => Some(policy::Selector::All),
            Some(devices) => selector(clinic, devices, &at.key("devices"), gather),
        };
        if let (Some(profile), Some(account), Some(devices)) = (profile, account, devices) {
            assignments.push(policy::Assignment { profile, account, devices });
        }
    }
    Some(assignments).filter(|read| read.len() == list.len())
}

fn selector(clinic: Option<&ClinicName>, selector: &Selector, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::Selector> {
    let nothing = "leave devices out to mean every device, or write names or matchLabels with something in it";
    match (&selector.names, &selector.match_labels) {
        (Some(names), None) if !names.is_empty() => {
            let named = set(names, &at.key("names"), gather, |name, at, gather| device(clinic, &name.0, at, gather), |name| name.0.clone());
            Some(policy::Selector::Names(named)).filter(|_| clinic.is_some())
        }
        (None, Some(wanted)) if !wanted.is_empty() => {
            labels(wanted, &at.key("matchLabels"), gather);
            Some(policy::Selector::Labels(wanted.clone()))
        }
        (Some(_), Some(_)) => {
            gather.say_of_key(
                at,
                Wrong::new(
                    "devices are selected by names and by labels at once",
                    "keep one of names and matchLabels; make a second entry for the other",
                ),
            );
            None
        }
        (Some(_), None) => {
            gather.say_of_key(&at.key("names"), Wrong::new("the list of names is empty, so no device is selected", nothing));
            None
        }
        (None, Some(_)) => {
            gather.say_of_key(&at.key("matchLabels"), Wrong::new("no label is named, so it is not said which devices are meant", nothing));
            None
        }
        (None, None) => {
            gather.say_of_key(at, Wrong::new("the selection of devices is empty", nothing));
            None
        }
    }
}

/// Reads `device` or `clinic/device`.
fn device(clinic: Option<&ClinicName>, text: &str, at: &At<'_>, gather: &mut Gather<'_>) -> Option<DeviceId> {
    match text.split_once('/') {
        None => Some(DeviceId { device: gather.name(at, text)?, clinic: clinic?.clone() }),
        Some((clinic, device)) => {
            let (clinic, device) = (gather.name(at, clinic), gather.name(at, device));
            Some(DeviceId { clinic: clinic?, device: device? })
        }
    }
}
