//! What people ask about a fleet, and what they are told.
//!
//! All under `/v1/tenants/{tenant}`, with `Authorization: Bearer <token>`:
//!
//! | request | answer |
//! |---|---|
//! | `POST /plan` [`Documents`] | [`Preview`] |
//! | `POST /apply` [`ApplyRequest`] | [`Preview`] of what was applied |
//! | `GET /documents` | `[`[`DocumentInForce`]`]` |
//! | `GET /clinics`, `/devices`, `/slots`, `/certificates`, `/actions` `?clinic=` | `[`[`Clinic`]`]`, `[`[`Device`]`]`, … |
//! | `GET /devices/{clinic}/{device}` | [`DeviceDetail`] |
//! | `POST /devices/{clinic}/{device}/code` [`CodeRequest`] | [`CodeAnswer`] |
//! | `POST /devices/{clinic}/{device}/revoke` | 204 |
//! | `POST /certificates/{serial}/revoke`, `/renew` | 204 |
//! | `POST /installers` [`RecordInstaller`] | 204 |
//! | `GET /audit?after=N&limit=M`, `?last=N`, both with `&object=` | `[`[`Record`](super::audit::Record)`]` |
//!
//! Many certificates at once, and what anyone may ask about revocation: [`super::revocation`].
//! Open to anyone: `GET /healthz`, `GET /ca/{tenant}/{issuer}.pem`.

use serde::{Deserialize, Serialize};

use super::account::{ExpiresWhileClosed, Leaving, Short, Tight};
use super::device::{Facts, InstallerSeen, Note, SlotReport};
use super::diagnosis::Diagnosis;
use super::trust::DeviceRoot;

/// Policy files as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Documents {
    /// The files.
    pub files: Vec<File>,
    /// Whether documents of the tenant that are in none of these files go.
    #[serde(default)]
    pub prune: bool,
}

/// A policy file as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its name, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// "Make it so."
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyRequest {
    /// The documents.
    #[serde(flatten)]
    pub documents: Documents,
    /// How many devices may lose the ability to sign in. More than that is refused.
    #[serde(default)]
    pub allow_lockout: u32,
    /// How many slots may find no place under the quota of their account, and wait. More than that is refused.
    #[serde(default)]
    pub allow_over_quota: u32,
}

/// What applying would do, or did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Documents that differ from what is there.
    pub documents: Vec<DocumentChange>,
    /// Actions that follow from the difference, and would not be taken without it.
    pub actions: Vec<Action>,
    /// Devices that can sign in to some system now and could not tomorrow.
    pub locked_out: Vec<String>,
    /// Slots that find no place under the quota of their account, and would not be in want of one without the difference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_quota: Vec<Short>,
    /// Bounds of accounts that get close to their limit by the difference: from 80 percent on, reservations included. A warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tight: Vec<Tight>,
    /// Accounts that are over from now on, and what goes with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<Leaving>,
    /// Certificates of the clinics concerned that expire soon, on a day on which the clinic is closed. A warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expires_while_closed: Vec<ExpiresWhileClosed>,
}

/// A document that differs from what is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentChange {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What happens to it.
    pub change: Change,
    /// The parts that differ, as JSON pointers; empty when it is new or goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// What happens to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Created,
    /// It says something else now.
    Changed,
    /// It goes.
    Deleted,
}

/// A document that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentInForce {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Counts up from 1 with every change.
    pub revision: u64,
    /// Who applied it: `person:<token name>` or `folder:<path>`.
    pub author: String,
    /// When, seconds since the Unix epoch.
    pub applied_at: i64,
    /// The whole document, as it can be applied again. Layout and comments are not kept.
    pub document: serde_json::Value,
}

/// One planned action, in words that programs can act on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// The clinic.
    pub clinic: String,
    /// `issue`, `cancel`, `revoke`, `retire`, `remove-installer`, `quarantine-installer`, `keep-installer` or `hold`.
    pub action: String,
    /// The slot or the device.
    pub object: String,
    /// Why: a reason, in kebab case.
    pub because: String,
    /// What a held action waits for, in kebab case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// When a held action is looked at again, seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// The serial number of the certificate that is revoked or retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// SHA-256 of the installer file that is removed or stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How far backups have come that a held action waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<Backups>,
}

/// How many backup targets hold what they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backups {
    /// How many gave it back lately.
    pub verified: u32,
    /// How many have to before installer files are removed.
    pub needed: u32,
    /// How many policy names.
    pub targets: u32,
}

/// A clinic at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clinic {
    /// Its name.
    pub name: String,
    /// Its name as people say it.
    pub display_name: String,
    /// How many devices policy names.
    pub devices: u32,
    /// How many of them have enrolled.
    pub enrolled: u32,
    /// How many slots policy asks for.
    pub slots: u32,
    /// How many of them are ready.
    pub ready: u32,
    /// When the first certificate expires, seconds since the Unix epoch.
    pub next_expiry: Option<i64>,
    /// When the clinic is looked at again, seconds since the Unix epoch.
    pub wake_at: Option<i64>,
}

/// A device at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its name, `clinic/device`.
    pub name: String,
    /// `windows`, `macos` or `linux`, as policy says.
    pub platform: String,
    /// Where it stands.
    pub memo: Option<String>,
    /// `not-enrolled`, `enrolled` or `revoked`.
    pub state: String,
    /// When its agent was last heard, seconds since the Unix epoch.
    pub last_seen: Option<i64>,
    /// Its clock minus ours, in seconds.
    pub clock_offset: Option<i64>,
    /// Slots on it that are ready.
    pub ready: u32,
    /// Slots on it.
    pub slots: u32,
    /// Installer files that lie there.
    pub installers: u32,
    /// What its doctor found last: why a chart does not open there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// A device in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceDetail {
    /// At a glance.
    pub device: Device,
    /// What it says about itself.
    pub facts: Option<Facts>,
    /// How far its manifest has come.
    pub generation: Generation,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// What its agent says about them.
    pub reports: Vec<SlotReport>,
    /// Installer files that lie there.
    pub installers_seen: Vec<InstallerSeen>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// The roots that programs there are to trust.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<DeviceRoot>,
}

/// Generations of a device's manifest. They never go back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// The newest one; 0 before the first.
    pub newest: u64,
    /// The highest one that the device has accepted.
    pub accepted: u64,
}

/// A slot at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// Its name, `clinic/device/profile`.
    pub name: String,
    /// `ready`, or the reason why not, in kebab case.
    pub state: String,
    /// The newest certificate's serial number.
    pub serial: Option<String>,
    /// When that expires, seconds since the Unix epoch.
    pub not_after: Option<i64>,
    /// When that was proven, seconds since the Unix epoch.
    pub proven_at: Option<i64>,
    /// The account that it counts against.
    pub account: Option<String>,
}

/// A certificate at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Its serial number, 32 hexadecimal digits.
    pub serial: String,
    /// SHA-256 of its DER.
    pub fingerprint: String,
    /// The slot it was issued into.
    pub slot: String,
    /// `issued`, `installed`, `proven`, `retired` or `revoked`.
    pub state: String,
    /// First moment of validity, seconds since the Unix epoch.
    pub not_before: i64,
    /// Last moment of validity, seconds since the Unix epoch.
    pub not_after: i64,
    /// When it was revoked, seconds since the Unix epoch.
    pub revoked_at: Option<i64>,
}

/// Asks for a code with which a device can enrol.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeRequest {
    /// What kind of code.
    pub kind: CodeKind,
}

/// What kind of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodeKind {
    /// Handle and six digits, typed by a person: 10 minutes, 5 tries.
    Typed,
    /// One long text for automation: 24 hours.
    Join,
}

/// A code. Shown once, stored nowhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeAnswer {
    /// What to give to `tegata-agent enroll`: `HANDLE-123456`, or a join code.
    pub code: String,
    /// SHA-256 of the server authority's certificate, which the agent pins.
    pub authority_sha256: String,
    /// When it expires, seconds since the Unix epoch.
    pub expires_at: i64,
}

/// What is known about one installer file on one device, or about a place there that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installer {
    /// The device, `clinic/device`; `clinic/*` for all of its PCs.
    pub device: String,
    /// SHA-256 of the file; nothing for a place, and for what is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What became of it.
    pub state: InstallerState,
    /// Where it lies, or lay last, as the user would name it.
    pub paths: Vec<String>,
    /// When it was removed, seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<i64>,
    /// How often it has come back after it was removed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returns: u32,
    /// When it came back last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<i64>,
    /// Until when policy spares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exempt_until: Option<i64>,
    /// The certificates that it is known by, if its hash is not on record: it holds their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<HeldKey>,
}

/// A certificate whose key is in an installer file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldKey {
    /// SHA-256 of its DER.
    pub fingerprint: String,
    /// The slots of the clinic that it is, or was, in.
    pub slots: Vec<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What became of an installer file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstallerState {
    /// It lies there, and policy does not have it removed, or not yet.
    Present,
    /// It lies there, and the device was told to remove it.
    Removing,
    /// It lies there, and policy spares it for a while.
    Exempt,
    /// It lies there, and holds the key of a certificate of the clinic: it goes as soon as that one is proven and kept in its slot.
    Recognized,
    /// It lies there, and holds the key of a certificate of another clinic. It is only told.
    OtherClinic,
    /// It lies there, is not on record, and a person is asked: `tegata installers record` puts it on record.
    Asked,
    /// It is not on record, and the agent has moved it out of the way: its path is where it lay. It is not deleted.
    Quarantined,
    /// It was moved out of the way, and somebody at the PC has put it back: it stays.
    Restored,
    /// It lies there, and is not on record.
    Unknown,
    /// The device has removed it.
    Removed,
    /// A text beside an installer file whose name speaks of a password. It is only told.
    PasswordNote,
    /// A password of monsiaj that others than its user may read. It is only told.
    OpenPassword,
    /// A place that was not, or not wholly, looked at: what lies there is not known.
    NotLookedAt,
    /// A folder that policy names by itself (`also`), and that is on none of the clinic's PCs: nothing is looked for there.
    NotThere,
}

impl InstallerState {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Removing => "removing",
            Self::Exempt => "exempt",
            Self::Recognized => "recognized",
            Self::OtherClinic => "other-clinic",
            Self::Asked => "asked",
            Self::Quarantined => "quarantined",
            Self::Restored => "restored",
            Self::Unknown => "unknown",
            Self::Removed => "removed",
            Self::PasswordNote => "password-note",
            Self::OpenPassword => "open-password",
            Self::NotLookedAt => "not-looked-at",
            Self::NotThere => "not-there",
        }
    }
}

/// "A file with these contents is an installer: it must not stay on a PC."
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordInstaller {
    /// The file.
    #[serde(flatten)]
    pub file: super::device::FileHash,
    /// What it is called, for people.
    pub name: String,
}

/// What `/certificates/{serial}/revoke` takes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokeRequest {
    /// Why, for the record.
    #[serde(default)]
    pub note: String,
    /// Why, as those who check certificates are told.
    #[serde(default)]
    pub reason: super::revocation::Cause,
}

/// How a command line reaches its server: what `tegata serve` leaves in its state folder at first start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// `https://host:port`.
    pub server: String,
    /// The authority that the server's certificate comes from, PEM.
    pub authority: String,
    /// The bearer token.
    pub token: String,
    /// Whose clinics, unless another tenant is named: the token of a session is good for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}
