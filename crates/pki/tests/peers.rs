//! What Tegata makes is accepted by OpenSSL, NSS and rustls, and what OpenSSL and NSS make is read by Tegata.

use std::fs;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use tegata_core::backup::Keepers;
use tegata_core::name::Serial;
use tegata_core::policy::KeyAlgorithm;
use tegata_core::revocation::Cause;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::crl::{self, Revoked};
use tegata_pki::csr::{self, CsrError};
use tegata_pki::key::PrivateKey;
use tegata_pki::pkcs12::{self, BundleError, Flavor};
use tegata_pki::{certificate, pkcs12::Bundle};
use tempfile::TempDir;

#[path = "peers/glances.rs"]
mod glances;
#[path = "peers/readers.rs"]
mod readers;
#[path = "peers/vendors.rs"]
mod vendors;

const ALGORITHMS: [KeyAlgorithm; 3] = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048];

/// A folder of its own, in which `openssl` is run.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("a file in the temporary folder");
    }

    fn take(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a file that openssl wrote")
    }

    /// Runs a command whose arguments are separated by blanks.
    fn run(&self, command: &str) -> Output {
        let mut words = command.split_whitespace();
        let program = words.next().expect("a command");
        let output = Command::new(program).args(words).current_dir(self.folder.path()).output();
        output.unwrap_or_else(|problem| {
            panic!("these tests need the command `{program}` (Debian: apt-get install openssl libnss3-tools gnutls-bin age): {problem}")
        })
    }

    /// Runs it, and gives what it says on both streams.
    fn accepts(&self, command: &str) -> String {
        let output = self.run(command);
        let said = said(&output);
        assert!(output.status.success(), "{command}\n{said}");
        said
    }

    fn refuses(&self, command: &str) -> String {
        let output = self.run(command);
        let said = said(&output);
        assert!(!output.status.success(), "{command} should have failed\n{said}");
        said
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    Timestamp::from_unix(i64::try_from(since.as_secs()).expect("a clock before the end of time"))
}

/// A root, an issuing authority below it, and their certificates on the desk.
struct House {
    desk: Desk,
    root: Authority,
    issuing: Authority,
}

impl House {
    fn new() -> Self {
        let root = Authority::new_root("Aozora Root", "aozora", now().before(DAY), now().after(DAY * 7300)).unwrap();
        let issuing = root.new_issuing("Aozora Issuing", "aozora", now().before(DAY), now().after(DAY * 3650)).unwrap();
        let desk = Desk::new();
        desk.put("root.pem", certificate::to_pem(root.certificate()));
        desk.put("issuing.pem", certificate::to_pem(issuing.certificate()));
        Self { desk, root, issuing }
    }

    fn issue(&self, purpose: &Purpose, public_key: &[u8]) -> (Serial, Vec<u8>) {
        let serial = new_serial();
        let tbs = self.issuing.draft(purpose, public_key, serial, now().before(DAY), now().after(DAY * 730)).unwrap();
        (serial, self.issuing.sign(&tbs).unwrap())
    }

    fn chain(&self, leaf: Vec<u8>) -> Vec<Vec<u8>> {
        vec![leaf, self.issuing.certificate().to_vec(), self.root.certificate().to_vec()]
    }
}

fn client() -> Purpose {
    Purpose::Client {
        common_name: "uketsuke-1".into(),
        organization: "sakura".into(),
        unique: "0f".repeat(16),
        crl_url: Some("http://tegata.example.jp/a.crl".into()),
        ocsp_url: Some("http://tegata.example.jp/ocsp".into()),
    }
}

const VERIFY: &str = "openssl verify -x509_strict -check_ss_sig -CAfile root.pem -untrusted issuing.pem";

#[test]
fn chains_hold_strictly_for_every_kind_of_key_and_purpose() {
    let house = House::new();
    let identity = Purpose::Identity { common_name: "uketsuke-1.sakura".into(), organization: "aozora".into() };
    let server = Purpose::Server { names: vec!["tegata.example.jp".into(), "127.0.0.1".into()] };
    for algorithm in ALGORITHMS {
        let key = PrivateKey::generate(algorithm).unwrap().public_key();
        for (purpose, right, wrong) in
            [(client(), "sslclient", "sslserver"), (identity.clone(), "sslclient", "sslserver"), (server.clone(), "sslserver", "sslclient")]
        {
            house.desk.put("leaf.pem", certificate::to_pem(&house.issue(&purpose, &key).1));
            house.desk.accepts(&format!("{VERIFY} -purpose {right} leaf.pem"));
            house.desk.refuses(&format!("{VERIFY} -purpose {wrong} leaf.pem"));
        }
        house.desk.accepts(&format!("{VERIFY} -purpose sslserver -verify_hostname tegata.example.jp leaf.pem"));
        house.desk.accepts(&format!("{VERIFY} -purpose sslserver -verify_ip 127.0.0.1 leaf.pem"));
        house.desk.refuses(&format!("{VERIFY} -purpose sslserver -verify_hostname other.example.jp leaf.pem"));
    }
}

#[test]
fn an_issuing_authority_signs_no_authorities() {
    let house = House::new();
    let below = house.issuing.new_issuing("Below", "aozora", now().before(DAY), now().after(DAY)).unwrap();
    house.desk.put("below.pem", certificate::to_pem(below.certificate()));
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().public_key();
    let tbs = below.draft(&client(), &key, new_serial(), now().before(DAY), now().after(DAY / 2)).unwrap();
    house.desk.put("leaf.pem", certificate::to_pem(&below.sign(&tbs).unwrap()));
    let said = house.desk.refuses(&format!("{VERIFY} -untrusted below.pem leaf.pem"));
    assert!(said.contains("path length constraint exceeded"), "{said}");
}

#[test]
fn an_authority_that_openssl_made_issues_certificates() {
    let desk = Desk::new();
    for (new_key, name) in
        [("ec -pkeyopt ec_paramgen_curve:P-256", "p256"), ("ec -pkeyopt ec_paramgen_curve:P-384", "p384"), ("rsa:2048", "rsa")]
    {
        desk.accepts(&format!(
            "openssl req -x509 -newkey {new_key} -noenc -keyout ca.key -out root.pem -days 30 -subj /C=JP/O=Vendor/CN={name}"
        ));
        desk.accepts("openssl pkcs8 -topk8 -nocrypt -in ca.key -outform DER -out ca.der");
        let root = certificate::read_pem(std::str::from_utf8(&desk.take("root.pem")).unwrap()).unwrap().remove(0);
        let authority = Authority::load(&root.der, PrivateKey::from_pkcs8(&desk.take("ca.der")).unwrap());
        // `openssl req -x509` writes no key usage: an authority says what it may do.
        assert!(authority.err().unwrap().problem.contains("not that of an authority"));
        desk.accepts(&format!(
            "openssl req -x509 -key ca.key -out root.pem -days 30 -subj /C=JP/O=Vendor/CN={name} -addext keyUsage=critical,keyCertSign,cRLSign"
        ));
        let root = certificate::read_pem(std::str::from_utf8(&desk.take("root.pem")).unwrap()).unwrap().remove(0);
        let authority = Authority::load(&root.der, PrivateKey::from_pkcs8(&desk.take("ca.der")).unwrap()).unwrap();
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().public_key();
        let tbs = authority.draft(&client(), &key, new_serial(), now(), now().after(DAY)).unwrap();
        desk.put("leaf.pem", certificate::to_pem(&authority.sign(&tbs).unwrap()));
        desk.accepts("openssl verify -x509_strict -CAfile root.pem -purpose sslclient leaf.pem");
    }
}

#[test]
fn an_authority_whose_name_cannot_be_repeated_is_refused() {
    let desk = Desk::new();
    desk.accepts("openssl req -x509 -newkey rsa:2048 -noenc -keyout ca.key -out root.pem -subj /DC=jp/DC=example/CN=AD -addext keyUsage=critical,keyCertSign");
    desk.accepts("openssl pkcs8 -topk8 -nocrypt -in ca.key -outform DER -out ca.der");
    let root = certificate::read_pem(std::str::from_utf8(&desk.take("root.pem")).unwrap()).unwrap().remove(0);
    let refused = Authority::load(&root.der, PrivateKey::from_pkcs8(&desk.take("ca.der")).unwrap()).err().unwrap();
    assert!(refused.problem.contains("two parts of the same kind"), "{refused}");
}

#[test]
fn requests_travel_both_ways() {
    let desk = Desk::new();
    for algorithm in ALGORITHMS {
        let key = PrivateKey::generate(algorithm).unwrap();
        let request = csr::create(&key).unwrap();
        assert_eq!(csr::check(&request).unwrap(), csr::RequestedKey { public_key: key.public_key(), algorithm });
        desk.put("a.csr", &request);
        let said = desk.accepts("openssl req -verify -in a.csr -noout -text");
        assert!(said.contains("verify OK") && said.contains("Subject: \n"), "{said}");
    }
    for (new_key, algorithm) in [
        ("ec -pkeyopt ec_paramgen_curve:P-256", KeyAlgorithm::EcdsaP256),
        ("ec -pkeyopt ec_paramgen_curve:P-384", KeyAlgorithm::EcdsaP384),
        ("rsa:2048", KeyAlgorithm::Rsa2048),
        ("rsa:3072", KeyAlgorithm::Rsa2048),
        ("rsa:2048 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1", KeyAlgorithm::Rsa2048),
        ("rsa:2048 -sha512", KeyAlgorithm::Rsa2048),
    ] {
        assert_eq!(openssl_request(&desk, new_key).unwrap().algorithm, algorithm, "{new_key}");
    }
}

/// Lets openssl make a request that asks for far too much, and reads it.
fn openssl_request(desk: &Desk, new_key: &str) -> Result<csr::RequestedKey, CsrError> {
    desk.put("greedy.cnf", GREEDY);
    desk.accepts(&format!("openssl req -new -newkey {new_key} -noenc -keyout a.key -out a.csr -config greedy.cnf"));
    let checked = csr::check(std::str::from_utf8(&desk.take("a.csr")).unwrap());
    if let Ok(requested) = &checked {
        desk.accepts("openssl pkey -in a.key -pubout -outform DER -out a.pub");
        assert_eq!(requested.public_key, desk.take("a.pub"));
    }
    checked
}

/// Everything that a requester must not decide: names, usages, being an authority, a Microsoft template, a password.
const GREEDY: &str = "
[req]
prompt = no
distinguished_name = subject
req_extensions = wanted
attributes = more
[subject]
CN = administrator
O = another clinic
[more]
challengePassword = hunter2hunter2
unstructuredName = whatever
[wanted]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
extendedKeyUsage = serverAuth,anyExtendedKeyUsage,msSmartcardLogin
subjectAltName = DNS:*.example.jp,IP:192.0.2.1,email:root@example.jp,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:administrator@example.jp
subjectKeyIdentifier = hash
1.3.6.1.4.1.311.20.2 = ASN1:BMPSTRING:DomainController
1.2.3.4 = critical,DER:0500
";

#[test]
fn requests_for_other_keys_are_refused() {
    let desk = Desk::new();
    desk.accepts("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 -out e3.pem");
    for (new_key, reason) in [
        ("rsa:1024", "1024 bits"),
        ("rsa:4104", "4104 bits"),
        ("ec -pkeyopt ec_paramgen_curve:P-521", "use P-256 or P-384"),
        ("ec -pkeyopt ec_paramgen_curve:secp256k1", "use P-256 or P-384"),
        ("ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit", "a curve without a name"),
        ("ed25519", "use ECDSA"),
    ] {
        match openssl_request(&desk, new_key) {
            Err(CsrError::Key(said)) => assert!(said.contains(reason), "{new_key}: {said}"),
            other => panic!("{new_key}: {other:?}"),
        }
    }
    desk.accepts("openssl req -new -key e3.pem -out e3.csr -subj /CN=a");
    let refused = csr::check(std::str::from_utf8(&desk.take("e3.csr")).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("exponent"), "{refused}");
}

#[test]
fn a_request_signed_with_sha1_proves_nothing() {
    let refused = openssl_request(&Desk::new(), "rsa:2048 -sha1").unwrap_err();
    assert!(refused.to_string().contains("SHA-1"), "{refused}");
}

#[test]
fn revocation_lists_are_understood() {
    let house = House::new();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().public_key();
    let (serial, lost) = house.issue(&client(), &key);
    let (_, kept) = house.issue(&client(), &key);
    house.desk.put("lost.pem", certificate::to_pem(&lost));
    house.desk.put("kept.pem", certificate::to_pem(&kept));
    for (number, revoked) in [(1, vec![]), (4097, vec![Revoked { serial, at: now().before(DAY), because: Cause::Unspecified }])] {
        let list = crl::create(&house.issuing, number, &revoked, now(), now().after(DAY)).unwrap();
        house.desk.put("a.crl", list);
        let said = house.desk.accepts("openssl crl -inform DER -in a.crl -CAfile issuing.pem -noout -text");
        assert!(said.contains("verify OK"), "{said}");
        assert!(said.contains(&format!("X509v3 CRL Number: \n                {number}\n")), "{said}");
        house.desk.accepts("openssl crl -inform DER -in a.crl -out crl.pem");
        house.desk.accepts(&format!("{VERIFY} -crl_check -CRLfile crl.pem kept.pem"));
        if revoked.is_empty() {
            house.desk.accepts(&format!("{VERIFY} -crl_check -CRLfile crl.pem lost.pem"));
        } else {
            assert!(said.to_lowercase().contains(&serial.to_string()), "{said}");
            let refused = house.desk.refuses(&format!("{VERIFY} -crl_check -CRLfile crl.pem lost.pem"));
            assert!(refused.contains("certificate revoked"), "{refused}");
        }
    }
}

#[test]
fn a_list_is_not_accepted_from_another_authority() {
    let house = House::new();
    let list = crl::create(&house.root, 1, &[], now(), now().after(DAY)).unwrap();
    house.desk.put("a.crl", list);
    house.desk.refuses("openssl crl -inform DER -in a.crl -CAfile issuing.pem -noout");
    assert!(crl::create(&house.root, 1, &[], now(), now()).is_err(), "a list that is never current");
}

const PASSWORD: &str = "受付のパスワード";
const NAME: &str = "受付1番（1階）";

fn openssl_reads(desk: &Desk, password: &str) -> Output {
    let command = format!("openssl pkcs12 -in a.p12 -info -noenc -passin pass:{password}");
    desk.run(&command)
}

#[test]
fn bundles_that_are_written_can_be_opened() {
    let house = House::new();
    for (flavor, protected) in [
        (Flavor::Modern, "PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256"),
        (Flavor::Legacy, "pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048"),
    ] {
        for algorithm in ALGORITHMS {
            let key = PrivateKey::generate(algorithm).unwrap();
            let chain = house.chain(house.issue(&client(), &key.public_key()).1);
            house.desk.put("a.p12", pkcs12::write(flavor, &key, &chain, NAME, PASSWORD).unwrap());
            let output = openssl_reads(&house.desk, PASSWORD);
            let said = said(&output);
            assert!(output.status.success(), "{said}");
            assert_eq!(said.matches(protected).count(), 2, "key and certificates, both protected: {said}");
            let mac = if flavor == Flavor::Modern { "MAC: sha256, Iteration 10000" } else { "MAC: sha1, Iteration 2048" };
            assert!(said.contains(mac), "{said}");
            let ders: Vec<_> = certificate::read_pem(&said).unwrap().into_iter().map(|read| read.der).collect();
            assert_eq!(ders, chain);
            assert!(!openssl_reads(&house.desk, "wrong").status.success());
            let again = pkcs12::read(&house.desk.take("a.p12"), PASSWORD).unwrap();
            assert_eq!((again.chain, again.friendly_name.as_deref()), (chain, Some(NAME)));
            assert_eq!(again.key, key.to_pkcs8());
        }
    }
}

/// A key with its chain, as PEM files on the desk, and the bundle that openssl makes of them.
fn openssl_bundle(house: &House, arguments: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let key = PrivateKey::generate(KeyAlgorithm::Rsa2048).unwrap();
    let chain = house.chain(house.issue(&client(), &key.public_key()).1);
    let desk = &house.desk;
    desk.put("key.der", key.to_pkcs8());
    desk.accepts("openssl pkcs8 -inform DER -in key.der -nocrypt -out key.pem");
    desk.put("leaf.pem", certificate::to_pem(&chain[0]));
    // The issuers in an order that nobody wants.
    desk.put("above.pem", [certificate::to_pem(&chain[2]), certificate::to_pem(&chain[1])].concat());
    desk.accepts(&format!("openssl pkcs12 -export -in leaf.pem -inkey key.pem -certfile above.pem -name {NAME} -out a.p12 {arguments}"));
    (desk.take("a.p12"), chain)
}

fn opens(bundle: &[u8], password: &str, chain: &[Vec<u8>], what: &str) -> Bundle {
    let opened = pkcs12::read(bundle, password).unwrap_or_else(|refused| panic!("{what}: {refused}"));
    assert_eq!(opened.chain, chain, "{what}");
    let key = PrivateKey::from_pkcs8(&opened.key).unwrap();
    assert_eq!(key.public_key(), certificate::read(&chain[0]).unwrap().public_key, "{what}");
    opened
}

#[test]
fn bundles_that_vendors_make_are_opened() {
    let house = House::new();
    for arguments in [
        "",
        "-legacy",
        "-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1",
        "-legacy -keypbe PBE-SHA1-RC2-40 -certpbe PBE-SHA1-RC2-40",
        "-keypbe aes-128-cbc -certpbe aes-192-cbc -macalg sha512",
        "-certpbe NONE",
        "-keypbe NONE -certpbe NONE",
        "-iter 1 -maciter",
        "-iter 600000",
        "-keysig",
        "-CSP Microsoft",
    ] {
        let (bundle, chain) = openssl_bundle(&house, &format!("{arguments} -passout pass:{PASSWORD}"));
        let opened = opens(&bundle, PASSWORD, &chain, arguments);
        assert_eq!(opened.friendly_name.as_deref(), Some(NAME), "{arguments}");
        assert!(matches!(pkcs12::read(&bundle, "wrong"), Err(BundleError::WrongPassword)), "{arguments}");
        assert!(matches!(pkcs12::read(&bundle, ""), Err(BundleError::WrongPassword)), "{arguments}");
    }
}

#[test]
fn bundles_without_a_checksum_and_with_an_empty_password_are_opened() {
    let house = House::new();
    let (bundle, chain) = openssl_bundle(&house, "-nomac -passout pass:pw");
    opens(&bundle, "pw", &chain, "no MAC");
    let (bundle, chain) = openssl_bundle(&house, "-nomac -keypbe NONE -certpbe NONE -passout pass:pw");
    opens(&bundle, "whatever", &chain, "nothing is protected");
    let (bundle, chain) = openssl_bundle(&house, "-passout pass:");
    opens(&bundle, "", &chain, "empty password");
    let (bundle, chain) = openssl_bundle(&house, "-legacy -passout pass:");
    opens(&bundle, "", &chain, "empty password, legacy");
}

#[test]
fn a_wrong_password_is_told_apart_even_without_a_checksum() {
    let house = House::new();
    for arguments in ["-nomac -passout pass:pw", "-nomac -legacy -passout pass:pw"] {
        let (bundle, _) = openssl_bundle(&house, arguments);
        // One try in 256 decrypts to something with a fitting end: enough tries to meet one.
        for attempt in 0..600 {
            let refused = pkcs12::read(&bundle, &format!("wrong-{attempt}")).err();
            assert!(matches!(refused, Some(BundleError::WrongPassword)), "{arguments}, attempt {attempt}: {refused:?}");
        }
    }
}

#[test]
fn exactly_one_key_is_needed() {
    let house = House::new();
    house.desk.put("root.pem", certificate::to_pem(house.root.certificate()));
    house.desk.accepts("openssl pkcs12 -export -nokeys -in root.pem -out none.p12 -passout pass:pw");
    assert!(matches!(pkcs12::read(&house.desk.take("none.p12"), "pw"), Err(BundleError::Keys(0))));
}

/// Keychains give out everything that they have in one bundle. GnuTLS makes such, too.
#[test]
fn of_several_keys_the_one_of_a_certificate_is_taken_with_those_above_it() {
    let (house, namesake) = (House::new(), House::new());
    let desk = &house.desk;
    let (mut keys, mut leaves, mut chains) = (String::new(), String::new(), Vec::new());
    for _ in 0..2 {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        desk.put("key.der", key.to_pkcs8());
        keys += &desk.accepts("openssl pkcs8 -inform DER -in key.der -nocrypt");
        chains.push(house.chain(house.issue(&client(), &key.public_key()).1));
        leaves += &certificate::to_pem(&chains.last().unwrap()[0]);
    }
    desk.put("keys.pem", keys);
    desk.put("leaves.pem", leaves);
    desk.accepts(
        "certtool --to-p12 --load-privkey keys.pem --load-certificate leaves.pem --p12-name two --outder --outfile two.p12 --password pw",
    );
    let bundle = desk.take("two.p12");
    assert!(matches!(pkcs12::read(&bundle, "pw"), Err(BundleError::Keys(2))));
    let others = [&namesake.issuing, &house.root, &namesake.root, &house.issuing].map(|above| above.certificate().to_vec());
    let one = |password, der: &[u8]| pkcs12::read_one(&bundle, password, tegata_pki::key::sha256(der), &others);
    for chain in &chains {
        let opened = one("pw", &chain[0]).unwrap().expect("it is there");
        assert_eq!(&opened.chain, chain);
        let public_key = PrivateKey::from_pkcs8(&opened.key).unwrap().public_key();
        assert_eq!(public_key, certificate::read(&chain[0]).unwrap().public_key);
    }
    assert!(one("pw", namesake.root.certificate()).unwrap().is_none(), "its key is not there");
    assert!(one("pw", b"no certificate at all").unwrap().is_none());
    assert!(matches!(one("wrong", &chains[0][0]), Err(BundleError::WrongPassword)));
}

#[test]
fn a_bundle_needs_the_certificate_of_its_key() {
    let house = House::new();
    openssl_bundle(&house, "-passout pass:pw");
    house.desk.accepts("openssl pkcs12 -export -nocerts -inkey key.pem -out only.p12 -passout pass:pw");
    assert!(matches!(pkcs12::read(&house.desk.take("only.p12"), "pw"), Err(BundleError::NoCertificate)));
}

#[test]
fn a_bundle_with_a_crowd_of_certificates_is_refused() {
    let house = House::new();
    openssl_bundle(&house, "-passout pass:pw");
    house.desk.put("crowd.pem", certificate::to_pem(house.root.certificate()).repeat(64));
    house.desk.accepts("openssl pkcs12 -export -in leaf.pem -inkey key.pem -certfile crowd.pem -out crowd.p12 -passout pass:pw");
    let refused = pkcs12::read(&house.desk.take("crowd.p12"), "pw").err().unwrap();
    assert!(refused.to_string().contains("65 certificates"), "{refused}");
}

#[test]
fn bundles_travel_to_nss_and_back() {
    let house = House::new();
    let desk = &house.desk;
    for flavor in [Flavor::Modern, Flavor::Legacy] {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let chain = house.chain(house.issue(&client(), &key.public_key()).1);
        let database = format!("{flavor:?}");
        fs::create_dir(desk.path(&database)).unwrap();
        desk.accepts(&format!("certutil -N -d {database} --empty-password"));
        desk.put("a.p12", pkcs12::write(flavor, &key, &chain, NAME, PASSWORD).unwrap());
        desk.accepts(&format!("pk12util -i a.p12 -d {database} -W {PASSWORD}"));
        // NSS writes BER: lengths left open, byte strings in pieces, inside and outside.
        desk.accepts(&format!("pk12util -o b.p12 -n {NAME} -d {database} -W {PASSWORD}"));
        let bundle = desk.take("b.p12");
        assert_eq!(bundle[..2], [0x30, 0x80], "NSS left the length open");
        let opened = opens(&bundle, PASSWORD, &chain, &database);
        assert_eq!(opened.friendly_name.as_deref(), Some(NAME));
        assert!(matches!(pkcs12::read(&bundle, "wrong"), Err(BundleError::WrongPassword)));
    }
}

/// What a server that lets clients in by certificate says of this chain, with this revocation list.
fn rustls_accepts(house: &House, leaf: &[u8], list: Vec<u8>) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(house.root.certificate())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls([CertificateRevocationListDer::from(list)])
        .only_check_end_entity_revocation()
        .build()
        .unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now().unix()).unwrap()));
    let issuing = CertificateDer::from(house.issuing.certificate());
    verifier.verify_client_cert(&CertificateDer::from(leaf), &[issuing], now).map(|_| ())
}

#[test]
fn rustls_lets_clients_in_that_are_not_revoked() {
    let house = House::new();
    for algorithm in ALGORITHMS {
        let key = PrivateKey::generate(algorithm).unwrap().public_key();
        let (serial, leaf) = house.issue(&client(), &key);
        let list = |revoked: &[Revoked]| crl::create(&house.issuing, 1, revoked, now(), now().after(DAY)).unwrap();
        rustls_accepts(&house, &leaf, list(&[])).unwrap();
        let refused = rustls_accepts(&house, &leaf, list(&[Revoked { serial, at: now(), because: Cause::KeyCompromise }])).unwrap_err();
        assert_eq!(refused, rustls::Error::InvalidCertificate(rustls::CertificateError::Revoked));
        let server = house.issue(&Purpose::Server { names: vec!["tegata.example.jp".into()] }, &key).1;
        let refused = rustls_accepts(&house, &server, list(&[])).unwrap_err().to_string();
        assert!(refused.contains("purpose") || refused.contains("Purpose") || refused.contains("extended key usage"), "{refused}");
    }
}
