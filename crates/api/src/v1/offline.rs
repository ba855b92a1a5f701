//! What is carried by hand to a device that cannot reach the server, and what it answers.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/tenants/{tenant}/devices/{clinic}/{device}/bundle` | [`SignedBundle`] |
//! | `POST /v1/tenants/{tenant}/bundles/answers` [`SignedAnswer`] | [`AnswerTaken`] |
//!
//! A bundle is what the device would fetch by its link at this moment, signed with the key of the server's TLS certificate: the device
//! believes it because of the authorities that it has known since it enrolled. An answer is what the device would have said, signed with the
//! key of its identity. Both are files of JSON. What is secret in a bundle is sealed to the device; an answer holds nothing secret.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::device::{CertificateRequest, IssuedCertificate, Manifest, Report, SealedBundle, SignedReceipt, TakenCertificate};
use super::problem::Problem;

/// The longest file that is read, in bytes: as much as the server takes from a person.
pub const FILE_MAX: usize = 16 << 20;

/// What a signature is about. Nothing else that these keys sign begins so: TLS 1.3 begins with spaces (RFC 8446, section 4.4.3), a receipt
/// with `{`, and a certificate request with 0x30.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// [`SignedBundle::bundle`].
    Bundle,
    /// [`SignedAnswer::answer`].
    Answer,
}

impl Meant {
    /// The bytes that are signed for a text.
    pub fn signed_bytes(self, text: &str) -> Vec<u8> {
        let begin: &[u8] = match self {
            Self::Bundle => b"tegata offline bundle v1\0",
            Self::Answer => b"tegata offline answer v1\0",
        };
        [begin, text.as_bytes()].concat()
    }
}

/// A bundle, and the server's signature over its exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedBundle {
    /// The JSON of an [`OfflineBundle`], byte for byte as it was signed.
    pub bundle: String,
    /// ECDSA P-256 with SHA-256 over [`Meant::Bundle`] and those bytes, DER, base64.
    pub signature: String,
    /// The certificate of the key that signed, which is the server's for TLS, and those above it, PEM.
    pub chain: String,
}

/// What one device would fetch by its link.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OfflineBundle {
    /// The device's tenant. Which device it is for, its manifest says.
    pub tenant: String,
    /// SHA-256 of the public key of the device's identity: one that was enrolled anew is another.
    pub identity: String,
    /// When it was made, by the server's clock, seconds since the Unix epoch.
    pub made_at: i64,
    /// Every receipt of the device up to this number is on record.
    pub receipts: u64,
    /// Everything that the device should have.
    pub manifest: Manifest,
    /// Vendors' files, by order.
    pub sealed: BTreeMap<String, SealedBundle>,
    /// Certificates that were issued for keys of the device, by order.
    pub issued: BTreeMap<String, IssuedCertificate>,
}

/// An answer, and the device's signature over its exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedAnswer {
    /// The JSON of an [`OfflineAnswer`], byte for byte as it was signed.
    pub answer: String,
    /// ECDSA P-256 with SHA-256 over [`Meant::Answer`] and those bytes by the device's identity key, DER, base64.
    pub signature: String,
}

/// What one device would have said by its link.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OfflineAnswer {
    /// The device's tenant.
    pub tenant: String,
    /// The device, `clinic/device`.
    pub device: String,
    /// The number of its last receipt, whether that is still waiting or not.
    pub last_receipt: u64,
    /// All receipts that it does not know to be on record.
    pub receipts: Vec<SignedReceipt>,
    /// What it sees.
    pub report: Report,
    /// Requests for certificates, by order.
    pub requests: BTreeMap<String, CertificateRequest>,
    /// Certificates that it came to by itself, by order.
    pub taken: BTreeMap<String, TakenCertificate>,
}

/// What the server made of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerTaken {
    /// Whose it was, `clinic/device`.
    pub device: String,
    /// Every receipt of the device up to this number is on record now.
    pub up_to: u64,
    /// The number of the last receipt that the device had written.
    pub last_receipt: u64,
    /// Orders whose certificate is there for the next bundle.
    pub issued: Vec<String>,
    /// Orders whose certificate the device had already, and which are taken in now.
    pub taken: Vec<String>,
    /// What was refused. Nothing else stops for it.
    pub refused: Vec<Refused>,
}

/// A part of an answer that the server does not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The order that it is about; absent if it is a receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Why.
    pub problem: Problem,
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is longer than any honest one.
    #[error("the file is larger than {} MiB; it is not one of Tegata's", FILE_MAX >> 20)]
    TooLarge,
    /// It ends too early.
    #[error("the file is empty or ends in the middle; copy it again, and eject the USB stick before pulling it out")]
    CutShort,
    /// It is something else.
    #[error("the file is not one of this kind; check which one was chosen")]
    Other,
    /// The medium fails.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
}

/// Reads one of the two kinds of file. Who made it is not known then.
///
/// # Errors
/// [`Unreadable`].
pub fn read<T: DeserializeOwned>(from: impl Read) -> Result<T, Unreadable> {
    let mut bytes = Vec::new();
    from.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_MAX {
        return Err(Unreadable::TooLarge);
    }
    serde_json::from_slice(&bytes).map_err(|problem| if problem.is_eof() { Unreadable::CutShort } else { Unreadable::Other })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUNDLE: &str = r#"{"bundle":"{}","signature":"AA==","chain":"none"}"#;

    fn of(bytes: impl AsRef<[u8]>) -> Result<SignedBundle, Unreadable> {
        read(bytes.as_ref())
    }

    #[test]
    fn a_whole_file_is_read_and_may_say_more_than_is_known() {
        let longer = BUNDLE.replace("{\"bundle", "{\"from\":\"a newer server\",\"bundle");
        for text in [BUNDLE.to_owned(), format!("\n{BUNDLE}\n"), longer] {
            assert_eq!(of(&text).unwrap().bundle, "{}", "{text}");
        }
    }

    #[test]
    fn a_file_that_was_cut_short_anywhere_is_told_from_one_of_another_kind() {
        for end in 0..BUNDLE.len() {
            assert!(matches!(of(&BUNDLE[..end]), Err(Unreadable::CutShort)), "{}", &BUNDLE[..end]);
        }
        let answer = r#"{"answer":"{}","signature":"AA=="}"#;
        for other in [answer, "PK\u{3}\u{4}", "[]", "{}", "null", &format!("{BUNDLE}{BUNDLE}")] {
            assert!(matches!(of(other), Err(Unreadable::Other)), "{other}");
        }
        assert!(matches!(of([0x30, 0x82, 0xff, 0]), Err(Unreadable::Other)), "a .p12");
    }

    #[test]
    fn no_more_is_read_than_an_honest_file_has() {
        let filled = |size: usize| format!("{BUNDLE}{}", " ".repeat(size - BUNDLE.len()));
        assert!(of(filled(FILE_MAX)).is_ok());
        assert!(matches!(of(filled(FILE_MAX + 1)), Err(Unreadable::TooLarge)));
        assert!(matches!(read::<SignedBundle>(io::repeat(b' ')), Err(Unreadable::TooLarge)), "a file without an end");
    }

    #[test]
    fn a_signature_for_one_kind_is_none_for_another() {
        let (bundle, answer) = (Meant::Bundle.signed_bytes("{}"), Meant::Answer.signed_bytes("{}"));
        assert!(bundle != answer && bundle.ends_with(b"\0{}") && answer.ends_with(b"\0{}"));
    }
}
