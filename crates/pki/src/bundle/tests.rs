//! Facts are proven and not merely read; what is sealed opens for those it was sealed to, unchanged, and for nobody else.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, SerialNumber,
};

use super::*;
use crate::key::PrivateKey;
use crate::pkcs12::Flavor;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(common_name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = is_ca;
    params
}

fn authority() -> IsCa {
    IsCa::Ca(BasicConstraints::Unconstrained)
}

fn root(common_name: &str) -> Authority {
    Authority::self_signed(params(common_name, authority()), KeyPair::generate().unwrap()).unwrap()
}

fn below(common_name: &str, is_ca: IsCa, above: &Authority) -> Authority {
    Authority::signed_by(params(common_name, is_ca), KeyPair::generate().unwrap(), above).unwrap()
}

/// A client's certificate signed by `above`, with its key.
fn client(above: &Issuer<'_, KeyPair>) -> (PrivateKey, Vec<u8>) {
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let mut params = params("client1210", IsCa::NoCa);
    params.distinguished_name.push(DnType::OrganizationName, "u00000126");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "1312345678");
    params.serial_number = Some(SerialNumber::from_slice(&[0x06, 0x59]));
    let der = params.signed_by(&pair, above).unwrap().der().to_vec();
    (PrivateKey::from_pkcs8(pair.serialized_der()).unwrap(), der)
}

/// The facts of a bundle with these certificates beside the client's.
fn facts_beside(client: &(PrivateKey, Vec<u8>), beside: &[&Authority]) -> BundleFacts {
    let chain: Vec<Vec<u8>> = [client.1.clone()].into_iter().chain(beside.iter().map(|other| other.der().to_vec())).collect();
    let file = pkcs12::write(Flavor::Modern, &client.0, &chain, "client", "pw").unwrap();
    open(&file, "pw", "/home/a/ダウンロード/601_JP_u00000126_client1210.p12").unwrap().1
}

#[test]
fn a_bundle_says_what_its_certificate_says() {
    let ca = root("Intermediate CA");
    let facts = facts_beside(&client(&ca), &[&ca]);
    assert_eq!(facts.serial, "0659");
    assert_eq!((facts.common_name.as_deref(), facts.organization.as_deref()), (Some("client1210"), Some("u00000126")));
    assert_eq!(facts.subject_texts, ["client1210", "u00000126", "1312345678"]);
    assert_eq!((facts.issuer_common_name.as_deref(), facts.issuer_organization), (Some("Intermediate CA"), None));
    assert_eq!(facts.anchors, [thumbprints(ca.der())]);
    assert_eq!(facts.file_name, "601_JP_u00000126_client1210.p12");
    assert_eq!(without_folders(r"C:\Users\受付\Downloads\client_cert.pfx"), "client_cert.pfx");
}

#[test]
fn thumbprints_are_those_that_everybody_computes() {
    // FIPS 180-4, example "abc".
    let abc = thumbprints(b"abc");
    assert_eq!(abc.sha1.to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(abc.sha256, sha256(b"abc"));
}

#[test]
fn authorities_count_in_whatever_order_they_stand() {
    let top = root("Root");
    let (first, second) = (below("First", authority(), &top), root("Another vendor"));
    let signing = below("Second", authority(), &first);
    let client = client(&signing);
    let expected = [&signing, &first, &top].map(|authority| thumbprints(authority.der()));
    assert_eq!(facts_beside(&client, &[&second, &top, &signing, &first]).anchors, expected);
    assert_eq!(facts_beside(&client, &[&first, &signing]).anchors, expected[..2], "the root may be missing");
    assert_eq!(facts_beside(&client, &[&top]).anchors, [], "the one between is missing, so nothing leads to the root");
    assert_eq!(facts_beside(&client, &[]).anchors, []);
}

#[test]
fn a_root_that_lies_beside_a_forgery_does_not_vouch_for_it() {
    let (real, forger) = (root("Eligibility CA"), root("Eligibility CA"));
    let forged = client(&forger);
    assert_eq!(facts_beside(&forged, &[&real]).anchors, []);
    assert_eq!(facts_beside(&forged, &[&real, &forger]).anchors, [thumbprints(forger.der())]);
}

#[test]
fn a_clients_key_cannot_vouch_although_its_own_certificate_is_real() {
    let real = root("Eligibility CA");
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let accomplice = below("client1", is_ca, &real);
        assert_eq!(facts_beside(&client(&accomplice), &[&accomplice, &real]).anchors, []);
    }
}

#[test]
fn many_certificates_with_one_name_cost_a_bounded_number_of_signatures() {
    let crowd: Vec<Authority> = (0..60).map(|_| root("Same")).collect();
    let beside: Vec<&Authority> = crowd.iter().collect();
    assert_eq!(facts_beside(&client(&crowd[59]), &beside).anchors, [thumbprints(crowd[59].der())]);
}

fn content() -> Content {
    Content::new("202101010000777.p12", "0427", b"the vendor's own file")
}

fn recipients(keys: &[&DeviceKey]) -> Vec<String> {
    keys.iter().map(|key| key.recipient()).collect()
}

#[test]
fn what_is_sealed_comes_back_byte_for_byte_to_each_recipient() {
    let (device, backup, stranger) = (DeviceKey::generate(), DeviceKey::generate(), DeviceKey::generate());
    for content in [content(), Content::new("", "", b""), Content::new("証明書 (1).pfx", "パスワード", &[0; SIZE_MAX])] {
        let sealed = seal(&content, &recipients(&[&device, &backup, &device])).unwrap();
        assert_eq!(unseal(&sealed, &device).unwrap(), content);
        assert_eq!(unseal(&sealed, &DeviceKey::from_secret(&backup.to_secret()).unwrap()).unwrap(), content);
        assert!(matches!(unseal(&sealed, &stranger), Err(SealError::Closed(_))));
    }
}

#[test]
fn nothing_of_it_can_be_read_or_changed_from_outside() {
    let key = DeviceKey::generate();
    let sealed = seal(&content(), &recipients(&[&key])).unwrap();
    for secret in [&b"0427"[..], b"202101010000777", b"the vendor's"] {
        assert!(!sealed.windows(secret.len()).any(|window| window == secret));
    }
    assert_ne!(sealed, seal(&content(), &recipients(&[&key])).unwrap(), "sealing twice must not show that it was the same file");
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(unseal(&changed, &key).is_err(), "byte {index}");
        assert!(unseal(&sealed[..index], &key).is_err(), "cut at {index}");
    }
    assert!(matches!(unseal(&vec![0; 2 * SIZE_MAX], &key), Err(SealError::TooLarge)));
}

#[test]
fn other_contents_are_told_apart() {
    let framed = framed(&content()).unwrap();
    assert_eq!(unframed(&framed), Some(content()));
    for length in 0..framed.len() {
        assert_eq!(unframed(&framed[..length]), None, "cut at {length}");
    }
    assert_eq!(unframed(&[&framed[..], &[0]].concat()), None, "bytes follow");
    let mut newer = framed.to_vec();
    newer[MAGIC.len() - 1] += 1;
    assert_eq!(unframed(&newer), None, "a newer version");
    let mut endless = MAGIC.to_vec();
    endless.extend_from_slice(&[0xff; 4]);
    assert_eq!(unframed(&endless), None, "a length beyond the end");
    let key = DeviceKey::generate();
    let other = age::encrypt(&key.identity.to_public(), b"a letter").unwrap();
    assert!(matches!(unseal(&other, &key), Err(SealError::Content)));
}

#[test]
fn a_name_that_would_lead_elsewhere_is_not_used_on_disk() {
    let on_disk = |name: &str| {
        let mut content = content();
        content.file_name = name.to_owned();
        content.name_on_disk().to_owned()
    };
    for name in ["202101010000777.p12", "client_cert (1).pfx", "証明書.P12"] {
        assert_eq!(on_disk(name), name);
    }
    for name in ["", ".", "..", ".p12", "../a.p12", r"..\a.p12", "C:a.p12", "a\0.p12", "a.p12:stream.p12", "run.exe", "a.p12.lnk"] {
        assert_eq!(on_disk(name), "bundle.p12", "{name:?}");
    }
    assert_eq!(on_disk(&format!("{}.p12", "a".repeat(252))), "bundle.p12");
    assert_eq!(Content::new("../../etc/a.p12", "", b"").file_name, "a.p12");
}

#[test]
fn nobody_and_strangers_to_age_are_no_recipients() {
    assert!(matches!(seal(&content(), &[]), Err(SealError::NoRecipient)));
    let key = DeviceKey::generate();
    for wrong in ["age1", "", "ssh-ed25519 AAAA", &key.to_secret()] {
        let refused = seal(&content(), &[key.recipient(), wrong.to_owned()]).unwrap_err();
        assert!(matches!(&refused, SealError::Recipient(_)), "{wrong}");
        assert!(!refused.to_string().contains("SECRET-KEY"), "a secret key must not be repeated: {refused}");
    }
    let long = Content::new(&"a".repeat(TEXT_MAX + 1), "", b"");
    assert!(matches!(seal(&long, &[key.recipient()]), Err(SealError::TooLarge)));
}

#[test]
fn secrets_are_not_shown() {
    let key = DeviceKey::generate();
    assert_eq!(format!("{key:?}"), format!("DeviceKey({})", key.recipient()));
    let shown = format!("{:?}", content());
    assert!(shown.contains("202101010000777.p12") && !shown.contains("0427") && !shown.contains("118"), "{shown}");
    assert!(DeviceKey::from_secret("AGE-SECRET-KEY-1QQQQ").is_err());
    assert!(DeviceKey::from_secret(&format!("{}\n", *key.to_secret())).is_ok());
}

#[test]
fn a_content_opens_with_its_own_password_and_has_the_digest_of_its_file() {
    let ca = root("Intermediate CA");
    let client = client(&ca);
    let file = pkcs12::write(Flavor::Legacy, &client.0, std::slice::from_ref(&client.1), "client", "0427").unwrap();
    let content = Content::new("1.p12", "0427", &file);
    assert_eq!(content.digest(), sha256(&file));
    let (bundle, facts) = content.open().unwrap();
    assert_eq!(*bundle.key, *client.0.to_pkcs8());
    assert_eq!(facts.fingerprint, sha256(&client.1));
    assert_eq!(Content::new("1.p12", "0428", &file).open().err(), Some(BundleFault::WrongPassword));
}
