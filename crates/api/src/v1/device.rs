//! What agents and the server say to each other.
//!
//! | request | who | answer |
//! |---|---|---|
//! | `POST /v1/enroll` [`EnrollRequest`] | anyone with a code | [`Enrolled`] |
//! | `GET /v1/agent/manifest?after=G` | device | [`Manifest`] as soon as its generation is above `G`; 204 after [`HOLD_SECONDS`] |
//! | `POST /v1/agent/orders/{order}/certificate` [`CertificateRequest`] | device | [`IssuedCertificate`] |
//! | `GET /v1/agent/orders/{order}/bundle` | device | [`SealedBundle`] |
//! | `POST /v1/agent/orders/{order}/taken` [`TakenCertificate`] | device | 204 |
//! | `POST /v1/agent/report` [`Report`] | device | [`ReportAnswer`] |
//! | `POST /v1/agent/receipts` `[`[`SignedReceipt`]`]` | device | [`ReceiptsAnswer`] |
//! | `POST /v1/agent/identity` [`CertificateRequest`] | device | [`IssuedCertificate`] |
//!
//! A device is known by its identity certificate, over mutual TLS. Every request can be repeated: the same order and key
//! give the same certificate, the same receipt number is stored once.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::backup::Quorum;
use super::diagnosis::Diagnosis;
use super::trust::{RootReport, TrustRoot};

/// How long the server holds a manifest request before it answers 204, in seconds.
pub const HOLD_SECONDS: u64 = 50;

/// A PC asks to become a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrollRequest {
    /// The public part of the code, which says which device is meant.
    pub handle: String,
    /// The secret part: six digits typed by a person, or the long part of a join code.
    pub secret: String,
    /// The device that the caller believes to be, `clinic/device`; refused if the code is for another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// PKCS#10 request for the identity key, PEM. Only its public key is used.
    pub csr: String,
    /// What the PC says about itself.
    pub facts: Facts,
}

/// What a PC says about itself. Believed by nobody, shown to people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// Its host name.
    pub hostname: String,
    /// `windows`, `macos` or `linux`.
    pub platform: String,
    /// The version of the operating system.
    pub os_version: String,
    /// The version of the agent.
    pub agent_version: String,
    /// Which keystores it has, such as `nss` or `file`.
    pub keystores: Vec<String>,
    /// The age recipient (`age1…`) to which vendors' files for this PC are sealed; its other half never leaves the PC. Empty if the agent
    /// is too old to have one.
    pub recipient: String,
    /// Browsers that the user has run. Absent: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browsers: Option<Vec<BrowserSeen>>,
    /// The program that opens links, as the system names it: `ChromeHTML`, `google-chrome.desktop`. Absent: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_browser: Option<String>,
    /// Whether the system sets its clock by itself. Absent: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_sync: Option<TimeSync>,
}

/// A browser that the user has run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrowserSeen {
    /// What it is called.
    pub name: String,
    /// The version that ran last.
    pub version: String,
}

/// Whether a system sets its clock by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeSync {
    /// It does.
    On,
    /// Somebody has turned that off.
    Off,
}

/// The PC is a device now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enrolled {
    /// Its tenant.
    pub tenant: String,
    /// Its name, `clinic/device`.
    pub device: String,
    /// Its identity certificate and the intermediates, PEM, leaf first.
    pub identity: String,
    /// The authorities that the server's own certificate may come from, PEM. From now on the agent trusts only these.
    pub server_authorities: String,
}

/// A certificate request for one order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRequest {
    /// PKCS#10, PEM. Only its public key is used.
    pub csr: String,
}

/// A certificate, signed and on record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCertificate {
    /// Its serial number, 32 hexadecimal digits.
    pub serial: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// The intermediates, PEM; the root is not among them.
    pub chain: String,
}

/// A vendor's file, as it was taken in, that only the device and the clinic's backup recipients can open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedBundle {
    /// SHA-256 of the DER of the certificate that has to be in it.
    pub fingerprint: String,
    /// An age file (age-encryption.org/v1), base64.
    pub sealed: String,
}

/// A certificate that the device came to by itself: renewed at the vendor's, or found in one of its stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenCertificate {
    /// The certificate and the intermediates, PEM, leaf first.
    pub chain: String,
    /// The name of the file that it came in; empty if there was none.
    pub file_name: String,
    /// The file and its password, sealed to the clinic's backup recipients, base64; empty if there are none.
    pub sealed: String,
    /// Those to whom it was sealed, beside the device: age recipients. An age file does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

/// Everything that one device should have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Counts up with every change. An agent refuses a number below the highest it has seen.
    pub generation: u64,
    /// The device it is for, `clinic/device`; an agent refuses another one's.
    pub device: String,
    /// The slots.
    pub slots: Vec<SlotManifest>,
    /// Certificates to remove now, whatever slot they are in. SHA-256 of their DER.
    pub retire: Vec<String>,
    /// Installer files to remove, wherever they lie in `folders`.
    pub remove_installers: Vec<FileHash>,
    /// Files that look like installers, are not on record, and are to be moved out of the way, wherever they lie in `folders`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<FileHash>,
    /// Installer files that were removed from the device. If one comes back, under whatever name, the device reports it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<FileHash>,
    /// The places of the user in which agents look for installer files: `downloads`, `desktop`, `documents`, `temp`, `mail`, `cloud`,
    /// `trash`, `removable`, and folders below the home, `~/Work/**`. An agent passes over a word that it does not know, and says so.
    pub folders: Vec<String>,
    /// Roots that programs are to trust. What the agent has added of others goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trust: Vec<TrustRoot>,
    /// How often the server was put back from a backup. A device that sees a higher number says anew what it holds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What one slot should hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotManifest {
    /// The slot, `clinic/device/profile`.
    pub slot: String,
    /// The newest order for it. A number that the agent has not settled yet is work; `None` waits for a decision.
    pub order: Option<String>,
    /// Where the order's certificate comes from.
    #[serde(default)]
    pub source: Source,
    /// The kind of key to make: `ecdsa-p256`, `ecdsa-p384` or `rsa-2048`; `vendor` if it comes with the certificate.
    pub key: String,
    /// What people see as the certificate's name.
    pub label: String,
    /// Where it goes: `browser`, `file`.
    pub stores: Vec<String>,
    /// Which sites the browser selects it for.
    pub select: Vec<BrowserRule>,
    /// The page that proves it.
    pub probe: Option<String>,
    /// Certificates that go once the order is proven. SHA-256 of their DER.
    pub replaces: Vec<String>,
    /// age recipients of the clinic's backups, to whom the device seals what a program keeps by itself for this slot (monsiaj).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backup: Vec<String>,
    /// The same, where the keepers open it only together; `backup` is empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
}

/// Where an order's certificate comes from. A closed set: nothing here is a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "kind")]
pub enum Source {
    /// The device makes a key and sends a request for it.
    #[default]
    Request,
    /// A vendor's file was taken in, and waits sealed for this device.
    Bundle {
        /// SHA-256 of the DER of the certificate that has to be in it.
        fingerprint: String,
    },
    /// The device asks the vendor for a successor, with the certificate that it holds (ORCAMO's `POST /api/cert`).
    Renewal {
        /// Whom to ask: `https://host`, perhaps with a port.
        url: String,
        /// The certificate to ask with. SHA-256 of its DER.
        current: String,
        /// age recipients of the clinic's backups, to whom what comes is sealed too.
        backup: Vec<String>,
        /// The same, where the keepers open it only together; `backup` is empty then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quorum: Option<Quorum>,
    },
    /// The certificate lies in one of the device's stores already, put there by somebody else.
    Found {
        /// SHA-256 of its DER.
        fingerprint: String,
    },
}

/// "For this site, the certificate that says this." One element of Chrome's `AutoSelectCertificateForUrls`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrowserRule {
    /// The site: scheme, host and perhaps port.
    pub pattern: String,
    /// The common name of the certificate's issuer.
    pub issuer_common_name: String,
    /// The organization in the certificate's subject; empty if it has none.
    pub subject_organization: String,
    /// The common name in it, where the organization alone could mean several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_common_name: Option<String>,
}

impl BrowserRule {
    /// As browsers are given it: a text that holds JSON (Chrome Enterprise policies, `AutoSelectCertificateForUrls`).
    pub fn policy_element(&self) -> String {
        // What a certificate does not say cannot be asked for: the browser compares even an empty text.
        let mut subject = serde_json::Map::new();
        if let Some(common_name) = &self.subject_common_name {
            subject.insert("CN".into(), json!(common_name));
        }
        if !self.subject_organization.is_empty() {
            subject.insert("O".into(), json!(self.subject_organization));
        }
        json!({ "pattern": self.pattern, "filter": { "ISSUER": { "CN": self.issuer_common_name }, "SUBJECT": subject } }).to_string()
    }

    /// True if this also selects what `other` selects: a browser that follows it cannot tell the two certificates apart.
    pub fn covers(&self, other: &Self) -> bool {
        self.issuer_common_name == other.issuer_common_name
            && (self.subject_organization.is_empty() || self.subject_organization == other.subject_organization)
            && (self.subject_common_name.is_none() || self.subject_common_name == other.subject_common_name)
    }
}

/// A site as browsers tell it from others (RFC 6454, section 4): the case of its letters and the usual port make no difference.
pub fn origin(site: &str) -> String {
    reqwest::Url::parse(site).map_or_else(|_| site.to_owned(), |url| url.origin().ascii_serialization())
}

/// A file known by its contents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileHash {
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
}

/// A file that may give an installer file away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspect {
    /// Its path as the user would name it.
    pub path: String,
    /// What is the matter with it.
    pub kind: SuspectKind,
}

/// What is the matter with a file that may give an installer file away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuspectKind {
    /// A text beside an installer file whose name speaks of a password.
    PasswordNote,
    /// A password of monsiaj that others than its user may read.
    OpenPassword,
}

/// How many places are named that were not looked at.
pub const UNREAD_MAX: usize = 50;

/// What an agent sees. Facts only; sent at start, after every change, and each hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The agent's clock, seconds since the Unix epoch.
    pub clock: i64,
    /// What the PC says about itself.
    pub facts: Facts,
    /// The highest manifest generation that it has accepted.
    pub generation: u64,
    /// Each slot that the agent holds something for.
    pub slots: Vec<SlotReport>,
    /// Installer files in the folders it was told to look at.
    pub installers: Vec<InstallerSeen>,
    /// Places that were not, or not wholly, looked at the last time, at most [`UNREAD_MAX`]. What lies there is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// Folders that policy names by themselves and that are not there, as the manifest names them, at most [`UNREAD_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Files that may give installer files away, at most [`UNREAD_MAX`]. Known by name, place and rights: nothing of them is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<Suspect>,
    /// Client certificates in its stores that it did not put there, at most [`FOUND_MAX`].
    pub found: Vec<FoundCertificate>,
    /// What a person should know, such as a browser that still holds an old decision.
    pub notes: Vec<Note>,
    /// What the doctor found last, if it ever looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// How far it is with each root of the manifest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<RootReport>,
}

/// So many found certificates are reported at most: those that live longest.
pub const FOUND_MAX: usize = 64;

/// A client certificate that somebody else put into one of a device's stores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundCertificate {
    /// SHA-256 of its DER.
    pub fingerprint: String,
    /// The store: `nss`, `file`, …
    pub store: String,
    /// Subject, as people read it: `CN=client1210, O=u00000126`.
    pub subject: String,
    /// Issuer, likewise.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// First moment of validity, seconds since the Unix epoch.
    pub not_before: i64,
    /// Last moment of validity.
    pub not_after: i64,
    /// True if its private key is there too.
    pub has_key: bool,
}

/// What an agent holds for one slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotReport {
    /// The slot.
    pub slot: String,
    /// The order it works on or has settled.
    pub order: String,
    /// How far it has come: `wanted`, `keyed`, `staged`, `installed`, `proven`, `settled`, `abandoned`.
    pub stage: String,
    /// True if the settled certificate is not in exactly the stores that the manifest names: it was taken out of one, or policy names others
    /// now. The server then orders a replacement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub misplaced: bool,
    /// What went wrong last, for people, in English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The same in Japanese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble_ja: Option<String>,
}

/// An installer file that lies on the device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallerSeen {
    /// Its path as the user would name it: `~/Downloads/client_cert.pfx`.
    pub path: String,
    /// What it contains.
    #[serde(flatten)]
    pub file: FileHash,
    /// What of that can be seen without its password; nothing of a file that is on record, nor from agents that do not look yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
    /// True if the agent has moved it out of the way: `path` is where it lay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
}

/// What of a PKCS#12 file can be seen without its password.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Inside {
    /// How many private keys.
    pub keys: u32,
    /// The certificates that belong to them, as far as they can be read. SHA-256 of their DER.
    pub certificates: Vec<String>,
    /// True if nothing stayed hidden, each key has its certificate, and there is nothing else that could be lost with the file.
    pub whole: bool,
}

/// What a person should know about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// A running browser still uses a certificate decision from before the last change; it has to be restarted once.
    BrowserHoldsOld,
    /// The local limit on removals was reached; the rest waits.
    RemovalLimit,
}

/// How far the tenant's audit log goes, and that it goes on from where the device knew it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogShown {
    /// The log's key, as signed notes write it (C2SP signed-note).
    pub key: String,
    /// The newest checkpoint, a signed note (C2SP tlog-checkpoint).
    pub checkpoint: String,
    /// The consistency proof from what the device knows (RFC 6962, section 2.1.2), each hash in base64; empty if the log is shorter.
    pub consistency: Vec<String>,
}

/// The server has heard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportAnswer {
    /// The server's clock, seconds since the Unix epoch.
    pub clock: i64,
}

/// Something that the device did, said so that it cannot be denied or invented later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Which device says so, `clinic/device`.
    pub device: String,
    /// Counts up from 1, without gaps.
    pub number: u64,
    /// When, by the device's clock, seconds since the Unix epoch.
    pub at: i64,
    /// What.
    pub deed: Deed,
}

/// What a device can do. A closed set: nothing here is a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "kind")]
pub enum Deed {
    /// A certificate and its key were put into every store of its slot.
    Installed {
        /// The slot.
        slot: String,
        /// The order.
        order: String,
        /// SHA-256 of the certificate's DER.
        fingerprint: String,
        /// The stores.
        stores: Vec<String>,
    },
    /// It answered over a real handshake.
    Proven {
        /// The slot.
        slot: String,
        /// The order.
        order: String,
        /// SHA-256 of the certificate's DER.
        fingerprint: String,
        /// The page that was asked; empty if the profile names none, and the key only signed a challenge.
        url: String,
        /// The HTTP status that it answered.
        status: u16,
    },
    /// A certificate and its key were removed from every store.
    Retired {
        /// SHA-256 of the certificate's DER.
        fingerprint: String,
    },
    /// An installer file was removed.
    InstallerRemoved {
        /// Where it lay.
        path: String,
        /// What it contained.
        file: FileHash,
        /// Why: the manifest that ordered it, by its generation. 0 in receipts of agents that did not say so yet.
        #[serde(default)]
        generation: u64,
    },
    /// A file that is not on record was moved out of the way.
    InstallerQuarantined {
        /// Where it lay.
        path: String,
        /// What it contains.
        file: FileHash,
        /// Why: the manifest that ordered it, by its generation.
        generation: u64,
    },
    /// Somebody at the PC has put such a file back.
    InstallerRestored {
        /// Where it lies again.
        path: String,
        /// What it contains.
        file: FileHash,
    },
    /// Programs were made to trust a root.
    RootTrusted {
        /// SHA-256 of its DER.
        fingerprint: String,
    },
    /// The trust that was added is gone again.
    RootDistrusted {
        /// SHA-256 of its DER.
        fingerprint: String,
    },
    /// The server showed an audit log that does not go on from what the device had seen of it. Both are signed by the log's key, or the second
    /// is by nobody: whoever has them needs no word of the device.
    LogContradicted {
        /// The checkpoint that the device knew, a signed note.
        known: String,
        /// The one that it was shown.
        shown: String,
    },
}

/// A receipt, and the device's signature over its exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedReceipt {
    /// The JSON of a [`Receipt`], byte for byte as it was signed.
    pub receipt: String,
    /// ECDSA P-256 with SHA-256 over those bytes by the device's identity key, DER, base64.
    pub signature: String,
}

/// The server has the receipts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptsAnswer {
    /// Every receipt up to this number is on record.
    pub up_to: u64,
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

    #[test]
    fn what_a_rule_leaves_open_covers_every_certificate_of_the_issuer() {
        let rule = |issuer: &str, organization: &str, common_name: Option<&str>| BrowserRule {
            pattern: "https://app.example.jp".into(),
            issuer_common_name: issuer.into(),
            subject_organization: organization.into(),
            subject_common_name: common_name.map(Into::into),
        };
        let client = rule("CA", "u1", Some("client1"));
        for wider in [client.clone(), rule("CA", "", Some("client1")), rule("CA", "u1", None), rule("CA", "", None)] {
            assert!(wider.covers(&client), "{wider:?}");
        }
        for other in [rule("CB", "u1", Some("client1")), rule("CA", "u2", Some("client1")), rule("CA", "u1", Some("client2"))] {
            assert!(!other.covers(&client) && !client.covers(&other), "{other:?}");
        }
        assert!(!client.covers(&rule("CA", "", None)), "a rule that asks for more does not cover one that asks for less");
    }

    #[test]
    fn a_filter_asks_for_what_the_certificate_says_and_for_nothing_else() {
        let element = |common_name: Option<&str>, organization: &str| {
            let rule = BrowserRule {
                pattern: "https://weborca.example.jp".into(),
                issuer_common_name: "Intermediate \"CA\"".into(),
                subject_organization: organization.into(),
                subject_common_name: common_name.map(Into::into),
            };
            serde_json::from_str::<serde_json::Value>(&rule.policy_element()).unwrap()
        };
        for (common_name, organization, subject) in [
            (None, "sakura", json!({ "O": "sakura" })),
            (Some("client1210"), "u00000126", json!({ "CN": "client1210", "O": "u00000126" })),
            (Some("CLINICS-0001"), "", json!({ "CN": "CLINICS-0001" })),
        ] {
            let filter = json!({ "ISSUER": { "CN": "Intermediate \"CA\"" }, "SUBJECT": subject });
            assert_eq!(element(common_name, organization), json!({ "pattern": "https://weborca.example.jp", "filter": filter }));
        }
    }
}
