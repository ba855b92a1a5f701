//! Keys: made, kept, sealed, and used to sign.

use std::fmt;

use age::secrecy::ExposeSecret as _;
use aws_lc_rs::{constant_time, digest, hmac, rand, signature};
use rcgen::{PublicKeyData as _, SigningKey as _};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tegata_core::name::{Sha1, Sha256};
use tegata_core::policy::KeyAlgorithm;
use x509_parser::asn1_rs::Tag;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::{Zeroize as _, Zeroizing};

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot be used: {problem}")]
pub struct KeyError {
    /// Why not.
    pub problem: String,
}

impl KeyError {
    pub(crate) fn because(problem: impl fmt::Display) -> Self {
        Self { problem: problem.to_string() }
    }
}

/// A key that signs, wherever it lies.
pub trait Signing {
    /// The public half: SubjectPublicKeyInfo, DER.
    fn public_key(&self) -> Vec<u8>;
    /// Signs with SHA-256 (P-384: SHA-384): ECDSA as DER, RSA as PKCS#1 v1.5.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

impl Signing for PrivateKey {
    fn public_key(&self) -> Vec<u8> {
        Self::public_key(self)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Self::sign(self, message)
    }
}

/// A private key with its public half. Wiped when dropped, never shown.
pub struct PrivateKey {
    pub(crate) pair: rcgen::KeyPair,
}

impl PrivateKey {
    /// Makes a new one from the operating system's random numbers.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let algorithm = match algorithm {
            KeyAlgorithm::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        };
        Ok(Self { pair: rcgen::KeyPair::generate_for(algorithm).map_err(KeyError::because)? })
    }

    /// Reads PKCS#8 (RFC 5208), DER: P-256, P-384, or RSA with 2048 bits or more.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = rcgen::KeyPair::try_from(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)))
            .map_err(|_| KeyError::because("it is not a PKCS#8 key for P-256, P-384 or RSA"))?;
        // Made before the check, so that a refused key is wiped too.
        let key = Self { pair };
        let usable = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256];
        if !usable.contains(&key.pair.algorithm()) {
            return Err(KeyError::because("only P-256, P-384 and RSA are supported"));
        }
        Ok(key)
    }

    /// Writes PKCS#8, DER.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.pair.serialize_der())
    }

    /// The public half: SubjectPublicKeyInfo, DER.
    pub fn public_key(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// Signs with SHA-256 (P-384: SHA-384): ECDSA as DER, RSA as PKCS#1 v1.5.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair.sign(message).map_err(KeyError::because)
    }

    /// How certificates name what [`PrivateKey::sign`] does: AlgorithmIdentifier, DER (RFC 5758, section 3.2; RFC 4055, section 5).
    pub(crate) fn signature_algorithm(&self) -> &'static [u8] {
        let algorithm = self.pair.algorithm();
        if algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 {
            &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]
        } else if algorithm == &rcgen::PKCS_ECDSA_P384_SHA384 {
            &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]
        } else {
            &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00]
        }
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.pair.zeroize();
    }
}

/// True if `signature` over `message` was made by the key whose SubjectPublicKeyInfo (DER) is `public_key`. P-256 with SHA-256 only: device identities.
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok((_, info)) = SubjectPublicKeyInfo::from_der(public_key) else { return false };
    if kind(public_key) != Ok(KeyAlgorithm::EcdsaP256) {
        return false;
    }
    signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, &info.subject_public_key.data).verify(message, signature).is_ok()
}

/// Says of what kind a SubjectPublicKeyInfo (DER) is, if it is one that certificates are issued for:
/// P-256 or P-384 with an uncompressed point, or RSA (reported as [`KeyAlgorithm::Rsa2048`]) with 2048 to 4096 bits
/// and an odd exponent from 65537 up to 33 bits. Anything else is refused in words.
pub(crate) fn kind(public_key: &[u8]) -> Result<KeyAlgorithm, String> {
    let (rest, info) = SubjectPublicKeyInfo::from_der(public_key).map_err(|_| "not a SubjectPublicKeyInfo".to_owned())?;
    if !rest.is_empty() {
        return Err("bytes follow the SubjectPublicKeyInfo".to_owned());
    }
    let algorithm = &info.algorithm.algorithm;
    let found = if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        curve(&info)?
    } else if *algorithm == OID_PKCS1_RSAENCRYPTION {
        rsa(&info)?
    } else {
        return Err("neither ECDSA nor RSA; use ECDSA on P-256 or P-384, or RSA".to_owned());
    };
    // A key has one written form, so that its SHA-256 can name it.
    let canonical = rcgen::SubjectPublicKeyInfo::from_der(public_key).is_ok_and(|again| again.subject_public_key_info() == public_key);
    if canonical { Ok(found) } else { Err("the SubjectPublicKeyInfo is not written in its canonical form".to_owned()) }
}

fn curve(info: &SubjectPublicKeyInfo<'_>) -> Result<KeyAlgorithm, String> {
    let parameters = info.algorithm.parameters.as_ref();
    let named = parameters.filter(|parameters| parameters.tag() == Tag::Oid).and_then(|parameters| parameters.as_oid().ok());
    let (found, size) = match named {
        Some(curve) if curve == OID_EC_P256 => (KeyAlgorithm::EcdsaP256, 65),
        Some(curve) if curve == OID_NIST_EC_P384 => (KeyAlgorithm::EcdsaP384, 97),
        Some(_) => return Err("another curve; use P-256 or P-384".to_owned()),
        None => return Err("a curve without a name; use P-256 or P-384".to_owned()),
    };
    let point = &info.subject_public_key.data;
    if point.len() == size && point.first() == Some(&0x04) { Ok(found) } else { Err("its point is not in uncompressed form".to_owned()) }
}

fn rsa(info: &SubjectPublicKeyInfo<'_>) -> Result<KeyAlgorithm, String> {
    let Ok(PublicKey::RSA(key)) = info.parsed() else { return Err("an RSA key that cannot be read".to_owned()) };
    let modulus = without_leading_zeros(key.modulus);
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(2048..=4096).contains(&bits) {
        return Err(format!("RSA with {bits} bits; use 2048 to 4096"));
    }
    match key.try_exponent() {
        // The upper bound is that of common implementations: anything larger only serves to make verification slow.
        Ok(exponent) if exponent % 2 == 1 && (65_537..1 << 33).contains(&exponent) => Ok(KeyAlgorithm::Rsa2048),
        _ => Err("its RSA exponent is unusual; use 65537".to_owned()),
    }
}

/// Drops the zero bytes with which DER keeps an integer positive.
pub(crate) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(fixed(digest::digest(&digest::SHA256, bytes).as_ref()))
}

/// SHA-384.
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    fixed(digest::digest(&digest::SHA384, bytes).as_ref())
}

/// SHA-1, for comparing with what vendors published.
pub(crate) fn sha1(bytes: &[u8]) -> Sha1 {
    Sha1(fixed(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()))
}

/// HMAC-SHA256 (RFC 2104).
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Sha256 {
    Sha256(fixed(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref()))
}

fn fixed<const N: usize>(digest: &[u8]) -> [u8; N] {
    digest.try_into().expect("SHA-256 gives 32 bytes, SHA-384 48, SHA-1 20")
}

/// Gives random bytes from the operating system's generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the library ends the process itself when the system has no random numbers");
    bytes
}

/// True if both are the same; takes as long for nearly the same as for quite different. Only their lengths may be learnt.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Seals secrets for keeping (age, X25519). Whoever has the seal's text can open them.
pub struct Seal {
    identity: age::x25519::Identity,
}

impl Seal {
    /// Makes a new one.
    pub fn generate() -> Self {
        Self { identity: age::x25519::Identity::generate() }
    }

    /// Reads what [`Seal::text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let wrong = |_| KeyError::because("this is not the text of a seal (AGE-SECRET-KEY-1…)");
        Ok(Self { identity: text.trim().parse().map_err(wrong)? })
    }

    /// Its secret text (`AGE-SECRET-KEY-1…`), for a file that only the server may read.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.identity.to_string().expose_secret().to_owned())
    }

    /// Its public half (`age1…`), by which it is known which seal is meant.
    pub fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }

    /// Encrypts.
    pub fn seal(&self, secret: &[u8]) -> Vec<u8> {
        age::encrypt(&self.identity.to_public(), secret)
            .expect("writing to memory does not fail, and an X25519 recipient takes any file key")
    }

    /// Decrypts.
    pub fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let opened = age::decrypt(&self.identity, sealed)
            .map_err(|problem| KeyError::because(format!("what was sealed cannot be opened: {problem}")))?;
        Ok(Zeroizing::new(opened))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [KeyAlgorithm; 3] = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048];

    #[test]
    fn every_algorithm_survives_pkcs8() {
        for algorithm in ALL {
            let key = PrivateKey::generate(algorithm).unwrap();
            let again = PrivateKey::from_pkcs8(&key.to_pkcs8()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
            assert_eq!(again.to_pkcs8(), key.to_pkcs8());
            assert_eq!(kind(&key.public_key()), Ok(algorithm));
        }
    }

    #[test]
    fn keys_that_nothing_is_issued_for_are_not_read() {
        for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P521_SHA512] {
            let other = rcgen::KeyPair::generate_for(algorithm).unwrap();
            assert!(PrivateKey::from_pkcs8(other.serialized_der()).is_err());
            assert!(kind(&other.subject_public_key_info()).unwrap_err().contains("use"));
        }
        assert!(PrivateKey::from_pkcs8(b"not a key").is_err());
    }

    #[test]
    fn a_signature_fits_its_message_and_its_key_only() {
        let (key, other) = (PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap(), PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
        let signature = key.sign(b"receipt").unwrap();
        assert!(verify(&key.public_key(), b"receipt", &signature));
        assert!(!verify(&key.public_key(), b"receipt.", &signature));
        assert!(!verify(&other.public_key(), b"receipt", &signature));
        assert!(!verify(&key.public_key(), b"receipt", &signature[1..]));
        assert!(!verify(&[key.public_key(), vec![0]].concat(), b"receipt", &signature), "bytes after the key");
        assert!(!verify(&[], b"receipt", &signature));
    }

    #[test]
    fn device_identities_are_p256_only() {
        for algorithm in [KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
            let key = PrivateKey::generate(algorithm).unwrap();
            assert!(!verify(&key.public_key(), b"receipt", &key.sign(b"receipt").unwrap()));
        }
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        // FIPS 180-4 example "abc"; RFC 4231, test case 2.
        assert_eq!(sha256(b"abc").to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(mac.to_string(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn comparison_is_exact() {
        assert!(same(b"", b"") && same(b"123456", b"123456"));
        assert!(!same(b"123456", b"123457") && !same(b"123456", b"12345") && !same(b"", b"1"));
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<32>(), random::<32>());
    }

    #[test]
    fn only_the_same_seal_opens() {
        let (seal, other) = (Seal::generate(), Seal::generate());
        let sealed = seal.seal("鍵".as_bytes());
        let again = Seal::from_text(&format!("{}\n", *seal.text())).unwrap();
        assert_eq!(*again.open(&sealed).unwrap(), "鍵".as_bytes());
        assert!(other.open(&sealed).is_err());
        assert_ne!(sealed, seal.seal("鍵".as_bytes()), "sealing twice must not show that it was the same secret");
    }

    #[test]
    fn a_sealed_secret_cannot_be_changed() {
        let seal = Seal::generate();
        let sealed = seal.seal(b"secret");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(seal.open(&changed).is_err(), "byte {index}");
            assert!(seal.open(&sealed[..index]).is_err(), "cut at {index}");
        }
        assert!(Seal::from_text("AGE-SECRET-KEY-1QQQQ").is_err());
    }
}
