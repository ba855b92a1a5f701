//! The outside of a bundle: what can be seen of it without the password.

use pkcs5::der::{Decode as _, ErrorKind};
use pkcs5::pbes2;
use x509_parser::asn1_rs::{Oid, Tag, oid};

use super::BundleError;
use super::ber::{self, Content, Node};
use super::inside;

/// How often, in sum, a bundle may ask for its password to be hashed. Current tools write 10,000 to 600,000 for each place, of which there
/// are three to five: GnuTLS 3.7 asks for 2,400,000 in all if a chain is inside.
const ITERATIONS_MAX: u64 = 4_000_000;

/// The same for one place.
const ITERATIONS_IN_ONE_PLACE_MAX: u64 = 800_000;

/// A bundle as far as it can be read without its password (RFC 7292, section 4).
pub(super) struct Envelope {
    pfx: Node,
    /// AuthenticatedSafe: what the checksum is over, as it was written.
    safe: Vec<u8>,
    /// The same, all in DER.
    strict_safe: Vec<u8>,
    iterations: u64,
    /// The object identifier of a scheme that cannot be opened, if there is one.
    unsupported: Option<String>,
}

impl Envelope {
    /// Reads BER or DER. Says in words why it cannot.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let read = Self::parse(bytes).map_err(|problem| BundleError::Unreadable(problem.to_owned()))?;
        acceptable(read.unsupported.as_deref(), read.iterations)?;
        Ok(read)
    }

    /// Looks into the safes that this password opens: what they hide has to be acceptable too.
    pub(super) fn look_inside(&self, password: &str) -> Result<(), BundleError> {
        let Some(strict) = self.contents() else { return Ok(()) };
        let mut iterations = self.iterations;
        for mut hidden in strict.parts().iter().filter_map(|content| inside::contents(content, Some(password))) {
            iterations = iterations.saturating_add(work(&hidden));
            let unsupported = unsupported_scheme(&hidden);
            hidden.wipe();
            acceptable(unsupported.as_deref(), iterations)?;
        }
        Ok(())
    }

    /// Reads without a look at how much work is asked for.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let pfx = ber::read(bytes).ok_or("it is damaged, or another kind of file")?;
        let safe = pfx.parts().get(1).and_then(data).ok_or("it has another structure, or is protected by a public key")?.to_vec();
        let mut strict = ber::read(&safe).ok_or("its inside is damaged")?;
        let mut iterations = checksum_iterations(&pfx).saturating_add(work(&strict));
        let mut unsupported = unsupported_scheme(&strict);
        if let Content::Parts(contents) = &mut strict.content {
            for content in contents {
                let Some(bags) = data(content) else { continue };
                let bags = ber::read(bags).ok_or("its inside is damaged")?;
                iterations = iterations.saturating_add(work(&bags));
                unsupported = unsupported.or_else(|| unsupported_scheme(&bags));
                set_data(content, bags.to_der().ok_or("its inside is damaged")?);
            }
        }
        let strict_safe = strict.to_der().ok_or("its inside is damaged")?;
        Ok(Self { pfx, safe, strict_safe, iterations, unsupported })
    }

    /// AuthenticatedSafe (RFC 7292, section 4.1): the safes, open and closed.
    pub(super) fn contents(&self) -> Option<Node> {
        ber::read(&self.strict_safe)
    }

    /// True if there is a checksum over it, made with the password.
    pub(super) fn has_checksum(&self) -> bool {
        self.pfx.parts().len() > 2
    }

    /// True if nothing in it needs the password.
    pub(super) fn is_unprotected(&self) -> bool {
        self.iterations == 0
    }

    /// The bundle in DER with its inside as it was written, so that the checksum fits.
    pub(super) fn as_written(&self) -> Option<Vec<u8>> {
        self.pfx.to_der()
    }

    /// The bundle in DER throughout and without its checksum, if its inside was not in DER.
    pub(super) fn rewritten(mut self) -> Option<Vec<u8>> {
        if self.safe == self.strict_safe {
            return None;
        }
        let Content::Parts(parts) = &mut self.pfx.content else { return None };
        parts.truncate(2);
        set_data(parts.get_mut(1)?, self.strict_safe);
        self.pfx.to_der()
    }
}

fn acceptable(unsupported: Option<&str>, iterations: u64) -> Result<(), BundleError> {
    match unsupported {
        Some(scheme) => Err(BundleError::Unsupported(format!("by {scheme}"))),
        None if iterations > ITERATIONS_MAX => Err(BundleError::Excessive("it asks for too much work before it opens".to_owned())),
        None => Ok(()),
    }
}

/// True if this is a bundle from outside: version 3, then contents of type data or signedData (RFC 7292, section 4), and nothing else.
pub(super) fn is_pfx(bytes: &[u8]) -> bool {
    const SIGNED_DATA: Oid<'static> = oid!(1.2.840.113549.1.7.2);
    let Some(pfx) = ber::read(bytes) else { return false };
    let [version, safe, ..] = pfx.parts() else { return false };
    let is_signed = safe.parts().first().and_then(|kind| kind.bytes(Tag::Oid)) == Some(SIGNED_DATA.as_bytes());
    pfx.is(Tag::Sequence) && version.bytes(Tag::Integer) == Some(&[3]) && safe.is(Tag::Sequence) && (is_signed || data(safe).is_some())
}

/// What is inside of a ContentInfo of type data (RFC 5652, section 4).
pub(super) fn data(content: &Node) -> Option<&[u8]> {
    let [kind, surround] = content.parts() else { return None };
    let [inside] = surround.parts() else { return None };
    let is_data = kind.bytes(Tag::Oid)? == oid!(1.2.840.113549.1.7.1).as_bytes();
    is_data.then(|| inside.bytes(Tag::OctetString))?
}

fn set_data(content: &mut Node, bytes: Vec<u8>) {
    if let Content::Parts(parts) = &mut content.content
        && let Some(Content::Parts(inside)) = parts.get_mut(1).map(|surround| &mut surround.content)
        && let Some(octets) = inside.first_mut()
    {
        octets.content = Content::Bytes(bytes);
    }
}

/// MacData (RFC 7292, section 4): its third part, 1 if left out.
fn checksum_iterations(pfx: &Node) -> u64 {
    let Some(checksum) = pfx.parts().get(2) else { return 0 };
    checksum.parts().get(2).map_or(1, times)
}

/// Adds up the iterations of every key derivation below this node. The parameters of PBKDF2 (RFC 8018, appendix A.2) and of
/// PKCS#12's own schemes (RFC 7292, appendix C) begin alike: salt, iterations. scrypt is not in use in bundles, and counts as too much.
pub(super) fn work(node: &Node) -> u64 {
    let parts = node.parts();
    let own = match parts {
        [kind, parameters] if kind.is(Tag::Oid) => derivation(kind, parameters),
        _ => 0,
    };
    parts.iter().map(work).fold(own, u64::saturating_add)
}

/// PBES2 (RFC 8018, appendix A.4).
pub(super) const PBES2: Oid<'static> = oid!(1.2.840.113549.1.5.13);

/// PKCS#12's own schemes (RFC 7292, appendix C): this and one number more.
pub(super) const PKCS12_SCHEMES: Oid<'static> = oid!(1.2.840.113549.1.12.1);

fn derivation(kind: &Node, parameters: &Node) -> u64 {
    const PBKDF2: Oid<'static> = oid!(1.2.840.113549.1.5.12);
    const SCRYPT: Oid<'static> = oid!(1.3.6.1.4.1.11591.4.11);
    let kind = kind.bytes(Tag::Oid).unwrap_or_default();
    if kind == SCRYPT.as_bytes() {
        u64::MAX
    } else if kind == PBKDF2.as_bytes() || kind.starts_with(PKCS12_SCHEMES.as_bytes()) && kind.len() == PKCS12_SCHEMES.as_bytes().len() + 1
    {
        parameters.parts().get(1).map_or(u64::MAX, times)
    } else {
        0
    }
}

/// Finds a scheme that the library cannot open. Asked before a password is tried: afterwards it would look like a wrong one.
fn unsupported_scheme(node: &Node) -> Option<String> {
    let own = match node.parts() {
        [kind, parameters] => kind.bytes(Tag::Oid).and_then(|kind| unsupported(kind, parameters)),
        _ => None,
    };
    own.or_else(|| node.parts().iter().find_map(unsupported_scheme))
}

fn unsupported(kind: &[u8], parameters: &Node) -> Option<String> {
    /// 3DES, and RC2 with 40 bits.
    const OPENED: [u8; 2] = [3, 6];
    if kind == PBES2.as_bytes() {
        let refused = pbes2::Parameters::from_der(&parameters.to_der()?).err()?;
        let ErrorKind::OidUnknown { oid } = refused.kind() else { return None };
        return Some(oid.to_string());
    }
    let [number] = kind.strip_prefix(PKCS12_SCHEMES.as_bytes())? else { return None };
    (!OPENED.contains(number)).then(|| format!("1.2.840.113549.1.12.1.{number}"))
}

/// How often the password is hashed in one place. What is negative or too often counts as far too much.
pub(super) fn times(node: &Node) -> u64 {
    let number = match node.bytes(Tag::Integer) {
        Some(bytes) if bytes.len() <= 8 && bytes.first().is_some_and(|first| *first < 0x80) => {
            bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        }
        _ => u64::MAX,
    };
    if number > ITERATIONS_IN_ONE_PLACE_MAX { u64::MAX } else { number }
}

#[cfg(test)]
mod tests {
    use tegata_core::policy::KeyAlgorithm;
    use tegata_core::time::{DAY, Timestamp};

    use super::*;
    use crate::authority::{Authority, Purpose, new_serial};
    use crate::key::PrivateKey;
    use crate::pkcs12::{self, Flavor};

    fn bundle() -> Vec<u8> {
        let now = Timestamp::from_unix(1_800_000_000);
        let root = Authority::new_root("Aozora Root", "aozora", now, now.after(DAY * 10)).unwrap();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let purpose = Purpose::Identity { common_name: "a".into(), organization: "b".into() };
        let tbs = root.draft(&purpose, &key.public_key(), new_serial(), now, now.after(DAY)).unwrap();
        pkcs12::write(Flavor::Modern, &key, &[root.sign(&tbs).unwrap()], "a", "pw").unwrap()
    }

    /// Replaces what is 10,000 iterations, wherever it stands.
    fn with_iterations(bundle: &[u8], iterations: [u8; 2], place: usize) -> Vec<u8> {
        let written = [0x02, 0x02, 0x27, 0x10];
        let places: Vec<_> = (0..bundle.len()).filter(|at| bundle[*at..].starts_with(&written)).collect();
        assert_eq!(places.len(), 3, "certificates, key, checksum");
        let mut changed = bundle.to_vec();
        changed[places[place] + 2..places[place] + 4].copy_from_slice(&iterations);
        changed
    }

    #[test]
    fn the_work_of_all_places_is_added_up() {
        let bundle = bundle();
        assert_eq!(Envelope::read(&bundle).unwrap().iterations, 30_000);
        for place in 0..3 {
            assert_eq!(Envelope::read(&with_iterations(&bundle, [0x7f, 0xff], place)).unwrap().iterations, 52_767, "place {place}");
            let negative = pkcs12::read(&with_iterations(&bundle, [0xff, 0xff], place), "pw").err().unwrap();
            assert!(matches!(&negative, BundleError::Excessive(said) if said.contains("too much work")), "place {place}: {negative}");
        }
    }

    #[test]
    fn a_bundle_that_asks_for_too_much_is_refused_before_any_of_it_is_done() {
        // { PBKDF2, { salt, 800,000 } }, one more, and { scrypt, … }.
        let mut pbkdf2 = [0x30, 0x14, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12, 0x30, 7, 4, 0, 2, 3, 0x0c, 0x35, 0x00];
        assert_eq!(work(&ber::read(&pbkdf2).unwrap()), ITERATIONS_IN_ONE_PLACE_MAX);
        pbkdf2[21] += 1;
        assert_eq!(work(&ber::read(&pbkdf2).unwrap()), u64::MAX);
        let scrypt = [0x30, 0x0d, 0x06, 9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 11, 0x30, 0];
        assert_eq!(work(&ber::read(&scrypt).unwrap()), u64::MAX);
    }

    #[test]
    fn a_bundle_in_der_needs_no_rewriting() {
        let bundle = bundle();
        let envelope = Envelope::read(&bundle).unwrap();
        assert_eq!(envelope.as_written().unwrap(), bundle);
        assert!(envelope.has_checksum() && !envelope.is_unprotected());
        assert!(envelope.rewritten().is_none());
    }

    #[test]
    fn a_bundle_is_known_from_outside_and_nothing_else_is_taken_for_one() {
        let bundle = bundle();
        assert!(is_pfx(&bundle));
        // What Java and NSS write: lengths left open.
        let data = oid!(1.2.840.113549.1.7.1);
        let open = [&[0x30, 0x80, 2, 1, 3, 0x30, 0x80, 6, 9][..], data.as_bytes(), &[0xa0, 0x80, 4, 0], &[0; 6]];
        assert!(is_pfx(&open.concat()));
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().to_pkcs8();
        let longer = [&bundle[..], &[0]].concat();
        for other in [&b"a letter"[..], b"PK\x03\x04", &key, &bundle[..bundle.len() - 1], &longer, &[0x30, 5, 2, 1, 3, 0x30, 0], &[]] {
            assert!(!is_pfx(other));
        }
        let mut version = bundle.clone();
        let at = version.windows(3).position(|window| window == [2, 1, 3]).unwrap();
        version[at + 2] = 4;
        assert!(!is_pfx(&version));
    }

    #[test]
    fn other_files_are_refused_in_words() {
        assert!(Envelope::read(b"not a bundle").is_err());
        assert!(Envelope::read(&[0x30, 3, 2, 1, 3]).err().unwrap().to_string().contains("another structure"));
    }
}
