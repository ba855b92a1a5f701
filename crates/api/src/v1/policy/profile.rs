//! How certificates for one system are made, installed, used and renewed; and who issues them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Anchor, FileName, Name, Notice, PortalSpec, Span, Text, Thumbprint, Url};

/// How certificates for one system are made, installed, used and renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateProfileSpec {
    /// The `Issuer`.
    pub issuer: Name,
    /// Where the private key is born.
    pub key: Key,
    /// How long a certificate lives, for keys born on the device. A vendor's validity stands under `expect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Span>,
    /// What a vendor's certificate has to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// The PIN that a vendor's file has in the place of a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// The code that a vendor mails before it issues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<IssuanceCode>,
    /// When a certificate is replaced. Left out: in the last third of its life, early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// How long before expiry people are told of a certificate that was not replaced by then, longest first. They are told once more after it
    /// has expired, and every morning if the last one is `daily`. Left out: nobody is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub notices: Vec<Notice>,
    /// Where the certificate goes. Left out: the browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
    /// What the browser is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<Browser>,
    /// How the certificate is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Roots that programs on devices are to trust for the sites that they vouch for, by the SHA-256 of their DER: those of the tenant's own issuers,
    /// and those that come with a vendor's file. On Linux the agent adds them to the browser's store (NSS); on Windows and macOS an administrator
    /// runs the line that `tegata describe device` shows. What the agent added goes when no profile of the device lists it any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub trust: Vec<Thumbprint>,
    /// What else has to change whenever this certificate does. Until somebody says that it was changed (`tegata confirm`), the slot is not
    /// ready, and the certificate before stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub dependants: Vec<Dependant>,
    /// How the certificate is applied for, where a vendor takes applications. Left out: it takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Application>,
}

/// How a certificate is applied for at its vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// How long after the application the certificate can be fetched, such as `180d`.
    pub window: Span,
    /// How long before that ends people are told, longest first. After it they are told once more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub notices: Vec<Notice>,
}

/// Where a private key is born.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// Where it is born: on the `device`, or at the `vendor`.
    pub origin: KeyOrigin,
    /// The kind of key that a device makes. Left out: `ecdsa-p256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
}

/// Where a private key is born.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyOrigin {
    /// On the device; it never leaves it.
    Device,
    /// At the vendor, who delivers it in a PKCS#12 file.
    Vendor,
}

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// ECDSA on P-256. What nearly everything should use.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// RSA with 2048 bits, for what cannot do elliptic curves.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
}

/// What a vendor's certificate has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// Who has to have issued it. Checked when a vendor's file is taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<ExpectedName>,
    /// How long it lives.
    pub validity: Span,
    /// By how much it may live longer or shorter: years have leap days, months differ. Left out: 7d, or a tenth of a validity below 70d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity_tolerance: Option<Span>,
    /// What its subject has to name. Left out: `anything`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<ExpectedSubject>,
    /// The authorities of which one must have signed it, by thumbprint. Left out: none is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub anchors: Option<Vec<Anchor>>,
    /// What the file is called. Left out: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<FileName>,
    /// On how many devices one certificate may be. Left out: `one-device`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
}

/// What the subject of a vendor's certificate has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedSubject {
    /// Whatever the vendor writes.
    Anything,
    /// The clinic's `institutionNumber`.
    InstitutionNumber,
    /// The clinic's `vendorTenant`.
    VendorTenant,
}

/// On how many devices one certificate may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// The vendor forbids copies: one certificate, one device.
    OneDevice,
    /// The same certificate may be on several.
    ManyDevices,
}

/// The PIN that a vendor's file has in the place of a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pin {
    /// How many digits it has: 4 to 16.
    #[schemars(range(min = 4, max = 16))]
    pub digits: u8,
    /// After how many wrong tries, at least one, the vendor locks the certificate. None is ever spent unless a person typed the PIN.
    #[schemars(range(min = 1, max = 100))]
    pub tries: u8,
}

/// The code that a vendor mails before it issues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuanceCode {
    /// How many digits it has: 4 to 16.
    #[schemars(range(min = 4, max = 16))]
    pub digits: u8,
    /// How long it is good for.
    pub life: Span,
}

/// Parts of a certificate's issuer name that have to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedName {
    /// The common name.
    #[serde(rename = "CN", default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<Text>,
    /// The organization.
    #[serde(rename = "O", default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Text>,
}

/// When a certificate is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Renewal {
    /// How long before expiry replacement may begin. Shorter than the validity.
    pub window: Span,
    /// Which end of the window is meant. Left out: `early`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<RenewWhen>,
    /// How long the old certificate stays. Left out: `until-proven`, the only way there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
}

/// Which end of the renewal window is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RenewWhen {
    /// As the window opens, spread over its first third.
    Early,
    /// As late as is safe, for issuers that do not carry the remaining time over; a person who has to fetch a file is asked with a
    /// quarter of the window left.
    Late,
}

/// How long the old certificate stays when a new one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// Until the new one has answered over a real handshake.
    UntilProven,
}

/// Where a certificate goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Install {
    /// The stores.
    #[schemars(length(max = 3))]
    pub stores: Vec<Store>,
    /// Whether a vendor's file keeps the name that it came with, wherever it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_file_name: Option<bool>,
}

/// A place that programs take client certificates from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// The store of the user's browser.
    Browser,
    /// PEM files in the agent's folder, for programs that read files.
    File,
    /// The folder `.monsiaj` of the user, and the properties file in it: for the ORCA client monsiaj.
    Monsiaj,
}

/// What the browser is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Browser {
    /// The sites for which it selects the certificate without asking. On one device, each site may be selected for by one certificate only.
    #[schemars(length(max = 50))]
    pub select: Vec<Url>,
}

/// How a certificate is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// A page that asks for the certificate. The agent opens it; any answer over a completed handshake is proof.
    pub url: Url,
}

/// Something that has to change whenever a certificate does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependant {
    /// What people call it.
    pub name: Text,
    /// Who says that it was done. Left out: `operator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirm>,
}

/// Who says that a dependant was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confirm {
    /// A person with the role of an operator.
    Operator,
}

/// Who issues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerSpec {
    /// How certificates come about.
    #[serde(rename = "type")]
    pub kind: IssuerType,
    /// For `ca`: the common name of the authority that signs. Browsers select certificates by it, so it should stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<Text>,
    /// For `orcamo`: whom devices ask for a successor, with the certificate that they hold: `https://host`, perhaps with a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// For `ca`: what staff whose PC has no agent get from web pages. Left out: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal: Option<PortalSpec>,
}

/// How certificates come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerType {
    /// Tegata's own authority, made when the document is first applied.
    Ca,
    /// A vendor's portal; people bring the file.
    Vendor,
    /// ORCAMO's renewal call, authenticated by the current certificate.
    Orcamo,
}
