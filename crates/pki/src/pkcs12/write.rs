//! Writing bundles. By hand, because the certificate must carry the name that people see: Windows and NSS look for it there.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::{hmac, pbkdf2};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use pkcs12::kdf::{Pkcs12KeyType, derive_key_utf8};
use sha1::Sha1;
use sha2::Sha256;
use x509_parser::asn1_rs::{Oid, oid};
use zeroize::Zeroizing;

use super::Flavor;
use super::ber::Node;
use crate::key::{self, KeyError, PrivateKey};

const DATA: Oid<'static> = oid!(1.2.840.113549.1.7.1);
const ENCRYPTED_DATA: Oid<'static> = oid!(1.2.840.113549.1.7.6);
const SHROUDED_KEY_BAG: Oid<'static> = oid!(1.2.840.113549.1.12.10.1.2);
const CERTIFICATE_BAG: Oid<'static> = oid!(1.2.840.113549.1.12.10.1.3);
const X509_CERTIFICATE: Oid<'static> = oid!(1.2.840.113549.1.9.22.1);
const FRIENDLY_NAME: Oid<'static> = oid!(1.2.840.113549.1.9.20);
const LOCAL_KEY_ID: Oid<'static> = oid!(1.2.840.113549.1.9.21);
const PBES2: Oid<'static> = oid!(1.2.840.113549.1.5.13);
const PBKDF2: Oid<'static> = oid!(1.2.840.113549.1.5.12);
const HMAC_WITH_SHA256: Oid<'static> = oid!(1.2.840.113549.2.9);
const AES256_CBC: Oid<'static> = oid!(2.16.840.1.101.3.4.1.42);
const PBE_SHA1_3DES: Oid<'static> = oid!(1.2.840.113549.1.12.1.3);
const SHA256: Oid<'static> = oid!(2.16.840.1.101.3.4.2.1);
const SHA1: Oid<'static> = oid!(1.3.14.3.2.26);

/// Puts a bundle together (RFC 7292, section 4): the certificates in one encrypted safe, the key in its own shroud in another.
pub(super) fn bundle(
    flavor: Flavor,
    key: &PrivateKey,
    chain: &[Vec<u8>],
    friendly_name: &str,
    password: &str,
) -> Result<Vec<u8>, KeyError> {
    let seal = Seal { flavor, password };
    // What ties key and certificate together is the same for both; other readers compare nothing else.
    let key_id = chain.first().map(|own| key::sha256(own).0).unwrap_or_default();
    let attributes =
        || Node::set(vec![attribute(&FRIENDLY_NAME, Node::bmp_string(friendly_name)), attribute(&LOCAL_KEY_ID, Node::octets(&key_id))]);
    let certificates = chain.iter().enumerate().map(|(index, der)| bag(&CERTIFICATE_BAG, certificate(der), (index == 0).then(attributes)));
    let certificates = Node::sequence(certificates.collect()).to_der().ok_or_else(too_large)?;
    let shrouded = bag(&SHROUDED_KEY_BAG, seal.key(&key.to_pkcs8())?, Some(attributes()));
    let safes = Node::sequence(vec![seal.encrypted_data(&certificates)?, data(&Node::sequence(vec![shrouded]))?]);
    let content = safes.to_der().ok_or_else(too_large)?;
    let checksum = seal.checksum(&content)?;
    Node::sequence(vec![Node::integer(3), data(&safes)?, checksum]).to_der().ok_or_else(too_large)
}

fn too_large() -> KeyError {
    KeyError::because("the bundle cannot be written as DER")
}

/// SafeBag (RFC 7292, section 4.2).
fn bag(kind: &Oid<'_>, value: Node, attributes: Option<Node>) -> Node {
    let parts = [Some(Node::oid(kind)), Some(Node::surrounding(vec![value])), attributes];
    Node::sequence(parts.into_iter().flatten().collect())
}

fn attribute(kind: &Oid<'_>, value: Node) -> Node {
    Node::sequence(vec![Node::oid(kind), Node::set(vec![value])])
}

fn certificate(der: &[u8]) -> Node {
    Node::sequence(vec![Node::oid(&X509_CERTIFICATE), Node::surrounding(vec![Node::octets(der)])])
}

/// ContentInfo of type data (RFC 5652, section 4).
fn data(content: &Node) -> Result<Node, KeyError> {
    let content = Node::octets(&content.to_der().ok_or_else(too_large)?);
    Ok(Node::sequence(vec![Node::oid(&DATA), Node::surrounding(vec![content])]))
}

/// How a bundle is protected.
struct Seal<'a> {
    flavor: Flavor,
    password: &'a str,
}

impl Seal<'_> {
    /// 10,000 is what current tools write; 2,048 is what those did that read nothing newer.
    fn iterations(&self) -> u32 {
        match self.flavor {
            Flavor::Modern => 10_000,
            Flavor::Legacy => 2_048,
        }
    }

    /// EncryptedPrivateKeyInfo (RFC 5958, section 3).
    fn key(&self, pkcs8: &[u8]) -> Result<Node, KeyError> {
        let (algorithm, encrypted) = self.encrypt(pkcs8)?;
        Ok(Node::sequence(vec![algorithm, Node::octets(&encrypted)]))
    }

    /// ContentInfo of type encryptedData (RFC 5652, section 8).
    fn encrypted_data(&self, content: &[u8]) -> Result<Node, KeyError> {
        let (algorithm, encrypted) = self.encrypt(content)?;
        let content = Node::sequence(vec![Node::oid(&DATA), algorithm, Node::implicit(&encrypted)]);
        let encrypted_data = Node::sequence(vec![Node::integer(0), content]);
        Ok(Node::sequence(vec![Node::oid(&ENCRYPTED_DATA), Node::surrounding(vec![encrypted_data])]))
    }

    /// Gives the AlgorithmIdentifier with its parameters, and the ciphertext.
    fn encrypt(&self, content: &[u8]) -> Result<(Node, Vec<u8>), KeyError> {
        match self.flavor {
            Flavor::Modern => self.encrypt_with_aes(content),
            Flavor::Legacy => self.encrypt_with_3des(content),
        }
    }

    /// PBES2 (RFC 8018, section 6.2).
    fn encrypt_with_aes(&self, content: &[u8]) -> Result<(Node, Vec<u8>), KeyError> {
        let failed = |_| KeyError::because("AES refused to encrypt the bundle");
        let salt = key::random::<16>();
        let mut cipher_key = Zeroizing::new([0; 32]);
        let iterations = NonZeroU32::new(self.iterations()).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, self.password.as_bytes(), cipher_key.as_mut());
        let cipher_key = UnboundCipherKey::new(&AES_256, cipher_key.as_ref()).map_err(failed)?;
        // Room for the padding: growing would leave the plain text behind in memory.
        let mut encrypted = Vec::with_capacity(content.len() + 16);
        encrypted.extend_from_slice(content);
        let context: DecryptionContext =
            PaddedBlockEncryptingKey::cbc_pkcs7(cipher_key).and_then(|key| key.encrypt(&mut encrypted)).map_err(failed)?;
        let vector: &[u8] = (&context).try_into().map_err(failed)?;
        let random_function = Node::sequence(vec![Node::oid(&HMAC_WITH_SHA256), Node::null()]);
        let derivation = Node::sequence(vec![Node::octets(&salt), Node::integer(self.iterations()), random_function]);
        let parameters = Node::sequence(vec![
            Node::sequence(vec![Node::oid(&PBKDF2), derivation]),
            Node::sequence(vec![Node::oid(&AES256_CBC), Node::octets(vector)]),
        ]);
        Ok((Node::sequence(vec![Node::oid(&PBES2), parameters]), encrypted))
    }

    /// pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292, appendix C).
    fn encrypt_with_3des(&self, content: &[u8]) -> Result<(Node, Vec<u8>), KeyError> {
        let salt = key::random::<8>();
        let cipher_key = self.derive::<Sha1>(&salt, Pkcs12KeyType::EncryptionKey, 24)?;
        let vector = self.derive::<Sha1>(&salt, Pkcs12KeyType::Iv, 8)?;
        let cipher = cbc::Encryptor::<des::TdesEde3>::new_from_slices(&cipher_key, &vector).map_err(KeyError::because)?;
        let parameters = Node::sequence(vec![Node::octets(&salt), Node::integer(self.iterations())]);
        Ok((Node::sequence(vec![Node::oid(&PBE_SHA1_3DES), parameters]), cipher.encrypt_padded_vec::<Pkcs7>(content)))
    }

    /// MacData over the AuthenticatedSafe (RFC 7292, section 4).
    fn checksum(&self, content: &[u8]) -> Result<Node, KeyError> {
        let salt = key::random::<8>();
        let (kind, algorithm, mac_key) = match self.flavor {
            Flavor::Modern => (&SHA256, hmac::HMAC_SHA256, self.derive::<Sha256>(&salt, Pkcs12KeyType::Mac, 32)?),
            Flavor::Legacy => (&SHA1, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.derive::<Sha1>(&salt, Pkcs12KeyType::Mac, 20)?),
        };
        let digest = hmac::sign(&hmac::Key::new(algorithm, &mac_key), content);
        let algorithm = Node::sequence(vec![Node::oid(kind), Node::null()]);
        let digest = Node::sequence(vec![algorithm, Node::octets(digest.as_ref())]);
        Ok(Node::sequence(vec![digest, Node::octets(&salt), Node::integer(self.iterations())]))
    }

    /// The format's own key derivation (RFC 7292, appendix B).
    fn derive<D>(&self, salt: &[u8], kind: Pkcs12KeyType, length: usize) -> Result<Zeroizing<Vec<u8>>, KeyError>
    where
        D: sha1::digest::Digest + sha1::digest::FixedOutputReset + sha1::digest::block_api::BlockSizeUser,
    {
        let iterations = i32::try_from(self.iterations()).map_err(KeyError::because)?;
        derive_key_utf8::<D>(self.password, salt, kind, iterations, length).map(Zeroizing::new).map_err(KeyError::because)
    }
}
