//! Keys and signatures as bare numbers: what key stores outside of this process give and take.

use der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{AnyRef, Decode as _, Encode as _, Reader, Sequence, SliceReader};
use tegata_core::policy::KeyAlgorithm;
use x509_cert::spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};
use zeroize::Zeroizing;

use crate::key::{KeyError, PrivateKey, kind};

/// RFC 5480, section 2.1.1; RFC 8017, appendix C.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The numbers of a private key, big-endian.
pub enum Numbers {
    /// The curve, the point (X and Y, each as long as the curve's order), and the secret number of the same length.
    Ec(KeyAlgorithm, Vec<u8>, Zeroizing<Vec<u8>>),
    /// Modulus, exponent, and the two primes.
    Rsa {
        /// n.
        modulus: Vec<u8>,
        /// e.
        exponent: Vec<u8>,
        /// p and q.
        primes: [Zeroizing<Vec<u8>>; 2],
    },
}

/// Says of what kind a public key (SubjectPublicKeyInfo, DER) is, if it is one that certificates are issued for.
///
/// # Errors
/// It is of another kind, or cannot be read.
pub fn algorithm(public_key: &[u8]) -> Result<KeyAlgorithm, KeyError> {
    kind(public_key).map_err(KeyError::because)
}

/// The key in a public key (SubjectPublicKeyInfo, DER): a point, or RSA's two numbers. What checks signatures elsewhere takes no more.
///
/// # Errors
/// It cannot be read.
pub fn bits(public_key: &[u8]) -> Result<Vec<u8>, KeyError> {
    let info = SubjectPublicKeyInfo::<AnyRef<'_>, BitStringRef<'_>>::from_der(public_key).map_err(KeyError::because)?;
    Ok(info.subject_public_key.raw_bytes().to_vec())
}

/// Takes a private key apart.
///
/// # Errors
/// It is not written as RFC 5915 or RFC 8017 say.
pub fn numbers(key: &PrivateKey) -> Result<Numbers, KeyError> {
    let pkcs8 = key.to_pkcs8();
    let inner = Zeroizing::new(private_key(&pkcs8).map_err(KeyError::because)?);
    let public_key = key.public_key();
    match algorithm(&public_key)? {
        KeyAlgorithm::Rsa2048 => rsa(&inner).map_err(KeyError::because),
        curve => {
            let point = bits(&public_key)?.get(1..).unwrap_or_default().to_vec();
            let secret = ec_secret(&inner, point.len() / 2).map_err(KeyError::because)?;
            Ok(Numbers::Ec(curve, point, secret))
        }
    }
}

/// The `privateKey` of PKCS#8 (RFC 5208, section 5).
fn private_key(pkcs8: &[u8]) -> der::Result<Vec<u8>> {
    let mut reader = SliceReader::new(pkcs8)?;
    reader.sequence(|inside| {
        u8::decode(inside)?;
        AnyRef::decode(inside)?;
        let key = <&OctetStringRef>::decode(inside)?.as_bytes().to_vec();
        skip_rest(inside)?;
        der::Result::Ok(key)
    })
}

/// RFC 5915, section 3, filled up to `length` bytes.
fn ec_secret(der: &[u8], length: usize) -> der::Result<Zeroizing<Vec<u8>>> {
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|inside| {
        u8::decode(inside)?;
        let secret = <&OctetStringRef>::decode(inside)?.as_bytes();
        let mut filled = Zeroizing::new(vec![0; length.saturating_sub(secret.len())]);
        filled.extend_from_slice(secret);
        skip_rest(inside)?;
        der::Result::Ok(filled)
    })
}

/// RFC 8017, appendix A.1.2.
fn rsa(der: &[u8]) -> der::Result<Numbers> {
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|inside| {
        u8::decode(inside)?;
        let modulus = UintRef::decode(inside)?.as_bytes().to_vec();
        let exponent = UintRef::decode(inside)?.as_bytes().to_vec();
        UintRef::decode(inside)?;
        let primes = [UintRef::decode(inside)?, UintRef::decode(inside)?].map(|prime| Zeroizing::new(prime.as_bytes().to_vec()));
        skip_rest(inside)?;
        der::Result::Ok(Numbers::Rsa { modulus, exponent, primes })
    })
}

fn skip_rest<'a>(reader: &mut impl Reader<'a>) -> der::Result<()> {
    let rest = reader.remaining_len();
    reader.read_slice(rest).map(drop)
}

#[derive(Sequence)]
struct Pair<'a> {
    first: UintRef<'a>,
    second: UintRef<'a>,
}

/// Writes an ECDSA signature, r and s of the same length, as DER (RFC 3279, section 2.2.3).
pub fn ecdsa_signature(r_and_s: &[u8]) -> Result<Vec<u8>, KeyError> {
    pair(r_and_s.split_at(r_and_s.len() / 2))
}

fn pair((first, second): (&[u8], &[u8])) -> Result<Vec<u8>, KeyError> {
    let write = || Pair { first: UintRef::new(first)?, second: UintRef::new(second)? }.to_der();
    write().map_err(KeyError::because)
}

/// Writes a public key of this curve, X and Y of the same length, as SubjectPublicKeyInfo, DER.
pub fn ec_public_key(curve: KeyAlgorithm, point: &[u8]) -> Result<Vec<u8>, KeyError> {
    let curve = match curve {
        KeyAlgorithm::EcdsaP256 => P256,
        KeyAlgorithm::EcdsaP384 => P384,
        KeyAlgorithm::Rsa2048 => return Err(KeyError::because("RSA has no points")),
    };
    spki(EC, AnyRef::from(&curve), &[&[0x04], point].concat())
}

/// Writes a public RSA key as SubjectPublicKeyInfo, DER (RFC 8017, appendix A.1.1).
pub fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, KeyError> {
    spki(RSA, AnyRef::NULL, &pair((modulus, exponent))?)
}

fn spki(oid: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]) -> Result<Vec<u8>, KeyError> {
    let write = || {
        let algorithm = AlgorithmIdentifier { oid, parameters: Some(parameters) };
        SubjectPublicKeyInfo { algorithm, subject_public_key: BitStringRef::from_bytes(key)? }.to_der()
    };
    write().map_err(KeyError::because)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_put_together_from_the_numbers_of_its_private_key() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let again = match numbers(&key).unwrap() {
                Numbers::Ec(curve, point, secret) => {
                    assert_eq!((curve, secret.len() * 2), (algorithm, point.len()));
                    ec_public_key(curve, &point)
                }
                Numbers::Rsa { modulus, exponent, primes } => {
                    assert_eq!((modulus.len(), primes[0].len(), primes[1].len()), (256, 128, 128));
                    rsa_public_key(&modulus, &exponent)
                }
            };
            assert_eq!(again.unwrap(), key.public_key(), "{algorithm:?}");
        }
    }

    #[test]
    fn a_signature_is_written_with_the_least_bytes_and_never_negative() {
        let (mut r, s) = ([0; 32], [0xff; 32]);
        r[31] = 0x7f;
        let written = ecdsa_signature(&[r, s].concat()).unwrap();
        assert_eq!(written[..8], [0x30, 0x26, 0x02, 0x01, 0x7f, 0x02, 0x21, 0x00]);
        assert_eq!(written[8..], s);
    }
}
