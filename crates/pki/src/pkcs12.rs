//! PKCS#12 bundles (RFC 7292): the files in which clinics receive keys from vendors, and which old systems want.

mod ber;
mod envelope;
mod glance;
mod inside;
mod write;

use std::collections::BTreeSet;

use data_encoding::BASE32_NOPAD;
use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error;
use tegata_core::name::Sha256;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use self::envelope::Envelope;
pub use self::glance::{Depth, Glance, glance};
use crate::certificate;
use crate::key::{KeyError, PrivateKey, random, sha256};

/// The largest bundle that is looked at, in bytes.
pub const SIZE_MAX: usize = 1024 * 1024;

/// How many certificates a bundle may hold. A chain has two to five.
const CERTIFICATES_MAX: usize = 64;

/// Which algorithms protect a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// PBES2 with AES-256 and HMAC-SHA256: Windows 10 1709 and later, macOS 15 and later, NSS, OpenSSL 3.
    Modern,
    /// 3DES and SHA-1: Windows Server 2016 and older, macOS 14 and older.
    Legacy,
}

/// Why a bundle cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The password does not fit.
    #[error("the password does not fit")]
    WrongPassword,
    /// It has this many bytes, more than [`SIZE_MAX`].
    #[error("the file has {0} bytes; at most {SIZE_MAX} are read")]
    TooLarge(usize),
    /// It is not PKCS#12, or it is damaged.
    #[error("this is not a PKCS#12 file that can be read: {0}")]
    Unreadable(String),
    /// It asks for more work, or holds more things, than any honest file does.
    #[error("this PKCS#12 file asks for too much: {0}")]
    Excessive(String),
    /// It is protected in a way that is not supported.
    #[error("this PKCS#12 file is protected in a way that is not supported: {0}")]
    Unsupported(String),
    /// There is no private key in it, or more than one.
    #[error("the bundle holds {0} private keys; exactly one is needed")]
    Keys(usize),
    /// There is no certificate in it.
    #[error("the bundle holds no certificate")]
    NoCertificate,
    /// There are certificates in it, but none for its key.
    #[error("the bundle holds no certificate for its private key, only others")]
    OtherKey,
}

/// What a bundle holds.
pub struct Bundle {
    /// The private key, PKCS#8, DER.
    pub key: Zeroizing<Vec<u8>>,
    /// The certificates, DER, the key's own first.
    pub chain: Vec<Vec<u8>>,
    /// The name that people see.
    pub friendly_name: Option<String>,
}

/// Writes a bundle: the key, its certificate and the intermediates.
///
/// Fails if the first certificate is not the key's own, or if the name or the password has a character outside of Unicode's first plane:
/// the format writes both in UCS-2.
pub fn write(flavor: Flavor, key: &PrivateKey, chain: &[Vec<u8>], friendly_name: &str, password: &str) -> Result<Vec<u8>, KeyError> {
    let own = chain.first().ok_or_else(|| KeyError::because("a bundle needs the key's certificate"))?;
    let read = certificate::read(own).map_err(KeyError::because)?;
    if read.public_key != key.public_key() {
        return Err(KeyError::because("the first certificate of the bundle belongs to another key"));
    }
    if !is_ucs2(friendly_name) || !is_ucs2(password) {
        return Err(KeyError::because("a bundle's name and password cannot hold characters beyond U+FFFF, such as emoji"));
    }
    write::bundle(flavor, key, chain, friendly_name, password)
}

/// A password that is shown once: twenty letters and digits in fours, 100 bits.
pub fn new_password() -> Zeroizing<String> {
    let bytes = Zeroizing::new(random::<13>());
    let letters = Zeroizing::new(BASE32_NOPAD.encode(bytes.as_slice()));
    let mut password = Zeroizing::new(String::with_capacity(24));
    for (index, letter) in letters.chars().take(20).enumerate() {
        if index > 0 && index % 4 == 0 {
            password.push('-');
        }
        password.push(letter);
    }
    password
}

/// True if these bytes are a bundle, as far as that can be seen without its password. Whoever removes bundles removes nothing else.
pub fn is_bundle(bytes: &[u8]) -> bool {
    envelope::is_pfx(bytes)
}

/// Opens a bundle. One try, no guessing: what vendors produce (PBES2, 3DES, RC2-40, chains in any order).
pub fn read(bytes: &[u8], password: &str) -> Result<Bundle, BundleError> {
    let archive = open(bytes, password)?;
    let [key] = archive.keys.as_slice() else { return Err(BundleError::Keys(archive.keys.len())) };
    let pkcs8 = Zeroizing::new(key.key.as_der().to_vec());
    let public_key = PrivateKey::from_pkcs8(&pkcs8).map_err(|problem| BundleError::Unreadable(problem.to_string()))?.public_key();
    let certificates = archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect();
    let (chain, own) = in_order(certificates, &public_key)?;
    let friendly_name = key.friendly_name.clone().or_else(|| archive.certs[own].friendly_name.clone());
    Ok(Bundle { key: pkcs8, chain, friendly_name })
}

/// Opens a bundle that holds several keys, as a keychain gives its keys out, and takes the one whose certificate has this fingerprint.
/// `others` are certificates that may stand above it. `None` if the key is not there, or its certificate.
pub fn read_one(bytes: &[u8], password: &str, fingerprint: Sha256, others: &[Vec<u8>]) -> Result<Option<Bundle>, BundleError> {
    let archive = open(bytes, password)?;
    let inside = archive.certs.iter().map(|bag| bag.cert.as_der().to_vec());
    let certificates: Vec<Vec<u8>> = inside.chain(others.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect();
    let links = certificates.iter().map(|der| link(der)).collect::<Result<Vec<_>, _>>()?;
    let Some(own) = certificates.iter().position(|der| sha256(der) == fingerprint) else { return Ok(None) };
    let fits = |pkcs8: &[u8]| PrivateKey::from_pkcs8(pkcs8).is_ok_and(|key| key.public_key() == links[own].public_key);
    let Some(key) = archive.keys.iter().find(|bag| fits(bag.key.as_der())) else { return Ok(None) };
    // In a keychain there may be several authorities of one name, as when one of them has got a new key.
    let chain = upwards(&links, own, |above, below| vouches(&certificates[above], &certificates[below]))
        .into_iter()
        .map(|index| certificates[index].clone())
        .collect();
    Ok(Some(Bundle { key: Zeroizing::new(key.key.as_der().to_vec()), chain, friendly_name: key.friendly_name.clone() }))
}

fn open(bytes: &[u8], password: &str) -> Result<Pkcs12Archive, BundleError> {
    if bytes.len() > SIZE_MAX {
        return Err(BundleError::TooLarge(bytes.len()));
    }
    if !is_ucs2(password) {
        // The format has no way to write it, so it cannot be the one.
        return Err(BundleError::WrongPassword);
    }
    let archive = open_envelope(bytes, password)?;
    if archive.certs.len() > CERTIFICATES_MAX {
        return Err(BundleError::Excessive(format!("it holds {} certificates; at most {CERTIFICATES_MAX} are read", archive.certs.len())));
    }
    Ok(archive)
}

fn open_envelope(bytes: &[u8], password: &str) -> Result<Pkcs12Archive, BundleError> {
    let damaged = |problem: &str| BundleError::Unreadable(problem.to_owned());
    let envelope = Envelope::read(bytes)?;
    envelope.look_inside(password)?;
    let password_is_checked = envelope.has_checksum() || envelope.is_unprotected();
    let as_written = envelope.as_written().ok_or_else(|| damaged("it cannot be written as DER"))?;
    match Pkcs12Archive::from_pkcs12(&as_written, password) {
        Ok(archive) => Ok(archive),
        Err(Error::MacError(_)) => Err(BundleError::WrongPassword),
        Err(problem) => match envelope.rewritten() {
            // The checksum is over BER, and was found to fit; what follows it is read only now that it is DER.
            Some(rewritten) => Pkcs12Archive::from_pkcs12(&rewritten, password).map_err(|problem| refusal(&problem, password_is_checked)),
            None => Err(refusal(&problem, password_is_checked)),
        },
    }
}

/// Without a checksum a wrong password shows only in that nothing sensible comes out.
fn refusal(problem: &Error, password_is_checked: bool) -> BundleError {
    match problem {
        Error::UnsupportedEncryptionScheme
        | Error::UnsupportedMacAlgorithm
        | Error::UnsupportedContentType
        | Error::UnsupportedCertificateType => BundleError::Unsupported(problem.to_string()),
        _ if password_is_checked => BundleError::Unreadable(problem.to_string()),
        _ => BundleError::WrongPassword,
    }
}

/// Puts the key's own certificate first and its issuers after it; what belongs to no chain stays at the end. Says where the own one was.
fn in_order(mut certificates: Vec<Vec<u8>>, public_key: &[u8]) -> Result<(Vec<Vec<u8>>, usize), BundleError> {
    let links = certificates.iter().map(|der| link(der)).collect::<Result<Vec<_>, _>>()?;
    // After a renewal with the same key there may be two: the one that lasts longer.
    let own = (0..links.len()).filter(|index| links[*index].public_key == public_key).max_by_key(|index| links[*index].not_after);
    let own = own.ok_or(if links.is_empty() { BundleError::NoCertificate } else { BundleError::OtherKey })?;
    let mut order = upwards(&links, own, |_, _| true);
    order.extend((0..links.len()).filter(|index| !order.contains(index)).collect::<Vec<_>>());
    Ok((order.into_iter().map(|index| std::mem::take(&mut certificates[index])).collect(), own))
}

/// A certificate and those above it, by their names, where `is_above(above, below)` agrees.
fn upwards(links: &[Link], own: usize, is_above: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut order = vec![own];
    let mut last = own;
    let names = |above: usize, below: usize| links[above].subject == links[below].issuer;
    while let Some(above) = (0..links.len()).find(|above| !order.contains(above) && names(*above, last) && is_above(*above, last)) {
        order.push(above);
        last = above;
    }
    order
}

/// True if one certificate is signed with the key of the other.
fn vouches(above: &[u8], below: &[u8]) -> bool {
    let read = |der| X509Certificate::from_der(der).ok().map(|(_, read)| read);
    let (Some(above), Some(below)) = (read(above), read(below)) else { return false };
    below.verify_signature(Some(above.public_key())).is_ok()
}

/// What ties a certificate to its key and to the one above it.
struct Link {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    public_key: Vec<u8>,
    not_after: i64,
}

fn link(der: &[u8]) -> Result<Link, BundleError> {
    let (_, read) = X509Certificate::from_der(der).map_err(|problem| BundleError::Unreadable(format!("a certificate in it: {problem}")))?;
    Ok(Link {
        subject: read.subject().as_raw().to_vec(),
        issuer: read.issuer().as_raw().to_vec(),
        public_key: read.public_key().raw.to_vec(),
        not_after: read.validity().not_after.timestamp(),
    })
}

/// True if the text can be written in UCS-2, the format's BMPString.
fn is_ucs2(text: &str) -> bool {
    text.chars().all(|character| u32::from(character) <= 0xffff)
}
