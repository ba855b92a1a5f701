//! Revoking and replacing many certificates at once: first what would happen, then exactly that.
//!
//! Both under `/v1/tenants/{tenant}`, with `Authorization: Bearer <token>`:
//!
//! | request | answer |
//! |---|---|
//! | `POST /revocations/preview` [`Selection`] | [`Blast`] |
//! | `POST /revocations` [`RevokeMany`] | [`RevokedMany`] |
//!
//! Open to anyone, for those who check certificates: `GET /crl/{tenant}/{issuer}.crl`, `/crl/{tenant}/{issuer}/{shard}.crl` and
//! `/crl/{tenant}/{issuer}/root.crl` (DER), `/crl/{tenant}/{issuer}.pem` (all of them but the first, PEM), and OCSP with
//! `POST /ocsp/{tenant}/{issuer}` or `GET /ocsp/{tenant}/{issuer}/{base64}`.

use serde::{Deserialize, Serialize};
use tegata_core::revocation;

/// Why certificates are revoked, as those who check them are told (RFC 5280, section 5.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nobody says.
    #[default]
    Unspecified,
    /// Their keys are, or may be, in the wrong hands.
    KeyCompromise,
    /// Whom they name has left, or is called something else.
    AffiliationChanged,
    /// Newer ones have taken their place.
    Superseded,
    /// They are not needed any more.
    CessationOfOperation,
}

impl From<Cause> for revocation::Cause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Unspecified => Self::Unspecified,
            Cause::KeyCompromise => Self::KeyCompromise,
            Cause::AffiliationChanged => Self::AffiliationChanged,
            Cause::Superseded => Self::Superseded,
            Cause::CessationOfOperation => Self::CessationOfOperation,
        }
    }
}

/// Which certificates are meant: those to which everything that is said applies. Only such as are neither revoked nor over. What was
/// fetched from a portal has neither device nor profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selection {
    /// These serial numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<String>,
    /// Issued to this device, `clinic/device`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Counted against this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Of this profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// By this issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Signed at this moment or later, seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_from: Option<i64>,
    /// Signed before this moment, seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_until: Option<i64>,
}

/// What revoking a selection would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blast {
    /// How many certificates are meant.
    pub certificates: u64,
    /// Stands for exactly these certificates: to be sent back with [`RevokeMany`].
    pub digest: String,
    /// How many devices sign in with one of them to a system that they could not sign in to any more.
    pub cut_off: u64,
    /// How many of the certificates were fetched from a portal: onto PCs without an agent, which are in no count.
    #[serde(default)]
    pub from_portal: u64,
    /// The same for each clinic, by name.
    pub clinics: Vec<ClinicBlast>,
}

/// What revoking a selection would do to one clinic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClinicBlast {
    /// The clinic.
    pub clinic: String,
    /// How many certificates are meant.
    pub certificates: u64,
    /// How many devices could no longer sign in.
    pub cut_off: u64,
}

/// "Revoke exactly what was shown."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokeMany {
    /// Which ones.
    pub selection: Selection,
    /// Of the set that was shown: if it is another one by now, nothing is done.
    pub digest: String,
    /// Why, as those who check certificates are told.
    #[serde(default)]
    pub reason: Cause,
    /// Why, for the record.
    #[serde(default)]
    pub note: String,
    /// At once, or when their successors work.
    #[serde(default)]
    pub mode: Mode,
}

/// When certificates are revoked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// At once.
    #[default]
    Now,
    /// Each is replaced first, and revoked as soon as its successor is proven. One that has such a successor, or that is not on its
    /// device any more, is revoked at once. One from a portal is renewed by nobody but its holder: it stays until it is followed.
    Replace,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokedMany {
    /// Certificates that are revoked now.
    pub revoked: u64,
    /// Certificates that are being replaced, and revoked after that.
    pub replacing: u64,
    /// Certificates from a portal that nothing follows: they stay.
    #[serde(default)]
    pub left: u64,
}
