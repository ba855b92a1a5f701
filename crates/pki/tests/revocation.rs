//! Revocation data as standard clients take it: OpenSSL and rustls, with lists that are parts of a whole, and with OCSP.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use tegata_core::name::Serial;
use tegata_core::policy::KeyAlgorithm;
use tegata_core::revocation::Cause;
use tegata_core::time::{DAY, HOUR, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::certificate;
use tegata_pki::crl::{self, Revoked};
use tegata_pki::key::PrivateKey;
use tegata_pki::ocsp::{Refusal, Request, Responder, Status};
use tempfile::TempDir;

const FIRST: &str = "http://tegata.example.jp/crl/aozora/portal/1.crl";
const SECOND: &str = "http://tegata.example.jp/crl/aozora/portal/2.crl";

/// An authority, and a folder in which `openssl` is run.
struct House {
    folder: TempDir,
    root: Authority,
    issuing: Authority,
}

impl House {
    fn new() -> Self {
        let root = Authority::new_root("Aozora Root", "aozora", now().before(DAY), now().after(DAY * 7300)).unwrap();
        let issuing = root.new_issuing("Aozora Issuing", "aozora", now().before(DAY), now().after(DAY * 3650)).unwrap();
        let house = Self { folder: TempDir::new().unwrap(), root, issuing };
        house.put("root.pem", certificate::to_pem(house.root.certificate()));
        house.put("issuing.pem", certificate::to_pem(house.issuing.certificate()));
        house
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn take(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }

    /// Runs openssl with arguments that are separated by blanks: whether it was content, and what it said.
    fn openssl(&self, arguments: &str) -> (bool, String) {
        let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(self.folder.path()).output();
        let output = output.expect("these tests need openssl (Debian: apt-get install openssl)");
        (output.status.success(), [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat())
    }

    fn accepts(&self, arguments: &str) -> String {
        let (is_content, said) = self.openssl(arguments);
        assert!(is_content, "openssl {arguments}\n{said}");
        said
    }

    /// Issues a client certificate that names this list, and leaves it in a file.
    fn client(&self, name: &str, crl_url: &str) -> (Serial, Vec<u8>) {
        let purpose = Purpose::Client {
            common_name: name.into(),
            organization: "sakura".into(),
            unique: "0f".repeat(16),
            crl_url: Some(crl_url.into()),
            ocsp_url: Some("http://tegata.example.jp/ocsp/aozora/portal".into()),
        };
        let (serial, certificate) = self.sign(&purpose, &new_key());
        self.put(&format!("{name}.pem"), certificate::to_pem(&certificate));
        (serial, certificate)
    }

    fn sign(&self, purpose: &Purpose, key: &PrivateKey) -> (Serial, Vec<u8>) {
        let serial = new_serial();
        let tbs = self.issuing.draft(purpose, &key.public_key(), serial, now().before(DAY), now().after(DAY * 30)).unwrap();
        (serial, self.issuing.sign(&tbs).unwrap())
    }

    /// Makes a part of the list, and leaves it in a file.
    fn shard(&self, name: &str, url: &str, revoked: &[Revoked]) -> Vec<u8> {
        let list = crl::create_shard(&self.issuing, url, 7, revoked, now().before(HOUR), now().after(DAY)).unwrap();
        self.put("list.der", &list);
        self.accepts(&format!("crl -inform DER -in list.der -out {name}.crl"));
        list
    }

    fn responder(&self) -> Responder {
        let key = new_key();
        let purpose = Purpose::OcspResponder { common_name: "Aozora OCSP".into(), organization: "aozora".into() };
        let (_, certificate) = self.sign(&purpose, &key);
        Responder::new(self.issuing.certificate(), &certificate, key).unwrap()
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap())
}

fn new_key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

fn revoked(serial: Serial, because: Cause) -> Revoked {
    Revoked { serial, at: now().before(HOUR), because }
}

const VERIFY: &str = "verify -x509_strict -CAfile root.pem -untrusted issuing.pem -crl_check";

#[test]
fn openssl_takes_each_certificate_to_the_part_of_the_list_that_it_names() {
    let house = House::new();
    let (lost, _) = house.client("lost", FIRST);
    house.client("kept", FIRST);
    house.client("other", SECOND);
    house.shard("first", FIRST, &[revoked(lost, Cause::KeyCompromise)]);
    house.shard("second", SECOND, &[]);
    house.put("all.crl", [house.take("second.crl"), house.take("first.crl")].concat());
    for good in ["kept", "other"] {
        house.accepts(&format!("{VERIFY} -CRLfile all.crl {good}.pem"));
    }
    let (is_content, said) = house.openssl(&format!("{VERIFY} -CRLfile all.crl lost.pem"));
    assert!(!is_content && said.contains("certificate revoked"), "{said}");
    // A part says nothing about what it is not for.
    for (list, certificate) in [("first", "other"), ("second", "kept"), ("second", "lost")] {
        let (is_content, said) = house.openssl(&format!("{VERIFY} -CRLfile {list}.crl {certificate}.pem"));
        assert!(!is_content && said.contains("different CRL scope"), "{list} for {certificate}: {said}");
    }
    let said = house.accepts("crl -in first.crl -CAfile issuing.pem -noout -text");
    assert!(said.contains("verify OK") && said.contains("Issuing Distribution Point: critical") && said.contains(FIRST), "{said}");
}

#[test]
fn openssl_reads_every_reason() {
    let house = House::new();
    let all = Cause::ALL.map(|because| revoked(new_serial(), because));
    house.shard("all", FIRST, &all);
    let said = house.accepts("crl -in all.crl -noout -text");
    for word in ["Key Compromise", "Affiliation Changed", "Superseded", "Cessation Of Operation"] {
        assert_eq!(said.matches(word).count(), 1, "{word}: {said}");
    }
    assert_eq!(said.matches("X509v3 CRL Reason Code").count(), 4, "nobody says \"unspecified\"");
}

#[test]
fn a_list_is_asked_about_one_certificate() {
    let house = House::new();
    let (serial, lost) = house.client("lost", FIRST);
    let lost = certificate::read(&lost).unwrap();
    assert_eq!(lost.crl_urls, [FIRST]);
    let issuing = house.issuing.certificate();
    let asked = |list: &[u8], url, issuer: &[u8], now| crl::look_up(list, url, &lost, issuer, now).map_err(|nothing| nothing.to_string());
    for because in Cause::ALL {
        let list = house.shard("all", FIRST, &[revoked(new_serial(), Cause::Superseded), revoked(serial, because)]);
        assert_eq!(asked(&list, FIRST, issuing, now()), Ok(Some(because)));
        assert_eq!(asked(&list, FIRST, issuing, now().after(DAY * 9)), Ok(Some(because)), "an old list still names it");
    }
    let other = house.shard("other", FIRST, &[revoked(new_serial(), Cause::Superseded)]);
    assert_eq!(asked(&other, FIRST, issuing, now()), Ok(None));
    let nothing = |list: &[u8], url, issuer, now| asked(list, url, issuer, now).unwrap_err();
    assert!(nothing(&other, FIRST, issuing, now().after(DAY * 9)).contains("overdue"));
    assert!(nothing(&other, SECOND, issuing, now()).contains("for other certificates"));
    assert!(nothing(&other[1..], FIRST, issuing, now()).contains("it is no list"));
    assert!(nothing(&other, FIRST, house.root.certificate(), now()).contains("has not signed it"));
    let twin = Authority::new_root("Aozora Root", "aozora", now().before(DAY), now().after(DAY * 7300)).unwrap();
    let twin = twin.new_issuing("Aozora Issuing", "aozora", now().before(DAY), now().after(DAY * 3650)).unwrap();
    let forged = crl::create_shard(&twin, FIRST, 8, &[], now().before(HOUR), now().after(DAY)).unwrap();
    assert!(nothing(&forged, FIRST, issuing, now()).contains("has not signed it"));
}

#[test]
fn rustls_takes_each_certificate_to_the_part_of_the_list_that_it_names() {
    let house = House::new();
    let ((lost, lost_der), (_, kept), (_, other)) =
        (house.client("lost", FIRST), house.client("kept", FIRST), house.client("other", SECOND));
    let first = house.shard("first", FIRST, &[revoked(lost, Cause::Superseded)]);
    let second = house.shard("second", SECOND, &[]);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(house.root.certificate())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verdict = |certificate: &[u8], lists: &[&Vec<u8>]| {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone())
            .with_crls(lists.iter().map(|list| CertificateRevocationListDer::from(list.to_vec())))
            .only_check_end_entity_revocation()
            .build()
            .unwrap();
        let moment = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now().unix()).unwrap()));
        let issuing = CertificateDer::from(house.issuing.certificate());
        verifier.verify_client_cert(&CertificateDer::from(certificate), &[issuing], moment).map(|_| ())
    };
    verdict(&kept, &[&first, &second]).unwrap();
    verdict(&other, &[&first, &second]).unwrap();
    let refused = |error| rustls::Error::InvalidCertificate(error);
    assert_eq!(verdict(&lost_der, &[&second, &first]), Err(refused(rustls::CertificateError::Revoked)));
    assert_eq!(verdict(&kept, &[&second]), Err(refused(rustls::CertificateError::UnknownRevocationStatus)));
}

#[test]
fn r1_a_part_in_which_everything_is_revoked_has_less_than_a_million_bytes() {
    let issuing = House::new().issuing;
    // From 2050 on a moment takes two bytes more.
    let late = Timestamp::from_unix(2_600_000_000);
    let all: Vec<Revoked> = (0..16_384).map(|_| Revoked { serial: new_serial(), at: late, because: Cause::KeyCompromise }).collect();
    let list = crl::create_shard(&issuing, FIRST, u64::MAX, &all, late, late.after(DAY)).unwrap();
    assert!(list.len() < 1_000_000, "{} bytes", list.len());
}

#[test]
fn openssl_asks_and_believes_the_answer() {
    let house = House::new();
    let ((good, _), (lost, _)) = (house.client("good", FIRST), house.client("lost", FIRST));
    house.client("never", FIRST);
    let responder = house.responder();
    for (hash, nonce) in [("-sha1", "-nonce"), ("-sha256", "-nonce"), ("-sha1", "-no_nonce")] {
        house.accepts(&format!("ocsp {hash} -issuer issuing.pem -cert good.pem -cert lost.pem -cert never.pem {nonce} -reqout a.req"));
        let request = Request::read(&house.take("a.req")).unwrap();
        assert_eq!(request.has_nonce(), nonce == "-nonce");
        assert!(request.questions().iter().all(|question| responder.is_asked(question)));
        let status = |serial| match serial {
            Some(serial) if serial == good => Status::Good,
            Some(serial) if serial == lost => Status::Revoked { at: now().before(HOUR), because: Cause::KeyCompromise },
            _ => Status::Unknown,
        };
        let statuses: Vec<Status> = request.questions().iter().map(|question| status(question.serial())).collect();
        house.put("a.resp", responder.answer(&request, &statuses, now(), now().after(HOUR)).unwrap());
        let said = house.accepts(&format!(
            "ocsp {hash} -issuer issuing.pem -cert good.pem -cert lost.pem -cert never.pem -no_nonce -reqin a.req -respin a.resp -CAfile root.pem \
             -verify_other issuing.pem"
        ));
        assert!(said.contains("Response verify OK"), "{said}");
        assert!(said.contains("good.pem: good") && said.contains("lost.pem: revoked") && said.contains("never.pem: unknown"), "{said}");
        assert!(said.contains("Reason: keyCompromise"), "{said}");
    }
}

#[test]
fn an_answer_repeats_the_nonce_and_cannot_be_changed() {
    let house = House::new();
    house.client("good", FIRST);
    let responder = house.responder();
    let nonce = |said: String| said.split("OCSP Nonce:").nth(1).and_then(|rest| rest.lines().nth(1)).map(|line| line.trim().to_owned());
    house.accepts("ocsp -issuer issuing.pem -cert good.pem -nonce -reqout a.req");
    let asked = nonce(house.accepts("ocsp -no_nonce -reqin a.req -req_text")).expect("a nonce");
    let request = Request::read(&house.take("a.req")).unwrap();
    let answer = responder.answer(&request, &[Status::Good], now(), now().after(HOUR)).unwrap();
    house.put("a.resp", &answer);
    let verify = "ocsp -respin a.resp -resp_text -CAfile root.pem -verify_other issuing.pem";
    assert_eq!(nonce(house.accepts(verify)).as_ref(), Some(&asked));
    // Its nonce, wherever it stands, is signed too.
    let place = answer.windows(2).position(|pair| pair == [0x04, 0x10]).expect("an octet string of 16 bytes") + 2;
    let mut changed = answer;
    changed[place] ^= 1;
    house.put("a.resp", changed);
    let (_, said) = house.openssl(verify);
    assert!(said.contains("Response Verify Failure"), "{said}");
}

#[test]
fn a_question_about_another_authority_is_not_ours() {
    let (house, other) = (House::new(), House::new());
    house.client("good", FIRST);
    house.accepts("ocsp -issuer issuing.pem -cert good.pem -reqout a.req");
    let request = Request::read(&house.take("a.req")).unwrap();
    assert!(house.responder().is_asked(&request.questions()[0]));
    assert!(!other.responder().is_asked(&request.questions()[0]));
}

#[test]
fn what_cannot_be_read_is_refused_in_a_way_that_openssl_understands() {
    let house = House::new();
    house.client("good", FIRST);
    for (refusal, words) in [(Refusal::MalformedRequest, "malformedrequest (1)"), (Refusal::TryLater, "trylater (3)")] {
        house.put("a.resp", refusal.response());
        let (_, said) = house.openssl("ocsp -issuer issuing.pem -cert good.pem -respin a.resp -CAfile root.pem");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn too_many_questions_and_endless_nonces_are_refused() {
    let house = House::new();
    house.client("good", FIRST);
    house.accepts(&format!("ocsp -issuer issuing.pem {} -reqout a.req", "-cert good.pem ".repeat(32)));
    assert_eq!(Request::read(&house.take("a.req")).unwrap().questions().len(), 32);
    house.accepts(&format!("ocsp -issuer issuing.pem {} -reqout a.req", "-cert good.pem ".repeat(33)));
    assert!(Request::read(&house.take("a.req")).unwrap_err().to_string().contains("more than 32"));
    assert!(Request::read(&[0x30; 9000]).unwrap_err().to_string().contains("longer than"));
    assert!(Request::read(b"").is_err());
}

/// A request as openssl writes it, to be damaged.
fn written() -> Vec<u8> {
    let house = House::new();
    house.client("good", FIRST);
    house.accepts("ocsp -issuer issuing.pem -cert good.pem -reqout a.req");
    house.take("a.req")
}

static WRITTEN: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(written);

proptest! {
    #[test]
    fn f6_no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::read(&bytes);
    }

    #[test]
    fn f6_damaged_requests_make_the_reader_not_panic(place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = WRITTEN.clone();
        bytes[place.index(WRITTEN.len())] = byte;
        bytes.truncate(cut.index(WRITTEN.len() + 1));
        if let Ok(request) = Request::read(&bytes) {
            let _ = request.questions()[0].serial();
        }
    }
}
