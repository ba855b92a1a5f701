//! Policy documents as they are written.
//!
//! The same Rust types are the YAML files, the JSON Schema that editors complete from, and later the custom resources of
//! Kubernetes; so there are no untagged enums here, and every text is a newtype that says how it is written. What a
//! document *means* is `tegata_core::policy`; [`crate::yaml`] leads from here to there.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod access;
mod clinic;
mod portal;
mod profile;
mod ssh;
mod target;
mod written;

pub use access::*;
pub use clinic::*;
pub use portal::*;
pub use profile::*;
pub use ssh::*;
pub use target::*;
pub use written::*;

/// The version of the documents that this Tegata reads.
pub const API_VERSION: &str = "tegata.dev/v1alpha1";

/// A document: what it is, what it is called, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope<Spec> {
    /// The version of this format: `tegata.dev/v1alpha1`.
    pub api_version: String,
    /// What the document describes.
    pub kind: String,
    /// What it is called.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Spec,
}

/// What a document is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Its name: 1 to 63 of a-z, 0-9 and '-'. Other documents refer to it by this.
    pub name: Name,
    /// The tenant. May be left out: then it is the one that the document is applied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Remarks for people and other programs. Tegata does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Who issues: [`IssuerSpec`].
    Issuer,
    /// How certificates for one system are made, installed, used and renewed: [`CertificateProfileSpec`].
    CertificateProfile,
    /// Where sealed backups are kept: [`BackupTargetSpec`].
    BackupTarget,
    /// One clinic: [`ClinicNetworkSpec`].
    ClinicNetwork,
    /// Who may do what: [`AccessBindingSpec`].
    AccessBinding,
}

impl Kind {
    /// Every kind, those first that others refer to.
    pub const ALL: [Self; 5] = [Self::Issuer, Self::CertificateProfile, Self::BackupTarget, Self::ClinicNetwork, Self::AccessBinding];

    /// What stands after `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "Issuer",
            Self::CertificateProfile => "CertificateProfile",
            Self::BackupTarget => "BackupTarget",
            Self::ClinicNetwork => "ClinicNetwork",
            Self::AccessBinding => "AccessBinding",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// There is no such kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no such kind of document")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownKind)
    }
}
