//! What a human declared, after it was checked: nothing in these types can be wrong by itself.
//!
//! The YAML side of the same words is `tegata_api::v1::policy`; only its `TryFrom` builds these.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::access::AccessBinding;
use crate::application::ApplicationRule;
use crate::backup::Keepers;
use crate::calendar::Calendar;
use crate::name::{
    AccountName, BindingName, ClinicName, DeviceId, DeviceName, FacilitySlug, FolderPattern, InstitutionNumber, IssuerName, Label, Mail,
    ProfileName, Sha256, TargetName, TenantName,
};
use crate::time::{DAY, Timestamp};
use crate::vendor::Expectation;

mod portal;
mod ssh;

pub use portal::*;
pub use ssh::*;

/// Everything that one tenant declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: TenantName,
    /// Its clinics.
    pub clinics: BTreeMap<ClinicName, ClinicNetwork>,
    /// Its profiles.
    pub profiles: BTreeMap<ProfileName, CertificateProfile>,
    /// Its issuers.
    pub issuers: BTreeMap<IssuerName, Issuer>,
    /// Its backup targets.
    pub targets: BTreeMap<TargetName, BackupTarget>,
    /// Who may do what in it.
    pub bindings: BTreeMap<BindingName, AccessBinding>,
}

/// One clinic: its people, its PCs, and which certificate goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClinicNetwork {
    /// Its name inside the tenant.
    pub name: ClinicName,
    /// Its name as people say it.
    pub display_name: Label,
    /// Its medical institution number, where a system needs one.
    pub institution_number: Option<InstitutionNumber>,
    /// What a vendor calls it, where a system needs that.
    pub vendor_tenant: Option<Label>,
    /// The label that certificates and host names carry.
    pub facility_slug: FacilitySlug,
    /// Who is told when something needs a person.
    pub contacts: Vec<Mail>,
    /// How else they are told, and in which language.
    pub notify: Notify,
    /// When the clinic is open.
    pub hours: Calendar,
    /// Staff accounts under which certificates are issued.
    pub accounts: BTreeMap<AccountName, Account>,
    /// The devices that stand in this clinic.
    pub devices: BTreeMap<DeviceName, Device>,
    /// Devices of sister clinics that open this clinic's charts too.
    pub guests: BTreeSet<DeviceId>,
    /// Which profiles go where.
    pub certificates: Vec<Assignment>,
    /// What happens to installer files.
    pub installers: InstallerRule,
    /// Where sealed backups go.
    pub backup: BackupRule,
    /// How many certificates that still work may be replaced at the same time.
    pub replace_at_once: u32,
    /// The issuer from whose portal its staff get certificates for PCs without an agent.
    pub portal: Option<IssuerName>,
    /// How playbooks reach its devices.
    pub ssh: ClinicSsh,
}

/// How people are told of what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Programs that are told too.
    pub webhooks: Vec<Webhook>,
    /// The language of letters.
    pub language: Language,
    /// How long before they expire people are told of certificates that agents merely found, longest first. None: never.
    pub found: Vec<Duration>,
}

impl Default for Notify {
    fn default() -> Self {
        Self { webhooks: Vec::new(), language: Language::default(), found: [30, 14, 7, 1].map(|days| days * DAY).into() }
    }
}

/// A language that letters are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// Japanese, and below it English.
    #[default]
    Both,
    /// Japanese alone.
    Japanese,
    /// English alone.
    English,
}

/// A program that is told of what is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Webhook {
    /// Where it listens.
    pub url: WebhookUrl,
    /// Whether it may be in a private network, and listen without TLS.
    pub allow_private: bool,
}

/// The address of a webhook: `https://host/path`, or `http://` in a private network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WebhookUrl(String);

impl WebhookUrl {
    /// Reads an address. `allow_private` allows `http://`.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, UrlError> {
        let wrong = |problem: &str| Err(UrlError { problem: problem.to_owned() });
        let plain = text.strip_prefix("http://");
        if plain.is_some() && !allow_private {
            return wrong("it must begin with https://; http:// is for a private network, with allowPrivate: true");
        }
        let Some(rest) = text.strip_prefix("https://").or(plain) else { return wrong("it must begin with https://") };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit_once(':').map_or(authority, |(host, port)| if port.parse::<u16>().is_ok() { host } else { authority });
        let named = |host: &str| !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        let address = |host: &str| {
            let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            inner.is_some_and(|inner| inner.contains(':') && inner.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.')))
        };
        if !named(host) && !address(host) {
            return wrong("its host must be a name or an address, perhaps with a port, and without a user");
        }
        if text.len() > 2_000 || !text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '<' | '>' | '#')) {
            return wrong("it must be plain ASCII without blanks, quotes and '#', at most 2000 characters");
        }
        Ok(Self(text.to_owned()))
    }

    /// Gives the address as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of it that is no secret: what stands behind the host often opens the door.
    pub fn shown(&self) -> &str {
        let begin = self.0.find("://").map_or(0, |at| at + 3);
        self.0[begin..].find(['/', '?']).map_or(&self.0[..], |end| &self.0[..begin + end])
    }
}

/// A staff account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Where its codes are mailed.
    pub mail: Option<Mail>,
    /// False once the person has left: every certificate issued under it goes.
    pub active: bool,
    /// The account under which its certificates are issued anew once its person has left. None: they go without replacement.
    pub successor: Option<AccountName>,
    /// How many certificates it may have: each bound holds, whatever the others allow.
    pub quotas: Vec<Quota>,
}

/// A bound on certificates of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The most that are allowed.
    pub certificates: u32,
    /// Counted over this rolling span of issuance; `None` counts those alive now.
    pub per: Option<Duration>,
    /// Which of those that were issued within the span count.
    pub counting: Counting,
}

/// Which certificates count against a bound over a rolling span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Counting {
    /// All that were issued: only time frees a place.
    #[default]
    Issued,
    /// Those of them that were not revoked: revoking one frees its place.
    Unrevoked,
}

impl ClinicNetwork {
    /// The account that certificates asked for under `name` are issued under: itself, or whoever succeeds it if its person has left.
    /// `None` if there is no such account, or nobody is left.
    pub fn live_account<'a>(&'a self, name: &'a AccountName) -> Option<&'a AccountName> {
        let mut name = name;
        // Whoever succeeds in a circle is found out after as many steps as there are accounts.
        for _ in 0..=self.accounts.len() {
            let account = self.accounts.get(name)?;
            if account.active {
                return Some(name);
            }
            name = account.successor.as_ref()?;
        }
        None
    }
}

/// A PC or server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its operating system.
    pub platform: Platform,
    /// Where it stands, for people.
    pub memo: Option<Label>,
    /// What assignments select by.
    pub labels: BTreeMap<String, String>,
    /// How playbooks reach it; `None`: they do not.
    pub ssh: Option<DeviceSsh>,
}

/// An operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Platform {
    /// Windows 10 and later.
    Windows,
    /// macOS.
    Macos,
    /// Linux.
    Linux,
}

/// "This profile, under this account, on these devices."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The profile.
    pub profile: ProfileName,
    /// The account that the certificates count against.
    pub account: Option<AccountName>,
    /// The devices.
    pub devices: Selector,
}

/// Which devices an assignment means, guests included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Every device of the clinic and every guest.
    All,
    /// These; a guest is named by `clinic/device`.
    Names(BTreeSet<DeviceId>),
    /// Those that carry all of these labels.
    Labels(BTreeMap<String, String>),
}

/// What happens to installer files (`.p12`, `.pfx`) that a set-up leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstallerRule {
    /// When files known by hash are removed.
    pub remove: RemoveInstallers,
    /// Where agents look.
    pub folders: BTreeSet<Folder>,
    /// Further folders in which they look.
    pub also: BTreeSet<FolderPattern>,
    /// What happens when one comes back that was removed.
    pub on_return: OnReturn,
    /// What happens to files that look like installers and are not on record.
    pub on_unknown: OnUnknown,
    /// What is spared for a while.
    pub exempt: Vec<Exemption>,
}

/// When an installer file that is known by its hash is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RemoveInstallers {
    /// Once every certificate of this clinic on the device is proven.
    AfterProof,
    /// Not at all: agents only report.
    #[default]
    Never,
}

/// What happens when an installer file comes back to a PC from which it was removed. That it did is always on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnReturn {
    /// People see it.
    #[default]
    Report,
    /// The certificate that came in it is replaced too: the file may be in other hands.
    Rotate,
}

/// What happens to files that look like installers and are not on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// They are told, and left alone.
    #[default]
    Ignore,
    /// A person is asked.
    Ask,
    /// Those that hold a private key are moved out of the way as well.
    Quarantine,
}

/// Installer files that stay for a while: one file, all on one device, or one on one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// The only device that is meant; all of the clinic if there is none.
    pub device: Option<DeviceName>,
    /// The only file that is meant; all if there is none.
    pub file: Option<Sha256>,
    /// When it ends.
    pub until: Timestamp,
}

impl InstallerRule {
    /// Until when a file on a device of the clinic is spared; nothing if it is not.
    pub fn exempt_until(&self, device: &DeviceName, file: &Sha256, now: Timestamp) -> Option<Timestamp> {
        let is_meant = |exemption: &&Exemption| {
            exemption.device.as_ref().is_none_or(|meant| meant == device) && exemption.file.as_ref().is_none_or(|meant| meant == file)
        };
        self.exempt.iter().filter(is_meant).map(|exemption| exemption.until).filter(|until| *until > now).max()
    }
}

/// A place of the logged-on user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Folder {
    /// Downloads.
    Downloads,
    /// The desktop.
    Desktop,
    /// Documents.
    Documents,
    /// Where programs put temporary files.
    Temp,
    /// Where mail programs keep attachments.
    Mail,
    /// What is kept in a cloud too.
    Cloud,
    /// What was thrown away.
    Trash,
    /// Drives that can be taken away.
    Removable,
}

/// Where sealed backups go, and of which keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackupRule {
    /// The targets; empty means that lost certificates are issued anew instead.
    pub targets: BTreeSet<TargetName>,
    /// How many people it takes to read a backup: 1 or 2.
    pub approvals: u8,
    /// How many of them must hold a copy that was read back before installer files go. `None`: all.
    pub at_least: Option<usize>,
}

/// How certificates for one system are made, installed, used and renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateProfile {
    /// Its name.
    pub name: ProfileName,
    /// Who issues.
    pub issuer: IssuerName,
    /// Where the key is born.
    pub key: KeyOrigin,
    /// How long a certificate lives.
    pub validity: Duration,
    /// When it is replaced.
    pub renewal: Renewal,
    /// How long before expiry people are told, longest first.
    pub notices: Vec<Duration>,
    /// Where it is installed.
    pub stores: BTreeSet<Store>,
    /// The sites for which the browser selects it without asking.
    pub select: Vec<UrlTemplate>,
    /// The page that proves it by a real handshake.
    pub probe: Option<UrlTemplate>,
    /// Trust anchors that agents may install, pinned by SHA-256 of their DER.
    pub trust: BTreeSet<Sha256>,
    /// What else has to change whenever this certificate does, for people.
    pub dependants: Vec<Label>,
    /// What a vendor's bundle has to be; there if and only if the key is born at the vendor.
    pub expect: Option<Expectation>,
    /// How it is applied for at its vendor, where that takes an application.
    pub application: Option<ApplicationRule>,
}

/// Where a private key is born.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyOrigin {
    /// On the device; it never leaves it.
    Device(KeyAlgorithm),
    /// At the vendor, who delivers it in a PKCS#12 file.
    Vendor,
}

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256. What nearly everything should use.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA with 2048 bits, for what cannot do elliptic curves.
    Rsa2048,
}

/// When a certificate is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// How long before expiry replacement may begin. Always shorter than the validity.
    pub window: Duration,
    /// Which end of the window is meant.
    pub when: RenewWhen,
}

/// Which end of the renewal window is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewWhen {
    /// As the window opens, spread over its first third.
    Early,
    /// As late as is safe, for issuers that do not carry the remaining time over: in its last third, on an open day.
    Late,
}

/// A place that programs take client certificates from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// The store of the user's browser.
    Browser,
    /// PEM files in the agent's folder, for programs that read files.
    File,
    /// The folder and the properties file of the ORCA client *monsiaj*.
    Monsiaj,
}

/// A URL with the clinic's own parts left open: `https://{facilitySlug}.karte.example.jp`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UrlTemplate(String);

/// Why a text is not a URL template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError {
    /// What is wrong, in one sentence.
    pub problem: String,
}

/// The placeholders that a URL template may hold.
pub const URL_PLACEHOLDERS: [&str; 2] = ["facilitySlug", "clinic"];

impl UrlTemplate {
    /// Reads a template: `https://`, a host, perhaps a port and a path, and placeholders from [`URL_PLACEHOLDERS`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let wrong = |problem: String| Err(UrlError { problem });
        let Some(rest) = text.strip_prefix("https://") else { return wrong("it must begin with https://".into()) };
        let mut open = rest;
        while let Some((_, after)) = open.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else { return wrong("a '{' has no matching '}'".into()) };
            if !URL_PLACEHOLDERS.contains(&name) {
                return wrong(format!("'{{{name}}}' is not one of {{{}}}", URL_PLACEHOLDERS.join("}, {")));
            }
            open = tail;
        }
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '{' | '}');
        if host.is_empty() || !host.chars().all(plain) {
            return wrong("its host must be letters, digits, dots and hyphens".into());
        }
        if !rest.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '<' | '>' | '*' | '@' | '?' | '#')) {
            return wrong("it may hold only a host, a port and a path".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// Fills the placeholders for one clinic.
    pub fn fill(&self, clinic: &ClinicNetwork) -> String {
        self.0.replace("{facilitySlug}", clinic.facility_slug.as_str()).replace("{clinic}", clinic.name.as_str())
    }

    /// Gives the template as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its name.
    pub name: IssuerName,
    /// How.
    pub kind: IssuerKind,
    /// What its portal hands out; only Tegata's own authorities have one.
    pub portal: Option<Portal>,
}

/// How an issuer comes to a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerKind {
    /// Tegata's own authority: a root and an issuing intermediate, made when the document is first applied.
    Ca {
        /// The common name of the issuing intermediate, which browser rules select by.
        common_name: Label,
    },
    /// A vendor's portal; people bring the file.
    Vendor,
    /// ORCAMO's renewal call, authenticated by the current certificate.
    Orcamo {
        /// Whom devices ask, with the certificate that they hold: `https://host`, perhaps with a port.
        url: String,
    },
}

/// Where sealed backups are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupTarget {
    /// Its name.
    pub name: TargetName,
    /// The place.
    pub place: BackupPlace,
    /// Who can open the backups.
    pub keepers: Keepers,
    /// How long a backup is kept after its certificate expired.
    pub retention: Duration,
    /// How often every copy is read back and compared.
    pub drill_every: Option<Duration>,
    /// How often a person has to open every copy; `None`: nobody has to.
    pub open_every: Option<Duration>,
}

/// A place for backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupPlace {
    /// A folder on the server's machine or a mounted share.
    Directory {
        /// An absolute path.
        path: String,
        /// A file in it, made by people, without which nothing is written there.
        marker: Option<String>,
    },
    /// A server reached by SFTP.
    Sftp {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// The login name.
        user: String,
        /// The pinned host key, as in `known_hosts`: algorithm and base64.
        host_key: String,
        /// The folder there.
        path: String,
    },
    /// An S3-compatible bucket.
    S3(Bucket),
}

/// An S3-compatible bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The service's address (`https://…`), if it is not Amazon's.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// What object names begin with.
    pub prefix: String,
    /// True if its name stands in the path of addresses, not in the host.
    pub path_style: bool,
    /// The only authorities whose servers are believed, in PEM. `None`: those that the operating system trusts.
    pub authority: Option<String>,
    /// Which of the server's credentials open it.
    pub credentials: String,
}
