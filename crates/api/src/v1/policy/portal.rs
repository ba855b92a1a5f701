//! What an issuer's portal hands out to staff whose PC has no agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Name, Span, Text};

/// What an issuer's portal hands out to staff whose PC has no agent: PKCS#12 files, from web pages that the server serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortalSpec {
    /// How long a certificate lives.
    pub validity: Span,
    /// How long before its end a certificate may be renewed by showing it. Left out: `60d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_within: Option<Span>,
    /// How long a mailed code lives. Left out: `10min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_life: Option<Span>,
    /// How many living certificates an account may have that has no quota of its own. Left out: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub certificates: Option<u32>,
    /// Subject CN. Left out: `client{n}`. Also known: `{number}`, `{tenant}`, `{clinic}`, `{facilitySlug}`, `{label}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<Text>,
    /// Subject O. Left out: `u{tenant}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Text>,
    /// What people see in the certificate stores. Left out: `{label}-{commonName}`; `{organization}` is known as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friendly_name: Option<Text>,
    /// What the file is called. Left out: `{number}_JP_{organization}_client{n}.p12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<Text>,
    /// Which algorithms protect the file. Left out: `modern`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavor: Option<BundleFlavor>,
}

/// Which algorithms protect a PKCS#12 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BundleFlavor {
    /// AES-256 and SHA-256: Windows 10 1709 and later, macOS 15 and later.
    Modern,
    /// 3DES and SHA-1: older systems.
    Legacy,
}

/// Where a clinic's staff get certificates for PCs without an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClinicPortal {
    /// The `Issuer`; it has to have a `portal`.
    pub issuer: Name,
}
