//! What of a bundle lies open: how many keys it holds, and which certificates belong to them.
//!
//! Many bundles hide only their keys, and some are protected by an empty password. Nothing here opens a key, and no password is guessed.

use std::collections::BTreeSet;

use tegata_core::name::Sha256;
use x509_parser::asn1_rs::{Oid, Tag, oid};

use super::ber::{self, Node};
use super::envelope::{Envelope, data, work};
use super::{CERTIFICATES_MAX, SIZE_MAX, inside};
use crate::key::sha256;

/// How often, in sum, an empty password is hashed for one bundle. To hide certificates, NSS asks for 600,000, and GnuTLS for as many for
/// each of two safes; OpenSSL and Java for less.
const ITERATIONS_MAX: u64 = 1_300_000;

/// What of a bundle can be seen by anybody who has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Glance {
    /// How many private keys are seen in it.
    pub keys: usize,
    /// SHA-256 of the certificates that belong to them, as far as the bundle itself says so (RFC 7292, section 4.2: `localKeyId`).
    pub certificates: BTreeSet<Sha256>,
    /// True if nothing stayed hidden, each key has its certificate, and there is nothing in it but keys, certificates and revocation lists.
    pub is_whole: bool,
}

/// How far a bundle is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What lies open. This costs next to nothing.
    Open,
    /// That too which an empty password, or none, protects: up to a second of work.
    EmptyPassword,
}

/// Looks at a bundle without its password. Nothing is said of what is no bundle, or is larger than [`SIZE_MAX`].
pub fn glance(bytes: &[u8], depth: Depth) -> Option<Glance> {
    if bytes.len() > SIZE_MAX {
        return None;
    }
    let contents = Envelope::parse(bytes).ok()?.contents()?;
    let (mut bags, mut iterations_left) = (Bags::default(), ITERATIONS_MAX);
    for content in contents.parts() {
        let safe = match data(content) {
            Some(open) => ber::read(open),
            None if depth == Depth::EmptyPassword => opened(content, &mut iterations_left),
            None => None,
        };
        match safe {
            Some(mut safe) => {
                safe.parts().iter().for_each(|bag| bags.add(bag));
                // A key may lie in it that is not protected any further.
                safe.wipe();
            }
            None => bags.is_hiding = true,
        }
    }
    Some(bags.told())
}

/// The two ways in which tools write that there is no password: an empty text, and nothing at all.
fn opened(content: &Node, iterations_left: &mut u64) -> Option<Node> {
    [Some(""), None].into_iter().find_map(|password| {
        *iterations_left = iterations_left.checked_sub(work(content))?;
        inside::contents(content, password)
    })
}

/// What was found so far.
#[derive(Default)]
struct Bags {
    /// What each key is called in the bundle.
    keys: Vec<Option<Vec<u8>>>,
    certificates: Vec<(Option<Vec<u8>>, Sha256)>,
    /// True if there is something else, or something that cannot be read.
    is_hiding: bool,
}

impl Bags {
    /// Takes a SafeBag in (RFC 7292, section 4.2).
    fn add(&mut self, bag: &Node) {
        const BAGS: Oid<'static> = oid!(1.2.840.113549.1.12.10.1);
        const KEY: u8 = 1;
        const SHROUDED_KEY: u8 = 2;
        const CERTIFICATE: u8 = 3;
        const REVOCATION_LIST: u8 = 4;
        let kind = bag.parts().first().and_then(|kind| kind.bytes(Tag::Oid)?.strip_prefix(BAGS.as_bytes()));
        match kind {
            Some([KEY | SHROUDED_KEY]) => self.keys.push(key_id(bag)),
            Some([CERTIFICATE]) if self.certificates.len() < CERTIFICATES_MAX => match certificate(bag) {
                Some(der) => self.certificates.push((key_id(bag), sha256(der))),
                None => self.is_hiding = true,
            },
            Some([REVOCATION_LIST]) => {}
            _ => self.is_hiding = true,
        }
    }

    fn told(self) -> Glance {
        let of_key = |key: &Option<Vec<u8>>| -> BTreeSet<Sha256> {
            let is_its = |(id, _): &&(Option<Vec<u8>>, Sha256)| key.is_some() && id == key;
            match (&self.keys[..], &self.certificates[..]) {
                // Where there is one of each, they belong together, whatever they are called.
                ([_], [(_, only)]) => BTreeSet::from([*only]),
                (_, all) => all.iter().filter(is_its).map(|(_, fingerprint)| *fingerprint).collect(),
            }
        };
        let certificates: Vec<BTreeSet<Sha256>> = self.keys.iter().map(of_key).collect();
        Glance {
            keys: self.keys.len(),
            is_whole: !self.is_hiding && certificates.iter().all(|of_key| !of_key.is_empty()),
            certificates: certificates.into_iter().flatten().collect(),
        }
    }
}

/// CertBag (RFC 7292, section 4.2.3) with a certificate of X.509 in it.
fn certificate(bag: &Node) -> Option<&[u8]> {
    const X509: Oid<'static> = oid!(1.2.840.113549.1.9.22.1);
    let [surround] = bag.parts().get(1)?.parts() else { return None };
    let [kind, surround] = surround.parts() else { return None };
    let [certificate] = surround.parts() else { return None };
    let is_x509 = kind.bytes(Tag::Oid)? == X509.as_bytes();
    is_x509.then(|| certificate.bytes(Tag::OctetString))?
}

/// What ties a key to its certificate: an attribute that both carry (RFC 2985, section 5.5.2).
fn key_id(bag: &Node) -> Option<Vec<u8>> {
    const LOCAL_KEY_ID: Oid<'static> = oid!(1.2.840.113549.1.9.21);
    let is_id = |attribute: &&Node| attribute.parts().first().and_then(|kind| kind.bytes(Tag::Oid)) == Some(LOCAL_KEY_ID.as_bytes());
    let attribute = bag.parts().get(2)?.parts().iter().find(is_id)?;
    let [value] = attribute.parts().get(1)?.parts() else { return None };
    value.bytes(Tag::OctetString).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use tegata_core::policy::KeyAlgorithm;
    use tegata_core::time::{DAY, Timestamp};

    use super::*;
    use crate::authority::{Authority, Purpose, new_serial};
    use crate::key::PrivateKey;
    use crate::pkcs12::{self, Flavor};

    const BAGS: Oid<'static> = oid!(1.2.840.113549.1.12.10.1);

    fn bag(kind: u8, value: Node, id: Option<&[u8]>) -> Node {
        let kind = Node::oid(&Oid::new([BAGS.as_bytes(), &[kind]].concat().into()));
        let id = id.map(|id| {
            let attribute = [Node::oid(&oid!(1.2.840.113549.1.9.21)), Node::set(vec![Node::octets(id)])];
            Node::set(vec![Node::sequence(attribute.into())])
        });
        Node::sequence([Some(kind), Some(Node::surrounding(vec![value])), id].into_iter().flatten().collect())
    }

    fn key(id: Option<&[u8]>) -> Node {
        bag(2, Node::octets(b"shrouded"), id)
    }

    fn certificate(name: &str, id: Option<&[u8]>) -> Node {
        let x509 = Node::oid(&oid!(1.2.840.113549.1.9.22.1));
        bag(3, Node::sequence(vec![x509, Node::surrounding(vec![Node::octets(name.as_bytes())])]), id)
    }

    fn file(bags: Vec<Node>) -> Vec<u8> {
        let data = |content: Node| {
            let content = Node::octets(&content.to_der().unwrap());
            Node::sequence(vec![Node::oid(&oid!(1.2.840.113549.1.7.1)), Node::surrounding(vec![content])])
        };
        let safes = Node::sequence(vec![data(Node::sequence(bags))]);
        Node::sequence(vec![Node::integer(3), data(safes)]).to_der().unwrap()
    }

    fn seen(bags: Vec<Node>) -> (usize, Vec<Sha256>, bool) {
        let seen = glance(&file(bags), Depth::EmptyPassword).unwrap();
        (seen.keys, seen.certificates.into_iter().collect(), seen.is_whole)
    }

    #[test]
    fn a_certificate_counts_only_if_it_belongs_to_a_key() {
        let (one, other) = (Some(&b"1"[..]), Some(&b"2"[..]));
        let hash = |name: &str| sha256(name.as_bytes());
        assert_eq!(seen(vec![key(None), certificate("a", None)]), (1, vec![hash("a")], true));
        assert_eq!(seen(vec![key(one), certificate("a", one), certificate("authority", None)]), (1, vec![hash("a")], true));
        assert_eq!(seen(vec![key(one), certificate("a", other), certificate("b", None)]), (1, vec![], false), "a stranger's");
        assert_eq!(seen(vec![key(None), certificate("a", None), certificate("b", None)]), (1, vec![], false), "either may be it");
        assert_eq!(seen(vec![key(one), key(other), certificate("a", one)]), (2, vec![hash("a")], false), "a key without a certificate");
        assert_eq!(seen(vec![certificate("a", one)]), (0, vec![], true), "no key, no danger");
        let both: BTreeSet<Sha256> = [hash("a"), hash("b")].into();
        let two = vec![key(one), key(other), certificate("a", one), certificate("b", other)];
        assert_eq!(seen(two), (2, both.into_iter().collect(), true));
    }

    #[test]
    fn what_is_neither_key_nor_certificate_is_not_passed_over() {
        let beside = |other: Option<Node>| seen([key(None), certificate("a", None)].into_iter().chain(other).collect()).2;
        assert!(beside(None));
        // A secret, safes within safes, and what nobody knows.
        for kind in [5, 6, 9] {
            assert!(!beside(Some(bag(kind, Node::null(), None))), "{kind}");
        }
        assert!(beside(Some(bag(4, Node::null(), None))), "a revocation list");
        assert!(!beside(Some(bag(3, Node::null(), None))), "a certificate of another kind");
    }

    fn written(flavor: Flavor, password: &str) -> (Vec<u8>, Sha256) {
        let now = Timestamp::from_unix(1_800_000_000);
        let root = Authority::new_root("Aozora Root", "aozora", now, now.after(DAY * 10)).unwrap();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let purpose = Purpose::Identity { common_name: "a".into(), organization: "b".into() };
        let own = root.sign(&root.draft(&purpose, &key.public_key(), new_serial(), now, now.after(DAY)).unwrap()).unwrap();
        (pkcs12::write(flavor, &key, std::slice::from_ref(&own), "a", password).unwrap(), sha256(&own))
    }

    #[test]
    fn what_a_password_hides_stays_hidden_and_what_an_empty_one_hides_does_not() {
        for flavor in [Flavor::Modern, Flavor::Legacy] {
            let (file, _) = written(flavor, "secret");
            let hidden = Glance { keys: 1, certificates: BTreeSet::new(), is_whole: false };
            assert_eq!(glance(&file, Depth::EmptyPassword).unwrap(), hidden, "{flavor:?}");
            let (file, fingerprint) = written(flavor, "");
            assert_eq!(glance(&file, Depth::Open).unwrap(), hidden, "{flavor:?}");
            let seen = Glance { keys: 1, certificates: [fingerprint].into(), is_whole: true };
            assert_eq!(glance(&file, Depth::EmptyPassword).unwrap(), seen, "{flavor:?}");
        }
    }

    #[test]
    fn no_work_is_done_for_a_file_that_asks_for_too_much() {
        let (file, _) = written(Flavor::Modern, "");
        // 10,000 iterations become the most that two bytes can say.
        let greedy = |at: usize| [&file[..at], &[0x02, 0x02, 0x7f, 0xff], &file[at + 4..]].concat();
        let place = (0..file.len()).find(|at| file[*at..].starts_with(&[0x02, 0x02, 0x27, 0x10])).unwrap();
        let mut left = 32_766;
        let contents = Envelope::parse(&greedy(place)).unwrap().contents().unwrap();
        let closed = contents.parts().iter().find(|content| data(content).is_none()).unwrap();
        assert_eq!(work(closed), 32_767);
        assert!(opened(closed, &mut left).is_none());
        assert_eq!(left, 32_766, "nothing was spent");
    }

    #[test]
    fn nothing_is_said_of_what_is_no_bundle() {
        for other in [&b"a letter"[..], &[], &[0x30, 0], &vec![0x30; SIZE_MAX + 1]] {
            assert!(glance(other, Depth::EmptyPassword).is_none());
        }
    }
}
