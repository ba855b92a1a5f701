//! Whatever is sent to them, parsers answer; and nothing that a request asks for reaches a certificate.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use rcgen::{
    Attribute, BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use tegata_core::name::Serial;
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, Tbs};
use tegata_pki::csr::{self, CsrError, RequestedKey};
use tegata_pki::key::{self, PrivateKey, Seal};
use tegata_pki::pkcs12::{self, Depth, Flavor};
use tegata_pki::{certificate, crl};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const SERIAL: Serial = Serial([0x42; 16]);

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new_root("Aozora Root", "aozora", NOW, NOW.after(DAY * 7300)).unwrap());
static DEVICE: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
static REQUEST: LazyLock<Vec<u8>> = LazyLock::new(|| pem_to_der(&csr::create(&*DEVICE).unwrap()));

fn purpose() -> Purpose {
    Purpose::Client {
        common_name: "uketsuke-1".into(),
        organization: "sakura".into(),
        unique: "0f".repeat(16),
        crl_url: None,
        ocsp_url: None,
    }
}

fn draft(public_key: &[u8]) -> Tbs {
    AUTHORITY.draft(&purpose(), public_key, SERIAL, NOW, NOW.after(DAY * 730)).unwrap()
}

fn certificate_of(public_key: &[u8]) -> Vec<u8> {
    AUTHORITY.sign(&draft(public_key)).unwrap()
}

fn pem_to_der(text: &str) -> Vec<u8> {
    pem::parse(text).unwrap().into_contents()
}

fn request_pem(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der))
}

fn check(der: &[u8]) -> Result<RequestedKey, CsrError> {
    csr::check(&request_pem(der))
}

/// Damages bytes: some are changed, some removed, some put in, some doubled.
fn damaged(original: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    vec(change, 1..6).prop_map(move |changes| {
        let mut bytes = original.to_vec();
        for (index, value, what) in changes {
            let at = index.index(bytes.len().max(1));
            match what {
                _ if bytes.is_empty() => bytes.push(value),
                0 => bytes[at] = value,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, value),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    })
}

/// A request by the device's key that asks for whatever comes.
fn greedy() -> impl Strategy<Value = Vec<u8>> {
    let subject = vec(("[a-z*./ ]{1,20}", 0..4_usize), 0..4);
    let names = vec("[a-z*.]{1,30}", 0..5);
    let extensions = vec((vec(0..2000_u64, 0..5), vec(any::<u8>(), 0..40), any::<bool>()), 0..4);
    let attributes = vec((0..3_usize, vec(any::<u8>(), 0..30)), 0..4);
    (subject, names, any::<bool>(), any::<bool>(), extensions, attributes).prop_map(
        |(subject, names, authority, usages, extensions, attributes)| {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            for (value, kind) in subject {
                let kinds = [DnType::CommonName, DnType::OrganizationName, DnType::OrganizationalUnitName, DnType::CountryName];
                params.distinguished_name.push(kinds[kind].clone(), value);
            }
            params.subject_alt_names = names.into_iter().map(|name| SanType::DnsName(name.try_into().unwrap())).collect();
            if authority {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            if usages {
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any, ExtendedKeyUsagePurpose::ServerAuth];
            }
            // Microsoft's template name, and whatever else.
            params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 311, 20, 2], vec![0x1e, 2, 0, 0x41]));
            for (oid, content, critical) in extensions {
                let mut extension = CustomExtension::from_oid_content(&[&[1, 2], oid.as_slice()].concat(), content);
                extension.set_criticality(critical);
                params.custom_extensions.push(extension);
            }
            let oids: [&'static [u64]; 3] = [&[1, 2, 840, 113549, 1, 9, 7], &[1, 2, 840, 113549, 1, 9, 2], &[1, 2, 3, 4]];
            // A SET with one UTF8String; the same attribute may well come twice.
            let attribute = |(kind, value): (usize, Vec<u8>)| {
                let length = u8::try_from(value.len()).unwrap();
                Attribute { oid: oids[kind], values: [&[0x31, length + 2, 0x0c, length], value.as_slice()].concat() }
            };
            let pair = KeyPair::try_from(DEVICE.to_pkcs8().as_slice()).unwrap();
            let attributes = attributes.into_iter().map(attribute).collect();
            params.serialize_request_with_attributes(&pair, attributes).unwrap().der().to_vec()
        },
    )
}

proptest! {
    #[test]
    fn i8_nothing_that_a_request_asks_for_reaches_the_certificate(request in greedy()) {
        let modest = draft(&check(&REQUEST).unwrap().public_key);
        match check(&request) {
            Ok(requested) => prop_assert_eq!(draft(&requested.public_key), modest),
            // Refusing what cannot be read is the other right answer.
            Err(CsrError::Unreadable(_)) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn f6_damaged_requests_give_no_other_key(der in damaged(&REQUEST)) {
        if let Ok(requested) = check(&der) {
            prop_assert_eq!(requested.public_key, DEVICE.public_key());
        }
    }

    #[test]
    fn f6_no_text_makes_a_parser_panic(text in any::<String>(), bytes in vec(any::<u8>(), 0..600)) {
        let _ = csr::check(&text);
        let _ = csr::check(&request_pem(&bytes));
        let _ = certificate::read(&bytes);
        let _ = certificate::read_pem(&text);
        let _ = certificate::read_pem(&certificate::to_pem(&bytes));
        let _ = PrivateKey::from_pkcs8(&bytes);
        let _ = Seal::from_text(&text);
        prop_assert!(pkcs12::read(&bytes, &text).is_err());
        prop_assert!(!key::verify(&bytes, b"message", &bytes));
        let tbs = Tbs { bytes: bytes.clone() };
        prop_assert!(AUTHORITY.sign(&tbs).is_err());
        prop_assert!(AUTHORITY.draft(&purpose(), &bytes, SERIAL, NOW, NOW.after(DAY)).is_err());
    }

    #[test]
    fn f6_damaged_certificates_and_keys_make_no_parser_panic(
        certificate in damaged(&CERTIFICATE),
        tbs in damaged(&TBS),
        key in damaged(&PKCS8),
        public_key in damaged(&PUBLIC_KEY),
    ) {
        let _ = certificate::read(&certificate);
        let _ = certificate::read_pem(&certificate::to_pem(&certificate));
        let _ = AUTHORITY.sign(&Tbs { bytes: tbs });
        if let Ok(key) = PrivateKey::from_pkcs8(&key) {
            let _ = Authority::load(&certificate, key);
        }
        let _ = AUTHORITY.draft(&purpose(), &public_key, SERIAL, NOW, NOW.after(DAY));
        let _ = key::verify(&public_key, b"message", &DEVICE.sign(b"message").unwrap());
    }

    #[test]
    fn f6_damaged_bundles_make_no_parser_panic(modern in damaged(&MODERN), legacy in damaged(&LEGACY), bytes in vec(any::<u8>(), 0..600)) {
        let _ = pkcs12::glance(&bytes, Depth::EmptyPassword);
        for bundle in [modern, legacy] {
            let _ = pkcs12::glance(&bundle, Depth::EmptyPassword);
            if let Ok(opened) = pkcs12::read(&bundle, "pw") {
                prop_assert_eq!(opened.key.as_slice(), PKCS8.as_slice());
            }
        }
    }

    #[test]
    fn whatever_names_and_dates_are_asked_for_drafting_does_not_panic(
        common_name in any::<String>(), organization in any::<String>(), unique in any::<String>(), crl_url in any::<Option<String>>(),
        names in vec(any::<String>(), 0..3), from in any::<i64>(), until in any::<i64>(), number in any::<u64>(),
    ) {
        let client = Purpose::Client { common_name: common_name.clone(), organization: organization.clone(), unique, ocsp_url: crl_url.clone(), crl_url };
        let identity = Purpose::Identity { common_name: common_name.clone(), organization: organization.clone() };
        let (from, until) = (Timestamp::from_unix(from), Timestamp::from_unix(until));
        for purpose in [client, identity, Purpose::Server { names }] {
            let _ = AUTHORITY.draft(&purpose, &PUBLIC_KEY, SERIAL, from, until);
            if let Ok(tbs) = AUTHORITY.draft(&purpose, &PUBLIC_KEY, SERIAL, NOW, NOW.after(DAY)) {
                prop_assert!(certificate::read(&AUTHORITY.sign(&tbs).unwrap()).is_ok());
            }
        }
        let _ = Authority::new_root(&common_name, &organization, from, until);
        let _ = crl::create(&AUTHORITY, number, &[], from, until);
        let _ = crl::create_shard(&AUTHORITY, &common_name, number, &[], from, until);
        let _ = pkcs12::write(Flavor::Legacy, &DEVICE, std::slice::from_ref(&CERTIFICATE), &common_name, &organization);
    }
}

static PUBLIC_KEY: LazyLock<Vec<u8>> = LazyLock::new(|| DEVICE.public_key());
static PKCS8: LazyLock<Vec<u8>> = LazyLock::new(|| DEVICE.to_pkcs8().to_vec());
static TBS: LazyLock<Vec<u8>> = LazyLock::new(|| draft(&PUBLIC_KEY).bytes);
static CERTIFICATE: LazyLock<Vec<u8>> = LazyLock::new(|| certificate_of(&PUBLIC_KEY));
static MODERN: LazyLock<Vec<u8>> = LazyLock::new(|| bundle(Flavor::Modern));
static LEGACY: LazyLock<Vec<u8>> = LazyLock::new(|| bundle(Flavor::Legacy));

fn bundle(flavor: Flavor) -> Vec<u8> {
    pkcs12::write(flavor, &DEVICE, std::slice::from_ref(&CERTIFICATE), "受付", "pw").unwrap()
}

#[test]
fn i8_greedy_requests_are_read_and_not_merely_refused() {
    let mut runner = TestRunner::deterministic();
    let requests = (0..100).map(|_| greedy().new_tree(&mut runner).unwrap().current());
    let read = requests.filter(|request| check(request).is_ok()).count();
    assert!(read > 50, "only {read} of 100 were read: the property above would say little");
}

#[test]
fn f6_a_request_cut_anywhere_is_refused() {
    let text = request_pem(&REQUEST);
    for length in 0..REQUEST.len() {
        assert!(check(&REQUEST[..length]).is_err(), "cut at {length}");
    }
    for length in 0..text.trim_end().len() - 1 {
        // Without the last dashes it is still a request to most readers.
        if let Ok(requested) = csr::check(&text[..length]) {
            assert_eq!(requested.public_key, *PUBLIC_KEY, "cut at {length}");
        }
    }
    assert!(check(&[REQUEST.as_slice(), &[0]].concat()).is_err(), "bytes follow");
}

#[test]
fn f6_a_request_with_any_bit_turned_gives_no_other_key() {
    let mut refused = 0;
    for bit in 0..REQUEST.len() * 8 {
        let mut der = REQUEST.clone();
        der[bit / 8] ^= 1 << (bit % 8);
        match check(&der) {
            Ok(requested) => assert_eq!(requested.public_key, *PUBLIC_KEY, "bit {bit}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > REQUEST.len() * 8 - 32, "nearly every bit counts, but only {refused} did");
}

#[test]
fn a_request_signed_by_another_key_proves_nothing() {
    let other = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let theirs = pem_to_der(&csr::create(&other).unwrap());
    // Both are laid out alike: the key of one in the other.
    let at = |der: &[u8], what: &[u8]| der.windows(what.len()).position(|window| window == what).unwrap();
    let position = at(&theirs, &other.public_key());
    let mut stolen = theirs.clone();
    stolen[position..position + PUBLIC_KEY.len()].copy_from_slice(&PUBLIC_KEY);
    assert!(matches!(check(&stolen), Err(CsrError::NotProven)));
    assert_eq!(check(&theirs).unwrap().public_key, other.public_key());
}

#[test]
fn only_one_block_with_the_right_label_is_a_request() {
    let text = request_pem(&REQUEST);
    for (text, said) in [
        (String::new(), "no PEM block"),
        (text.repeat(2), "more than one"),
        (text.clone() + &certificate::to_pem(&CERTIFICATE), "more than one"),
        (certificate::to_pem(&REQUEST), "not a CERTIFICATE REQUEST"),
        (request_pem(&CERTIFICATE), "not a certificate request"),
        (text.clone() + &" ".repeat(csr::SIZE_MAX), "at most 16384"),
    ] {
        let refused = csr::check(&text).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    assert!(csr::check(&format!("made by hand\n{text}\n")).is_ok(), "text around the block is allowed");
}

/// Files that are small to send and could be endless to read: nested without end, longer than anything, in a million pieces.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let repeated = |unit: &[u8]| unit.iter().copied().cycle().take(pkcs12::SIZE_MAX - 64).collect::<Vec<u8>>();
    let around = |tag: u8, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x84][..], &length, content].concat()
    };
    // { version 3, { data, [0] { content } } }
    let data: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    let bundle = |content: &[u8]| around(0x30, &[&[2, 1, 3][..], &around(0x30, &[data, &around(0xa0, content)].concat())].concat());
    vec![
        ("open lengths nested without end", repeated(&[0x30, 0x80])),
        ("the same inside of a bundle", bundle(&around(0x04, &repeated(&[0x30, 0x80])[..1_000_000]))),
        ("pieces nested without end", bundle(&repeated(&[0x24, 0x80])[..1_000_000])),
        ("a million empty pieces", bundle(&around(0x24, &repeated(&[0x04, 0])[..1_000_000]))),
        ("a million empty contents", bundle(&around(0x04, &around(0x30, &repeated(&[0x30, 0])[..1_000_000])))),
        ("contents that say they are 4 GiB", bundle(&around(0x04, &repeated(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff])[..1_000_000]))),
        ("lengths of 126 bytes", repeated(&[0x30, 0xfe, 0xff])),
        ("tags without end", repeated(&[0x3f, 0xff])),
        ("numbers without end", bundle(&around(0x02, &repeated(&[0xff])[..1_000_000]))),
        ("nothing but ends", repeated(&[0])),
    ]
}

#[test]
fn f6_bombs_are_refused_at_once() {
    for (what, bomb) in bombs() {
        let start = Instant::now();
        assert!(pkcs12::read(&bomb, "pw").is_err(), "{what}");
        assert!(!pkcs12::is_bundle(&bomb) || what.contains("contents") || what.contains("inside"), "{what}");
        let _ = certificate::read(&bomb);
        let _ = PrivateKey::from_pkcs8(&bomb);
        assert!(start.elapsed() < Duration::from_secs(1), "{what}: {:?}", start.elapsed());
    }
}

#[test]
fn f6_a_bundle_with_any_byte_changed_gives_no_other_key() {
    for index in 0..LEGACY.len() {
        let mut changed = LEGACY.clone();
        changed[index] ^= 0x55;
        if let Ok(opened) = pkcs12::read(&changed, "pw") {
            assert_eq!(*opened.key, *PKCS8, "byte {index}");
        }
        assert!(pkcs12::read(&LEGACY[..index], "pw").is_err(), "cut at {index}");
    }
    for index in 0..MODERN.len() {
        assert!(pkcs12::read(&MODERN[..index], "pw").is_err(), "cut at {index}");
    }
    assert!(pkcs12::read(&vec![0x30; pkcs12::SIZE_MAX + 1], "pw").is_err());
}
