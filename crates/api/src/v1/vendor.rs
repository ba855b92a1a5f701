//! What people and the server say to each other about certificates that vendors issue.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/tenants/{tenant}/bundles/recipients` [`RecipientsRequest`] | [`Recipients`] |
//! | `POST /v1/tenants/{tenant}/bundles/tries` [`TryRequest`] | 204 |
//! | `POST /v1/tenants/{tenant}/bundles` [`ImportRequest`] | [`ImportAnswer`] |
//! | `POST /v1/tenants/{tenant}/adopt` [`AdoptRequest`] | 204 |
//! | `POST /v1/tenants/{tenant}/certificates/{serial}/confirm` [`ConfirmRequest`] | 204 |
//!
//! A vendor's file is opened where the command runs, never on the server: what travels is the certificate, which is public, and the file
//! sealed to those who may open it.

use serde::{Deserialize, Serialize};

use super::backup::Quorum;
use super::device::FileHash;

/// Asks to whom a vendor's file is to be sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecipientsRequest {
    /// Where it will go, `clinic/device/profile`.
    pub slot: String,
}

/// To whom a vendor's file for one slot is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recipients {
    /// The device's own, `age1…`.
    pub device: String,
    /// Those of the clinic's backups who each open them alone.
    pub backup: Vec<String>,
    /// Those who open them only together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    /// The rules of the PIN that opens the file, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
}

/// The rules of a PIN in the place of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// How many digits it has.
    pub digits: u8,
    /// After how many wrong tries the vendor locks the certificate.
    pub tries: u8,
}

/// Counts a try of a PIN before it is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TryRequest {
    /// The slot, `clinic/device/profile`.
    pub slot: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// True if even the last try may be spent, after which the vendor locks the certificate.
    #[serde(default)]
    pub last: bool,
}

/// Takes a vendor's file in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportRequest {
    /// Where it goes, `clinic/device/profile`.
    pub slot: String,
    /// Every certificate of the file, PEM, the key's own first.
    pub chain: String,
    /// The name that it came with.
    pub file_name: String,
    /// What the file contains: agents remove copies of it.
    pub file: FileHash,
    /// The file and its password, sealed: an age file, base64.
    pub sealed: String,
    /// To whom it was sealed.
    pub recipients: Vec<String>,
}

/// The file is taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportAnswer {
    /// Where it goes.
    pub slot: String,
    /// What the certificate is known by.
    pub serial: String,
    /// SHA-256 of its DER.
    pub fingerprint: String,
    /// Its subject, as people read it.
    pub subject: String,
    /// When it expires, seconds since the Unix epoch.
    pub not_after: i64,
    /// True if the same certificate was there already, and the file was only sealed anew.
    pub again: bool,
}

/// "This certificate, which lies on the device already, is the slot's."
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptRequest {
    /// The slot, `clinic/device/profile`.
    pub slot: String,
    /// SHA-256 of the certificate's DER, or at least eight digits that it begins with.
    pub fingerprint: String,
}

/// "That was changed for this certificate too."
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmRequest {
    /// The dependant's name, as policy says it. Left out: all of the slot's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependant: Option<String>,
}
