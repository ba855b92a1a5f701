//! A vendor's bundle on its way: what it says, and how it is sealed so that only its device and the keepers of backups can open it.
//!
//! What is sealed is the vendor's own file, byte for byte, with its name and its password: a backup gives back exactly what came.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;

use age::armor::ArmoredReader;
use age::secrecy::ExposeSecret as _;
use tegata_core::backup::Keepers;
use tegata_core::name::Sha256;
use tegata_core::vendor::{BundleFacts, BundleFault, Thumbprints};
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::certificate;
use crate::key::{sha1, sha256, without_leading_zeros};
use crate::pkcs12::{self, Bundle, BundleError, SIZE_MAX};

pub mod folder;
pub mod quorum;
#[cfg(test)]
mod tests;

/// How many signatures are verified at most: more certificates than any chain has.
const SIGNATURES_MAX: usize = 64;

/// The longest file name and password, in bytes.
const TEXT_MAX: usize = 1024;

/// The longest name that file systems keep, in bytes.
const NAME_ON_DISK_MAX: usize = 255;

/// What sealed contents begin with: a word that nothing else begins with, and the version.
const MAGIC: &[u8] = b"tegata-bundle\x01";

/// What age's header may add for every recipient, generously.
const HEADER_MAX: usize = 64 * 1024;

/// The largest sealed file that is opened, in bytes: of a bundle of the largest size, in text.
const SEALED_MAX: usize = (SIZE_MAX + 2 * TEXT_MAX + 2 * HEADER_MAX) / 3 * 4 + 2 * HEADER_MAX;

/// Opens a bundle with one try, and says what it says. `file_name` may have folders before it; they are dropped.
pub fn open(bytes: &[u8], password: &str, file_name: &str) -> Result<(Bundle, BundleFacts), BundleFault> {
    let bundle = pkcs12::read(bytes, password).map_err(|problem| problem.fault())?;
    let facts = facts(&bundle.chain, file_name).map_err(|problem| problem.fault())?;
    Ok((bundle, facts))
}

/// Says what a bundle's certificate says, and which of the authorities beside it really signed it.
pub fn facts(chain: &[Vec<u8>], file_name: &str) -> Result<BundleFacts, BundleError> {
    let certificates = chain.iter().map(|der| parsed(der)).collect::<Result<Vec<_>, _>>()?;
    let own = certificates.first().ok_or(BundleError::NoCertificate)?;
    let der = chain.first().map(Vec::as_slice).unwrap_or_default();
    let read = certificate::read(der).map_err(|problem| BundleError::Unreadable(problem.to_string()))?;
    let anchors = vouching(&certificates).into_iter().filter_map(|index| chain.get(index));
    Ok(BundleFacts {
        fingerprint: read.fingerprint,
        serial: in_hex(without_leading_zeros(own.raw_serial())),
        common_name: certificate::text(own.subject(), &OID_X509_COMMON_NAME),
        organization: certificate::text(own.subject(), &OID_X509_ORGANIZATION_NAME),
        subject_texts: own.subject().iter_attributes().map(certificate::decode).collect(),
        issuer_common_name: certificate::text(own.issuer(), &OID_X509_COMMON_NAME),
        issuer_organization: certificate::text(own.issuer(), &OID_X509_ORGANIZATION_NAME),
        not_before: read.not_before,
        not_after: read.not_after,
        anchors: anchors.map(|der| thumbprints(der)).collect(),
        file_name: without_folders(file_name).to_owned(),
    })
}

/// Both digests of a certificate's DER.
pub fn thumbprints(der: &[u8]) -> Thumbprints {
    Thumbprints { sha1: sha1(der), sha256: sha256(der) }
}

fn parsed(der: &[u8]) -> Result<X509Certificate<'_>, BundleError> {
    let (_, read) = X509Certificate::from_der(der).map_err(|problem| BundleError::Unreadable(format!("a certificate in it: {problem}")))?;
    Ok(read)
}

/// Finds the authorities above the first certificate, by their signatures. Anybody can put a vendor's root beside a forgery, and anybody
/// who has one of the vendor's client certificates can sign with its key: so each must have signed, and must be allowed to.
fn vouching(certificates: &[X509Certificate<'_>]) -> Vec<usize> {
    let mut signatures_left = SIGNATURES_MAX;
    let mut path = vec![0];
    let mut place = 0;
    while let Some(below) = path.get(place).and_then(|index| certificates.get(*index)) {
        for (index, above) in certificates.iter().enumerate() {
            if path.contains(&index) || above.subject().as_raw() != below.issuer().as_raw() || !may_sign(above) {
                continue;
            }
            let Some(left) = signatures_left.checked_sub(1) else { return path.split_off(1) };
            signatures_left = left;
            if below.verify_signature(Some(above.public_key())).is_ok() {
                path.push(index);
            }
        }
        place += 1;
    }
    path.split_off(1)
}

/// True for an authority: it says so (RFC 5280, section 4.2.1.9), or it is a root from before there was a way to say it.
fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    match certificate.basic_constraints() {
        Ok(Some(constraints)) => constraints.value.ca,
        Ok(None) => certificate.subject().as_raw() == certificate.issuer().as_raw(),
        Err(_) => false,
    }
}

/// Upper-case digits, two for each byte: as consoles show serial numbers.
fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn without_folders(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

impl BundleError {
    /// The same as one of the reasons for which a bundle is not taken in.
    pub fn fault(&self) -> BundleFault {
        match self {
            Self::WrongPassword => BundleFault::WrongPassword,
            Self::TooLarge(bytes) => BundleFault::TooLarge { bytes: *bytes, limit: SIZE_MAX },
            Self::Unreadable(_) => BundleFault::Unreadable,
            Self::Excessive(_) => BundleFault::Excessive,
            Self::Unsupported(_) => BundleFault::Unsupported,
            Self::Keys(0) => BundleFault::NoKey,
            Self::Keys(count) => BundleFault::SeveralKeys { count: *count },
            Self::NoCertificate => BundleFault::NoCertificate,
            Self::OtherKey => BundleFault::OtherKey,
        }
    }
}

/// What is sealed: the vendor's file as it came. Wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// What the vendor called the file.
    pub file_name: String,
    /// Its password or PIN.
    pub password: Zeroizing<String>,
    /// The file, byte for byte.
    pub file: Zeroizing<Vec<u8>>,
}

impl Content {
    /// Puts together what is to be sealed.
    pub fn new(file_name: &str, password: &str, file: &[u8]) -> Self {
        let file_name = without_folders(file_name).to_owned();
        Self { file_name, password: Zeroizing::new(password.to_owned()), file: Zeroizing::new(file.to_vec()) }
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> Sha256 {
        sha256(&self.file)
    }

    /// What to call the file on a disk: as the vendor did, unless that could mean another place or another kind of file.
    pub fn name_on_disk(&self) -> &str {
        let name = self.file_name.as_str();
        let is_plain = |c: char| !c.is_control() && !matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
        let is_bundle = [".p12", ".pfx"].iter().any(|ending| name.to_ascii_lowercase().ends_with(ending));
        let fits = is_bundle && name.len() <= NAME_ON_DISK_MAX && !name.starts_with('.') && name.chars().all(is_plain);
        if fits { name } else { "bundle.p12" }
    }

    /// Opens the bundle.
    pub fn open(&self) -> Result<(Bundle, BundleFacts), BundleFault> {
        open(&self.file, &self.password, &self.file_name)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("file_name", &self.file_name).finish_non_exhaustive()
    }
}

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Nobody is named who could open it.
    #[error("a bundle needs at least one recipient, or nobody could ever open it")]
    NoRecipient,
    /// This is not the public half of an age X25519 key.
    #[error("'{0}' is not an age recipient: it must be the public half of an X25519 key, age1…")]
    Recipient(String),
    /// So many of these keepers cannot be asked for.
    #[error("of several keepers at least 2 have to be asked for, and no more than there are")]
    Threshold,
    /// The text is not the secret half of an age X25519 key.
    #[error("this is not the secret half of a device's key (AGE-SECRET-KEY-1…)")]
    Secret,
    /// The file, its name or its password is too long.
    #[error("the file, its name or its password is too long to be sealed")]
    TooLarge,
    /// It was sealed to others, or is damaged.
    #[error("what was sealed cannot be opened with this key: {0}")]
    Closed(String),
    /// It could be opened, but what is inside is not what this version seals.
    #[error("what was sealed is not a bundle, or was sealed by a newer version")]
    Content,
}

/// Seals a bundle to every recipient (`age1…`): each alone can open it, nobody else can.
pub fn seal(content: &Content, recipients: &[String]) -> Result<Vec<u8>, SealError> {
    // Whoever is named wrongly is told of first.
    check_recipients(recipients)?;
    seal_bytes(&framed(content).ok_or(SealError::TooLarge)?, recipients)
}

/// Seals a bundle to every one of `alone`, who each can open it, and to the keepers: each of them, or so many together.
pub fn seal_for(content: &Content, alone: &[String], keepers: &Keepers) -> Result<Vec<u8>, SealError> {
    check_keepers(keepers)?;
    check_recipients(alone)?;
    seal_bytes_for(&framed(content).ok_or(SealError::TooLarge)?, alone, keepers)
}

fn seal_bytes_for(framed: &[u8], alone: &[String], keepers: &Keepers) -> Result<Vec<u8>, SealError> {
    let with = |others: &[String]| [alone, others].concat();
    match keepers.threshold {
        0 | 1 => seal_bytes(framed, &with(&keepers.of)),
        _ => quorum::seal(keepers, |lock| seal_bytes(framed, &with(&[lock]))),
    }
}

/// Makes sure that something can be sealed to keepers, before there is anything.
pub fn check_keepers(keepers: &Keepers) -> Result<(), SealError> {
    check_recipients(&keepers.of)?;
    if keepers.threshold > 1 { quorum::check(keepers) } else { Ok(()) }
}

fn seal_bytes(framed: &[u8], recipients: &[String]) -> Result<Vec<u8>, SealError> {
    let recipients = read_recipients(recipients)?;
    let each = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(each).map_err(|_| SealError::NoRecipient)?;
    let mut sealed = Vec::with_capacity(framed.len() + HEADER_MAX);
    let written = encryptor.wrap_output(&mut sealed).and_then(|mut writer| {
        std::io::Write::write_all(&mut writer, framed)?;
        writer.finish().map(drop)
    });
    written.expect("writing to memory does not fail, and an X25519 recipient takes any file key");
    Ok(sealed)
}

/// Makes sure that a bundle can be sealed to these, before there is one.
pub fn check_recipients(recipients: &[String]) -> Result<(), SealError> {
    read_recipients(recipients).map(drop)
}

/// Each once.
fn read_recipients(texts: &[String]) -> Result<Vec<age::x25519::Recipient>, SealError> {
    let read = |text: &String| text.parse().map_err(|_| SealError::Recipient(shown(text)));
    texts.iter().collect::<BTreeSet<_>>().into_iter().map(read).collect()
}

/// What was written in the place of a recipient, unless it is a secret.
fn shown(text: &str) -> String {
    if text.to_ascii_uppercase().contains("SECRET") { "a secret key".to_owned() } else { text.to_owned() }
}

/// Opens what was sealed to this device.
pub fn unseal(sealed: &[u8], key: &DeviceKey) -> Result<Content, SealError> {
    unframed(&opened(sealed, key)?).ok_or(SealError::Content)
}

fn opened(sealed: &[u8], key: &DeviceKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
    if sealed.len() > SEALED_MAX {
        return Err(SealError::TooLarge);
    }
    let closed = |problem: String| SealError::Closed(problem);
    let decryptor = age::Decryptor::new(ArmoredReader::new(quorum::inner(sealed)?)).map_err(|problem| closed(problem.to_string()))?;
    let reader = decryptor.decrypt(std::iter::once(&key.identity as &dyn age::Identity)).map_err(|problem| closed(problem.to_string()))?;
    // All the room at once: growing would leave a copy behind in memory.
    let mut opened = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.take(sealed.len() as u64).read_to_end(&mut opened).map_err(|problem| closed(problem.to_string()))?;
    Ok(opened)
}

/// The name, the password and the file, each after its length in four bytes, big-endian.
fn framed(content: &Content) -> Option<Zeroizing<Vec<u8>>> {
    let (name, password) = (content.file_name.as_bytes(), content.password.as_bytes());
    if name.len() > TEXT_MAX || password.len() > TEXT_MAX || content.file.len() > SIZE_MAX {
        return None;
    }
    // All the room at once: growing would leave a copy behind in memory.
    let mut framed = Zeroizing::new(Vec::with_capacity(MAGIC.len() + 12 + name.len() + password.len() + content.file.len()));
    framed.extend_from_slice(MAGIC);
    for field in [name, password, &content.file] {
        framed.extend_from_slice(&u32::try_from(field.len()).ok()?.to_be_bytes());
        framed.extend_from_slice(field);
    }
    Some(framed)
}

fn unframed(framed: &[u8]) -> Option<Content> {
    let rest = framed.strip_prefix(MAGIC)?;
    let (name, rest) = field(rest)?;
    let (password, rest) = field(rest)?;
    let (file, rest) = field(rest)?;
    let (name, password) = (str::from_utf8(name).ok()?, str::from_utf8(password).ok()?);
    rest.is_empty().then(|| Content::new(name, password, file))
}

fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// A device's key for what is sealed to it (age, X25519). The secret half never leaves the device. Wiped when dropped, never shown.
pub struct DeviceKey {
    identity: age::x25519::Identity,
}

impl DeviceKey {
    /// Makes a new one from the operating system's random numbers.
    pub fn generate() -> Self {
        Self { identity: age::x25519::Identity::generate() }
    }

    /// Reads what [`DeviceKey::to_secret`] wrote.
    pub fn from_secret(text: &str) -> Result<Self, SealError> {
        Ok(Self { identity: text.trim().parse().map_err(|_| SealError::Secret)? })
    }

    /// Its secret half (`AGE-SECRET-KEY-1…`), for a file that only the agent may read.
    pub fn to_secret(&self) -> Zeroizing<String> {
        Zeroizing::new(self.identity.to_string().expose_secret().to_owned())
    }

    /// Its public half (`age1…`), for the server.
    pub fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.recipient())
    }
}
