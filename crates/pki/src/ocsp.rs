//! Answers to "is this certificate still valid?" (OCSP: RFC 6960, in the profile of RFC 5019).
//!
//! An answer is signed by a responder with a certificate of its own that lives for weeks (RFC 6960, section 4.2.2.2), so that the
//! authority's key is not used whenever a stranger asks.

mod wire;

use der::asn1::{BitString, GeneralizedTime, ObjectIdentifier, OctetString};
use der::{Any, Decode as _, Encode as _};
use sha1::{Digest as _, Sha1};
use tegata_core::name::Serial;
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;
use x509_cert::ext::Extension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use self::wire::{
    BasicOcspResponse, CertId, CertStatus, NULL, OcspRequest, OcspResponse, ResponderId, ResponseBytes, ResponseData, RevokedInfo,
    SingleResponse,
};
use crate::key::{KeyError, PrivateKey, sha256};

/// The largest request that is read, in bytes. RFC 5019 has requests for one certificate in mind: they are below 255 bytes.
pub const REQUEST_MAX: usize = 8 << 10;
/// How many certificates one request may ask about.
pub const QUESTIONS_MAX: usize = 32;
/// The longest nonce that is repeated, in bytes (RFC 9654, section 2.1).
const NONCE_MAX: usize = 128;

/// id-pkix-ocsp-nonce (RFC 6960, section 4.4.1).
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
/// id-pkix-ocsp-basic (RFC 6960, section 4.2.1).
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// id-sha1 (RFC 3279, section 2.1) and id-sha256 (RFC 5754, section 2.2).
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// Bytes that are not a request that can be answered.
#[derive(Debug, thiserror::Error)]
#[error("this is not an OCSP request: {problem}")]
pub struct Malformed {
    /// Why not.
    pub problem: String,
}

impl Malformed {
    fn because(problem: impl ToString) -> Self {
        Self { problem: problem.to_string() }
    }
}

/// What somebody asks.
#[derive(Debug, Clone)]
pub struct Request {
    questions: Vec<Question>,
    nonce: Option<Extension>,
}

/// One certificate that is asked about.
#[derive(Debug, Clone)]
pub struct Question {
    id: CertId,
}

impl Question {
    /// The serial number, if it looks like one of ours.
    pub fn serial(&self) -> Option<Serial> {
        self.id.serial_number.as_bytes().try_into().ok().map(Serial)
    }
}

impl Request {
    /// Reads a request, DER. A signature on it is not looked at: anyone may ask.
    ///
    /// # Errors
    /// [`Malformed`], also for more than [`QUESTIONS_MAX`] questions and for an extension that must not be passed over.
    pub fn read(der: &[u8]) -> Result<Self, Malformed> {
        if der.len() > REQUEST_MAX {
            return Err(Malformed::because(format!("it is longer than {REQUEST_MAX} bytes")));
        }
        let request = OcspRequest::from_der(der).map_err(Malformed::because)?.tbs_request;
        if !(1..=QUESTIONS_MAX).contains(&request.request_list.len()) {
            return Err(Malformed::because(format!("it asks about none, or about more than {QUESTIONS_MAX} certificates")));
        }
        let nonce = nonce(request.request_extensions.unwrap_or_default())?;
        Ok(Self { questions: request.request_list.into_iter().map(|asked| Question { id: asked.req_cert }).collect(), nonce })
    }

    /// The certificates that are asked about, in order.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Whether the answer is for this request alone, and must not be kept for others.
    pub fn has_nonce(&self) -> bool {
        self.nonce.is_some()
    }
}

/// Finds the nonce among the extensions. An empty one makes no answer fresh, and a long one is somebody else's data.
fn nonce(extensions: Vec<Extension>) -> Result<Option<Extension>, Malformed> {
    let mut found = None;
    for extension in extensions {
        if extension.extn_id == NONCE {
            let value = OctetString::from_der(extension.extn_value.as_bytes()).map_err(Malformed::because)?;
            if !(1..=NONCE_MAX).contains(&value.as_bytes().len()) {
                return Err(Malformed::because(format!("its nonce is empty, or longer than {NONCE_MAX} bytes")));
            }
            found = Some(extension);
        } else if extension.critical {
            return Err(Malformed::because(format!("it insists on extension {}, which is not known here", extension.extn_id)));
        }
    }
    Ok(found)
}

/// What is known of one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was issued and is not revoked.
    Good,
    /// It is invalid.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        because: Cause,
    },
    /// It was never issued here.
    Unknown,
}

/// Why there is no answer at all (OCSPResponseStatus; RFC 6960, section 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The request cannot be read.
    MalformedRequest,
    /// The responder has failed: ask again later.
    TryLater,
}

impl Refusal {
    /// An unsigned response that says so, DER.
    pub fn response(self) -> Vec<u8> {
        let status = match self {
            Self::MalformedRequest => wire::Outcome::MalformedRequest,
            Self::TryLater => wire::Outcome::TryLater,
        };
        OcspResponse { response_status: status, response_bytes: None }.to_der().expect("a single number can be written")
    }
}

/// Signs answers for one authority.
pub struct Responder {
    issuer: Names,
    certificate: Any,
    key: PrivateKey,
    id: ResponderId,
}

/// The hashes under which requests name an authority (RFC 6960, section 4.1.1): of its name, and of its key.
struct Names {
    sha1: [Vec<u8>; 2],
    sha256: [Vec<u8>; 2],
}

impl Responder {
    /// Answers for the authority whose certificate is `issuer`; `certificate` is the responder's own, issued by it. Both DER.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn new(issuer: &[u8], certificate: &[u8], key: PrivateKey) -> Result<Self, KeyError> {
        let (_, read) = X509Certificate::from_der(issuer).map_err(KeyError::because)?;
        let named = [read.subject().as_raw(), &read.public_key().subject_public_key.data];
        let issuer = Names { sha1: named.map(|part| Sha1::digest(part).to_vec()), sha256: named.map(|part| sha256(part).0.to_vec()) };
        let own = OctetString::new(Sha1::digest(rcgen::PublicKeyData::der_bytes(&key.pair)).to_vec()).map_err(KeyError::because)?;
        let certificate = Any::from_der(certificate).map_err(KeyError::because)?;
        Ok(Self { issuer, certificate, key, id: ResponderId::ByKey(own) })
    }

    /// Whether a question is about a certificate of this authority.
    pub fn is_asked(&self, question: &Question) -> bool {
        let [name, key] = match question.id.hash_algorithm.oid {
            SHA1 => &self.issuer.sha1,
            SHA256 => &self.issuer.sha256,
            _ => return false,
        };
        question.id.issuer_name_hash.as_bytes() == name && question.id.issuer_key_hash.as_bytes() == key
    }

    /// Answers a request, DER: one status for each question, in order. The answer may be relied on until `next_update`.
    ///
    /// # Errors
    /// If a moment cannot be written, or the key fails.
    pub fn answer(&self, request: &Request, statuses: &[Status], now: Timestamp, next_update: Timestamp) -> Result<Vec<u8>, KeyError> {
        let (this_update, next_update) = (moment(now)?, moment(next_update)?);
        let single = |(question, status): (&Question, &Status)| {
            let (cert_id, cert_status) = (question.id.clone(), written(status)?);
            Ok(SingleResponse { cert_id, cert_status, this_update, next_update: Some(next_update), single_extensions: None })
        };
        let data = ResponseData {
            version: None,
            responder_id: self.id.clone(),
            produced_at: this_update,
            responses: request.questions.iter().zip(statuses).map(single).collect::<Result<_, KeyError>>()?,
            response_extensions: request.nonce.clone().map(|nonce| vec![nonce]),
        };
        self.sign(data).map_err(KeyError::because)
    }

    fn sign(&self, tbs_response_data: ResponseData) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let signature = self.key.sign(&tbs_response_data.to_der()?)?;
        let basic = BasicOcspResponse {
            tbs_response_data,
            signature_algorithm: Any::from_der(self.key.signature_algorithm())?,
            signature: BitString::from_bytes(&signature)?,
            certs: Some(vec![self.certificate.clone()]),
        };
        let bytes = ResponseBytes { response_type: BASIC, response: OctetString::new(basic.to_der()?)? };
        Ok(OcspResponse { response_status: wire::Outcome::Successful, response_bytes: Some(bytes) }.to_der()?)
    }
}

fn written(status: &Status) -> Result<CertStatus, KeyError> {
    Ok(match status {
        Status::Good => CertStatus::Good(NULL),
        Status::Unknown => CertStatus::Unknown(NULL),
        Status::Revoked { at, because } => {
            let reason = wire::Reason::of(*because);
            CertStatus::Revoked(RevokedInfo { revocation_time: moment(*at)?, revocation_reason: reason })
        }
    })
}

fn moment(at: Timestamp) -> Result<GeneralizedTime, KeyError> {
    let seconds = u64::try_from(at.unix()).map_err(|_| KeyError::because(format!("an answer cannot name the moment {at}")))?;
    GeneralizedTime::from_unix_duration(std::time::Duration::from_secs(seconds)).map_err(KeyError::because)
}
