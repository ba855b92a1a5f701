//! Reads what happens to installer files.

use std::collections::{BTreeMap, BTreeSet};

use tegata_core::calendar::Calendar;
use tegata_core::name::{DeviceName, FolderPattern, Sha256};
use tegata_core::policy::{self, InstallerRule};

use super::{optional, set};
use crate::hint::{did_you_mean, quote};
use crate::v1::policy::{Exemption, Folder, Installers, OnReturn, RemoveInstallers, UnknownInstallers};
use crate::yaml::gather::{At, Gather, Wrong};
use crate::yaml::written;

/// The devices of the clinic.
type Devices = BTreeMap<DeviceName, policy::Device>;

pub(super) fn rule(
    installers: Option<&Installers>,
    at: &At<'_>,
    hours: &Calendar,
    devices: &Devices,
    gather: &mut Gather<'_>,
) -> InstallerRule {
    let usual = BTreeSet::from([policy::Folder::Downloads, policy::Folder::Desktop]);
    let Some(installers) = installers else { return InstallerRule { folders: usual, ..InstallerRule::default() } };
    let at_folders = at.key("folders");
    let said = |folder: &Folder| format!("{folder:?}").to_lowercase();
    let folders = installers.folders.as_ref().map(|folders| set(folders, &at_folders, gather, |word, _, _| Some(folder(*word)), said));
    let read = |text: &crate::v1::policy::FolderPattern, at: &At<'_>, gather: &mut Gather<'_>| {
        let read = text.0.parse::<FolderPattern>();
        gather.take(at, read.map_err(|error| Wrong::new(format!("{} is no folder below the home", quote(&text.0)), error.to_string())))
    };
    let also = set(&installers.also, &at.key("also"), gather, read, |text| text.0.clone());
    let remove = match installers.remove {
        RemoveInstallers::AfterProof => policy::RemoveInstallers::AfterProof,
        RemoveInstallers::Never => policy::RemoveInstallers::Never,
    };
    let on_return = match installers.on_return {
        None | Some(OnReturn::Report) => policy::OnReturn::Report,
        Some(OnReturn::Rotate) => policy::OnReturn::Rotate,
    };
    if folders.as_ref().is_some_and(BTreeSet::is_empty) && also.is_empty() && remove == policy::RemoveInstallers::AfterProof {
        let hint = "name at least one, such as downloads and desktop, or leave folders out";
        gather.say_of_key(&at_folders, Wrong::new("installers are to be removed, but no folder is named", hint));
    }
    let on_unknown = match installers.unknown {
        None | Some(UnknownInstallers::Ignore) => policy::OnUnknown::Ignore,
        Some(UnknownInstallers::Ask) => policy::OnUnknown::Ask,
        Some(UnknownInstallers::Quarantine) => policy::OnUnknown::Quarantine,
    };
    InstallerRule {
        remove,
        folders: folders.unwrap_or(usual),
        also,
        on_return,
        on_unknown,
        exempt: exemptions(&installers.exempt, &at.key("exempt"), hours, devices, gather),
    }
}

fn folder(folder: Folder) -> policy::Folder {
    match folder {
        Folder::Downloads => policy::Folder::Downloads,
        Folder::Desktop => policy::Folder::Desktop,
        Folder::Documents => policy::Folder::Documents,
        Folder::Temp => policy::Folder::Temp,
        Folder::Mail => policy::Folder::Mail,
        Folder::Cloud => policy::Folder::Cloud,
        Folder::Trash => policy::Folder::Trash,
        Folder::Removable => policy::Folder::Removable,
    }
}

fn exemptions(list: &[Exemption], at: &At<'_>, hours: &Calendar, devices: &Devices, gather: &mut Gather<'_>) -> Vec<policy::Exemption> {
    let mut exemptions = Vec::new();
    for (index, written) in list.iter().enumerate() {
        let at = at.item(index);
        if written.device.is_none() && written.sha256.is_none() {
            let hint = "name a device, a file by its sha256, or both; to remove none at all, write remove: never";
            gather.say(&at, Wrong::new("it is not said what is exempt", hint));
        }
        let device = optional(written.device.as_ref(), |name| gather.name::<DeviceName>(&at.key("device"), &name.0));
        if let Some(Some(name)) = device.as_ref().filter(|name| name.as_ref().is_some_and(|name| !devices.contains_key(name))) {
            let hint = did_you_mean(name.as_str(), devices.keys().map(DeviceName::as_str)).unwrap_or_default();
            gather.say(&at.key("device"), Wrong::new(format!("the clinic has no device {}", quote(name.as_str())), hint));
        }
        let wrong = || Wrong::new("a file is named by 64 hexadecimal digits", "copy them from `tegata get installers -o json`");
        let file =
            optional(written.sha256.as_ref(), |digest| gather.take(&at.key("sha256"), digest.0.parse::<Sha256>().map_err(|_| wrong())));
        let until = gather.take(&at.key("until"), written::date(&written.until.0, &written.until.0));
        if let (Some(device), Some(file), Some(until)) = (device, file, until) {
            exemptions.push(policy::Exemption { device, file, until: hours.begins(until) });
        }
    }
    exemptions
}
