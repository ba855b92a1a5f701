//! What an encrypted safe hides: looked at before the library opens it, because a key in there may ask for any amount of work.
//!
//! A safe of 1 MB has room for thousands of keys, each of which the library would hash the password for, a million times.

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt as _, KeyInit, KeyIvInit as _};
use des::TdesEde3;
use pkcs5::der::Decode as _;
use pkcs5::pbes2;
use pkcs12::kdf::{Pkcs12KeyType, derive_key, derive_key_utf8};
use rc2::Rc2;
use sha1::Sha1;
use x509_parser::asn1_rs::{Oid, Tag, oid};
use zeroize::Zeroizing;

use super::ber::{self, Node};
use super::envelope::{PBES2, PKCS12_SCHEMES, times};

/// What is inside of a ContentInfo of type encryptedData (RFC 5652, section 8), if it is one and this password opens it. `None` stands for
/// no password at all, which PKCS#12's own schemes tell from an empty one.
pub(super) fn contents(content: &Node, password: Option<&str>) -> Option<Node> {
    const ENCRYPTED_DATA: Oid<'static> = oid!(1.2.840.113549.1.7.6);
    let [kind, surround] = content.parts() else { return None };
    let [encrypted_data] = surround.parts() else { return None };
    let [_, inner, ..] = encrypted_data.parts() else { return None };
    let [_, algorithm, encrypted] = inner.parts() else { return None };
    let [scheme, parameters] = algorithm.parts() else { return None };
    if kind.bytes(Tag::Oid)? != ENCRYPTED_DATA.as_bytes() {
        return None;
    }
    let opened = decrypt(scheme.bytes(Tag::Oid)?, parameters, encrypted.implicit_bytes()?, password)?;
    ber::read(&opened)
}

fn decrypt(scheme: &[u8], parameters: &Node, encrypted: &[u8], password: Option<&str>) -> Option<Zeroizing<Vec<u8>>> {
    if scheme == PBES2.as_bytes() {
        let parameters = pbes2::Parameters::from_der(&parameters.to_der()?).ok()?;
        return parameters.decrypt(password?.as_bytes(), encrypted).ok().map(Zeroizing::new);
    }
    match scheme.strip_prefix(PKCS12_SCHEMES.as_bytes())? {
        [3] => cbc::<TdesEde3>(parameters, encrypted, password, 24),
        [6] => cbc::<Rc2>(parameters, encrypted, password, 5),
        _ => None,
    }
}

/// PKCS#12's own schemes (RFC 7292, appendix C).
fn cbc<Cipher>(parameters: &Node, encrypted: &[u8], password: Option<&str>, key_size: usize) -> Option<Zeroizing<Vec<u8>>>
where
    Cipher: KeyInit + BlockCipherDecrypt,
{
    let [salt, iterations] = parameters.parts() else { return None };
    let (salt, iterations) = (salt.bytes(Tag::OctetString)?, i32::try_from(times(iterations)).ok()?);
    let derive = |kind, size| match password {
        Some(password) => derive_key_utf8::<Sha1>(password, salt, kind, iterations, size).map(Zeroizing::new).ok(),
        None => Some(Zeroizing::new(derive_key::<Sha1>(&[], salt, kind, iterations, size))),
    };
    let (key, vector) = (derive(Pkcs12KeyType::EncryptionKey, key_size)?, derive(Pkcs12KeyType::Iv, 8)?);
    let cipher = cbc::Decryptor::<Cipher>::new_from_slices(&key, &vector).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(encrypted).ok().map(Zeroizing::new)
}
