//! The written form of closed enums: one word each, in kebab case, in the database as on the wire.

use tegata_api::v1::{fleet, notice};
use tegata_core::application::Urgency;
use tegata_core::backup::Trouble;
use tegata_core::calendar::Stretch;
use tegata_core::name::{ClinicName, Serial, Sha256};
use tegata_core::notice::{Acts, Kind, Rung};
use tegata_core::plan::{Action, Backups, Keeping, Obstacle, Pressure, Reason, Useless};
use tegata_core::policy::{Counting, Folder, InstallerRule, KeyAlgorithm, KeyOrigin, Platform, Quota, Store};
use tegata_core::revocation::Cause;
use tegata_core::time::{DAY, HOUR, MINUTE};

use crate::store::Closed;
use crate::store::approvals::What;
use crate::store::backup;
use crate::store::notices::Channel;

/// A reason.
pub fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Unwanted => "unwanted",
        Reason::NotEnrolled => "not-enrolled",
        Reason::DeviceRevoked => "device-revoked",
        Reason::Missing => "missing",
        Reason::Revoked => "revoked",
        Reason::Expired => "expired",
        Reason::Ordered => "ordered",
        Reason::NotInstalled => "not-installed",
        Reason::NotProven => "not-proven",
        Reason::Exposed => "exposed",
        Reason::RenewalAsked => "renewal-asked",
        Reason::Outdated => "outdated",
        Reason::ExpiresSoon => "expires-soon",
        Reason::DependantsOpen => "dependants-open",
        Reason::NotBackedUp => "not-backed-up",
        Reason::Leftover => "leftover",
    }
}

/// Reads what [`reason`] wrote.
pub fn read_reason(word: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|candidate| reason(*candidate) == word)
}

/// Why something is revoked.
pub fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Unspecified => "unspecified",
        Cause::KeyCompromise => "key-compromise",
        Cause::AffiliationChanged => "affiliation-changed",
        Cause::Superseded => "superseded",
        Cause::CessationOfOperation => "cessation-of-operation",
    }
}

/// Reads what [`cause`] wrote, or a reason of a plan, as it was kept before there were causes.
pub fn read_cause(word: &str) -> Cause {
    let written = Cause::ALL.into_iter().find(|candidate| cause(*candidate) == word);
    let was_enrolled_again = || (word == "enrolled-again").then_some(Cause::KeyCompromise);
    written.or_else(was_enrolled_again).or_else(|| read_reason(word).map(Cause::from)).unwrap_or_default()
}

/// What a held action waits for.
pub fn obstacle(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::Enrolment => "enrolment",
        Obstacle::Device => "device",
        Obstacle::SilentDevice => "silent-device",
        Obstacle::WrongClock => "wrong-clock",
        Obstacle::Quota => "quota",
        Obstacle::OthersFirst => "others-first",
        Obstacle::TooOften => "too-often",
        Obstacle::VendorFile => "vendor-file",
        Obstacle::Dependants => "dependants",
        Obstacle::BackupTarget(_) => "backup-target",
    }
}

/// How many backup targets hold what they should.
pub fn count(backups: Backups) -> fleet::Backups {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    fleet::Backups { verified: number(backups.verified), needed: number(backups.needed), targets: number(backups.targets) }
}

/// What takes two people.
pub fn act(what: What) -> &'static str {
    match what {
        What::ReadBackup => "read-backup",
        What::Apply => "apply",
        What::RevokeMany => "revoke-many",
        What::MakeToken => "make-token",
    }
}

/// Reads what [`act`] wrote.
pub fn read_act(word: &str) -> Option<What> {
    [What::ReadBackup, What::Apply, What::RevokeMany, What::MakeToken].into_iter().find(|candidate| act(*candidate) == word)
}

/// What was sealed as a backup.
pub fn backup_kind(kind: backup::Kind) -> &'static str {
    match kind {
        backup::Kind::File => "file",
        backup::Kind::Monsiaj => "monsiaj",
    }
}

/// Reads what [`backup_kind`] wrote.
pub fn read_backup_kind(word: &str) -> Option<backup::Kind> {
    [backup::Kind::File, backup::Kind::Monsiaj].into_iter().find(|candidate| backup_kind(*candidate) == word)
}

/// Why a copy is not where it belongs.
pub fn trouble(trouble: Trouble) -> &'static str {
    tegata_api::v1::backup::word(trouble)
}

/// Reads what [`trouble`] wrote.
pub fn read_trouble(word: &str) -> Option<Trouble> {
    Trouble::ALL.into_iter().find(|candidate| trouble(*candidate) == word)
}

/// Where a key is born: the kind that a device makes, or `vendor`.
pub fn key(origin: KeyOrigin) -> &'static str {
    match origin {
        KeyOrigin::Device(KeyAlgorithm::EcdsaP256) => "ecdsa-p256",
        KeyOrigin::Device(KeyAlgorithm::EcdsaP384) => "ecdsa-p384",
        KeyOrigin::Device(KeyAlgorithm::Rsa2048) => "rsa-2048",
        KeyOrigin::Vendor => "vendor",
    }
}

/// Reads what [`key`] wrote.
pub fn read_key(word: &str) -> Option<KeyOrigin> {
    let devices = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048].map(KeyOrigin::Device);
    devices.into_iter().chain([KeyOrigin::Vendor]).find(|candidate| key(*candidate) == word)
}

/// An operating system.
pub fn platform(platform: Platform) -> &'static str {
    match platform {
        Platform::Windows => "windows",
        Platform::Macos => "macos",
        Platform::Linux => "linux",
    }
}

/// A place for certificates on a device.
pub fn store(store: Store) -> &'static str {
    match store {
        Store::Browser => "browser",
        Store::File => "file",
        Store::Monsiaj => "monsiaj",
    }
}

/// The places in which agents look for installer files; a folder that policy names by itself begins with `~/`.
pub fn folders(rule: &InstallerRule) -> impl Iterator<Item = String> {
    let named = rule.also.iter().map(|pattern| format!("~/{pattern}"));
    rule.folders.iter().map(|place| folder(*place).to_owned()).chain(named)
}

fn folder(folder: Folder) -> &'static str {
    match folder {
        Folder::Downloads => "downloads",
        Folder::Desktop => "desktop",
        Folder::Documents => "documents",
        Folder::Temp => "temp",
        Folder::Mail => "mail",
        Folder::Cloud => "cloud",
        Folder::Trash => "trash",
        Folder::Removable => "removable",
    }
}

/// Why an installer file stays for now.
pub fn keeping(because: Keeping) -> &'static str {
    match because {
        Keeping::Exempt => "exempt",
        Keeping::NotSafe => "not-safe",
        Keeping::Needed => "needed",
        Keeping::OtherClinic => "other-clinic",
        Keeping::Awaited => "awaited",
    }
}

/// Why an application is closed.
pub fn closed(because: Closed) -> &'static str {
    match because {
        Closed::Imported => "imported",
        Closed::Withdrawn => "withdrawn",
    }
}

/// Reads what [`closed`] wrote.
pub fn read_closed(word: &str) -> Option<Closed> {
    [Closed::Imported, Closed::Withdrawn].into_iter().find(|candidate| closed(*candidate) == word)
}

/// How pressing an open application is.
pub fn urgency(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Open => "open",
        Urgency::Closing => "closing",
        Urgency::Lapsed => "lapsed",
    }
}

/// Which certificates count against a bound.
pub fn counting(quota: &Quota) -> &'static str {
    match (quota.per, quota.counting) {
        (None, _) => "alive",
        (Some(_), Counting::Issued) => "issued",
        (Some(_), Counting::Unrevoked) => "unrevoked",
    }
}

/// How close a bound is to its limit.
pub fn pressure(pressure: Pressure) -> &'static str {
    match pressure {
        Pressure::Ample => "ample",
        Pressure::Tight => "tight",
        Pressure::Full => "full",
        Pressure::Short => "short",
    }
}

/// Why a certificate could go.
pub fn useless(because: Useless) -> &'static str {
    match because {
        Useless::Gone => "gone",
        Useless::Expired => "expired",
        Useless::Duplicate => "duplicate",
        Useless::NotInPolicy => "not-in-policy",
        Useless::DeviceRevoked => "device-revoked",
        Useless::NeverProven => "never-proven",
        Useless::SilentDevice => "silent-device",
    }
}

/// Why a clinic is closed for some days.
pub fn stretch(stretch: Stretch) -> &'static str {
    match stretch {
        Stretch::YearEnd => "year-end",
        Stretch::GoldenWeek => "golden-week",
        Stretch::Obon => "obon",
        Stretch::Closed => "closed",
    }
}

/// What has a deadline.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Certificate => "certificate",
        Kind::Found => "found",
        Kind::Application => "application",
    }
}

/// Reads what [`kind`] wrote.
pub fn read_kind(word: &str) -> Option<Kind> {
    [Kind::Certificate, Kind::Found, Kind::Application].into_iter().find(|candidate| kind(*candidate) == word)
}

/// How somebody is told.
pub fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Mail => "mail",
        Channel::Webhook => "webhook",
    }
}

/// Reads what [`channel`] wrote.
pub fn read_channel(word: &str) -> Option<Channel> {
    [Channel::Mail, Channel::Webhook].into_iter().find(|candidate| channel(*candidate) == word)
}

/// A rung of a ladder: `30d`, `36h`, `90s`, `expired`, `expired+3d`.
pub fn rung(rung: Rung) -> String {
    match rung {
        Rung::Ahead(span) => {
            let seconds = span.0.as_secs();
            let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "min")];
            let unit = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(unit.as_secs()));
            unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit.as_secs()))
        }
        Rung::Expired => "expired".to_owned(),
        Rung::After(days) => format!("expired+{days}d"),
    }
}

/// Who has to act.
pub fn acts(acts: Acts) -> notice::Acts {
    match acts {
        Acts::Itself => notice::Acts::Itself,
        Acts::Person => notice::Acts::Person,
        Acts::Nobody => notice::Acts::Nobody,
    }
}

/// A planned action as people and programs are told of it.
pub fn action(clinic: &ClinicName, action: &Action) -> fleet::Action {
    let say = |verb: &str, object: String, because: &str| fleet::Action {
        clinic: clinic.to_string(),
        action: verb.to_owned(),
        object,
        because: because.to_owned(),
        waits_for: None,
        until: None,
        serial: None,
        file: None,
        backups: None,
    };
    let of = |sha256: &Sha256, said: fleet::Action| fleet::Action { file: Some(sha256.to_string()), ..said };
    let with = |serial: &Serial, said: fleet::Action| fleet::Action { serial: Some(serial.to_string()), ..said };
    match action {
        Action::Issue { slot, because, .. } => say("issue", slot.to_string(), reason(*because)),
        Action::Cancel { slot, because } => say("cancel", slot.to_string(), reason(*because)),
        Action::Revoke { slot, serial, because } => with(serial, say("revoke", slot.to_string(), reason(*because))),
        Action::Retire { slot, serial, because } => with(serial, say("retire", slot.to_string(), reason(*because))),
        Action::RemoveInstaller { device, sha256 } => of(sha256, say("remove-installer", device.to_string(), "installer")),
        Action::QuarantineInstaller { device, sha256 } => of(sha256, say("quarantine-installer", device.to_string(), "unknown")),
        Action::KeepInstaller { device, sha256, because, until } => fleet::Action {
            until: until.map(|moment| moment.unix()),
            ..of(sha256, say("keep-installer", device.to_string(), keeping(*because)))
        },
        Action::Hold { slot, reason: why, because, until } => fleet::Action {
            waits_for: Some(obstacle(*because).to_owned()),
            backups: if let Obstacle::BackupTarget(backups) = because { Some(count(*backups)) } else { None },
            until: until.map(|moment| moment.unix()),
            ..say("hold", slot.to_string(), reason(*why))
        },
    }
}

#[cfg(test)]
mod tests {
    use tegata_core::name::SlotId;

    use super::*;

    #[test]
    fn what_ends_a_certificate_says_which_one() {
        let (slot, serial, because) = ("sakura/pc-1/karte".parse::<SlotId>().unwrap(), Serial([0x4f; 16]), Reason::Unwanted);
        let revoke = Action::Revoke { slot: slot.clone(), serial, because };
        let retire = Action::Retire { slot: slot.clone(), serial, because };
        let cancel = Action::Cancel { slot, because };
        let serials = [revoke, retire, cancel].map(|planned| action(&"sakura".parse().unwrap(), &planned).serial);
        assert_eq!(serials, [Some("4f".repeat(16)), Some("4f".repeat(16)), None]);
    }

    #[test]
    fn what_is_written_can_be_read() {
        for candidate in Reason::ALL {
            assert_eq!(read_reason(reason(candidate)), Some(candidate));
        }
        for candidate in Cause::ALL {
            assert_eq!(read_cause(cause(candidate)), candidate);
        }
        let before = ["asked", "device-revoked", "unwanted", "enrolled-again"].map(read_cause);
        assert_eq!(before, [Cause::Unspecified, Cause::KeyCompromise, Cause::CessationOfOperation, Cause::KeyCompromise]);
        assert_eq!(read_key("ecdsa-p384"), Some(KeyOrigin::Device(KeyAlgorithm::EcdsaP384)));
        assert_eq!(read_key("vendor"), Some(KeyOrigin::Vendor));
        assert_eq!((read_reason("Missing"), read_key("rsa")), (None, None));
    }
}
