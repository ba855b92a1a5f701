//! Policy documents as they are written.

use std::fmt;
use std::str::FromStr;

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Who issues.
    Issuer,
    /// How certificates for one system are made, installed, used and renewed.
    CertificateProfile,
    /// Where sealed backups are kept.
    BackupTarget,
    /// One clinic.
    ClinicNetwork,
}

impl Kind {
    /// Every kind, those first that others refer to.
    pub const ALL: [Self; 4] = [Self::Issuer, Self::CertificateProfile, Self::BackupTarget, Self::ClinicNetwork];

    /// What stands after `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "Issuer",
            Self::CertificateProfile => "CertificateProfile",
            Self::BackupTarget => "BackupTarget",
            Self::ClinicNetwork => "ClinicNetwork",
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
