//! One clinic: its people, its PCs, and which certificate goes where.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ClinicPortal, ClinicSsh, ClosedDays, Day, DeviceReference, DeviceSsh, FacilitySlug, FileDigest, FolderPattern, InstitutionNumber, Mail,
    Name, Notice, OpenHours, Span, Text, WebhookUrl,
};

/// One clinic: its people, its PCs, and which certificate goes where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClinicNetworkSpec {
    /// The clinic's name as people say it.
    pub display_name: Text,
    /// Its medical institution number: ten digits, in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub institution_number: Option<InstitutionNumber>,
    /// What a vendor calls the clinic in its certificates, such as ORCA's `u00000126`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_tenant: Option<Text>,
    /// The label that its certificates and host names carry: half-width letters and digits. No two clinics of a tenant may share one.
    pub facility_slug: FacilitySlug,
    /// Mail addresses of the people who are told what is about to expire. Each gets at most one letter a day, if the server knows a mail
    /// server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub contacts: Vec<Mail>,
    /// How else people are told of what is about to expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// When the clinic is open. Left out: around the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Staff accounts under which certificates are issued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub accounts: Vec<Account>,
    /// The devices that stand in this clinic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5000))]
    pub devices: Vec<Device>,
    /// Devices of sister clinics that open this clinic's charts too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5000))]
    pub guests: Vec<Guest>,
    /// Which profile goes on which devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub certificates: Vec<Assignment>,
    /// What happens to installer files (`.p12`, `.pfx`) that a set-up left behind. Left out: they are reported and stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installers: Option<Installers>,
    /// Where sealed backups go. Left out: what is lost is issued anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// How fast changes go through the clinic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Where its staff get certificates for PCs without an agent: web pages for whoever reads an account's mail. Left out: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal: Option<ClinicPortal>,
    /// How playbooks reach its devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<ClinicSsh>,
}

/// When a clinic is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hours {
    /// The time zone, such as `Asia/Tokyo`.
    pub time_zone: String,
    /// Hours for a day (`sat`) or a row of days (`mon-fri`). A day that is not named is closed; none at all means around the clock.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub open: BTreeMap<String, OpenHours>,
    /// Hours in which a replacement disturbs nobody (a browser may have to start again), written like `open`. They count on days on which
    /// the clinic is not closed. Left out: no hour is better than another.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quiet: BTreeMap<String, OpenHours>,
    /// Days on which the clinic is closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub closed: Vec<ClosedDays>,
}

/// How people are told of what is about to expire, besides mail to the contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notify {
    /// Programs that are told too, by signed HTTP requests (Standard Webhooks). `tegata webhook secret` shows the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub webhooks: Vec<Webhook>,
    /// The language of letters. Left out: Japanese, and below it English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// When people are told of certificates that agents merely found, before they expire, longest first. Left out: `[30d, 14d, 7d, 1d]`;
    /// `[]`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 50))]
    pub found: Option<Vec<Notice>>,
}

/// A program that is told of what is about to expire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// Where it listens. Redirects are not followed.
    pub url: WebhookUrl,
    /// Whether it may be in a private network (and then also without TLS). Left out: only public addresses are connected to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_private: bool,
}

/// A language that letters are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Japanese.
    Ja,
    /// English.
    En,
}

/// A staff account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// Its name.
    pub name: Name,
    /// Where the portal's codes are mailed. Without, nobody signs in there as this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// Whether the person is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AccountState>,
    /// The account under which its certificates are issued anew once the person has left. Left out: they go, and nothing replaces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Name>,
    /// How many certificates it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// Whether the person behind an account is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccountState {
    /// Yes.
    Active,
    /// No: every certificate issued under the account goes, once its successor's is proven if the account names one.
    Left,
}

/// What bounds the certificates of one account: one bound, and perhaps more that hold as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quota {
    /// The most that are allowed.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub certificates: u32,
    /// Counted over this rolling span of issuance, such as `730d`. Left out: those alive at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Span>,
    /// With `per`: which of those that were issued count. Left out: `issued`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counting: Option<Counting>,
    /// Further bounds, each of which holds too: `{ certificates: 50, also: [{ certificates: 25, per: 730d }] }`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub also: Vec<Bound>,
}

/// A further bound on the certificates of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bound {
    /// The most that are allowed.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub certificates: u32,
    /// Counted over this rolling span of issuance, such as `730d`. Left out: those alive at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Span>,
    /// With `per`: which of those that were issued count. Left out: `issued`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counting: Option<Counting>,
}

/// Which certificates count against a bound over a rolling span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Counting {
    /// All that were issued: only time frees a place.
    Issued,
    /// Those of them that were not revoked: revoking one frees its place.
    Unrevoked,
}

/// A PC or server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// Its name, which is in its certificates.
    pub name: Name,
    /// Its operating system.
    pub platform: Platform,
    /// Where it stands, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Text>,
    /// Words that `matchLabels` selects by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How playbooks reach it. Left out: they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<DeviceSsh>,
}

/// An operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Windows 10 and later.
    Windows,
    /// macOS.
    Macos,
    /// Linux.
    Linux,
}

/// A device of a sister clinic. Where both clinics select for the same site, people choose on the device: `tegata-agent switch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guest {
    /// The clinic where it stands.
    pub clinic: Name,
    /// Its name there.
    pub device: Name,
}

/// "This profile, under this account, on these devices."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assignment {
    /// The `CertificateProfile`.
    pub profile: Name,
    /// The account that the certificates count against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Name>,
    /// The devices. Left out: every device of the clinic and every guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Selector>,
}

/// Which devices are meant: by name or by labels, not both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// These. A guest is named by `clinic/device`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<DeviceReference>>,
    /// Those that carry all of these labels, guests included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_labels: Option<BTreeMap<String, String>>,
}

/// What happens to installer files (`.p12`, `.pfx`) that a set-up left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Installers {
    /// When files that are known by their contents are removed.
    pub remove: RemoveInstallers,
    /// Where agents look. Left out: `downloads` and `desktop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folders: Option<Vec<Folder>>,
    /// Further folders below the user's home, such as `Work/certificates`; `*` stands for a part of a name, and `/**` at the end for all
    /// folders below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub also: Vec<FolderPattern>,
    /// What happens to files that look like installers but are not on record. Left out: `ignore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<UnknownInstallers>,
    /// What happens when a file comes back to a PC from which it was removed. Left out: `report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_return: Option<OnReturn>,
    /// Files and devices that are spared for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub exempt: Vec<Exemption>,
}

/// What happens when an installer file comes back. It is always on record, and removed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnReturn {
    /// People see it.
    Report,
    /// The certificate that came in it is replaced too: the file may be in other hands.
    Rotate,
}

/// Installer files that stay for a while: one file, all on one device, or one file on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemption {
    /// The device of this clinic. Left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Name>,
    /// The file, as `tegata get installers` shows it. Left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<FileDigest>,
    /// The day on which it ends, at midnight where the clinic is.
    pub until: Day,
    /// Why, for people.
    pub because: Text,
}

/// When installer files that are known by their contents are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RemoveInstallers {
    /// Once every certificate of this clinic on the device is proven.
    AfterProof,
    /// Not at all: they are reported.
    Never,
}

/// A place of the logged-on user. Below `temp`, `mail`, `cloud`, `trash` and `removable` agents look some folders deep, a bounded number of
/// files at a time; in `downloads`, `desktop` and `documents` itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Folder {
    /// Downloads.
    Downloads,
    /// The desktop.
    Desktop,
    /// Documents.
    Documents,
    /// Where programs put temporary files.
    Temp,
    /// Where Outlook, Thunderbird and Apple Mail keep attachments that were opened or saved.
    Mail,
    /// What OneDrive, iCloud Drive, Dropbox and Google Drive keep on the PC. A file whose contents are in the cloud only is not fetched.
    Cloud,
    /// The trash, or recycle bin, of this user.
    Trash,
    /// Drives that can be taken away, such as USB sticks, as long as they are there.
    Removable,
}

/// What happens to files that look like installers but are not on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownInstallers {
    /// A person is asked.
    Ask,
    /// They are left alone.
    Ignore,
    /// Those that hold a private key are moved into a folder of the agent's own, once every certificate of this clinic on the device is
    /// proven and kept. None is deleted, whoever works at the PC can put each back, and a person is asked.
    Quarantine,
}

/// Where sealed backups go, and of which keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backup {
    /// The `BackupTarget`s. Each backup goes to all of them.
    #[schemars(length(max = 10))]
    pub targets: Vec<Name>,
    /// How many of them must have given the backup back before installer files are removed. Left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub at_least: Option<u8>,
    /// Which keys are backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<BackupOf>,
    /// How many people it takes to read a backup: with 2 somebody else has to agree (`tegata backup approve`). Left out: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2))]
    pub approvals: Option<u8>,
}

/// Which keys are backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupOf {
    /// Those that a vendor made. A key born on a device never leaves it; its certificate is issued anew.
    Vendor,
}

/// How fast changes go through a clinic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// How many certificates that still work may be replaced at the same time. Left out: 10.
    #[schemars(range(min = 1, max = 100_000))]
    pub replace_at_once: u32,
}
