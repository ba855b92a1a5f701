//! Real handshakes with a site that asks for certificates.

use rustls::client::ResolvesClientCert;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{DistinguishedName, SignatureScheme};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::certificate::to_pem;
use tegata_pki::key::PrivateKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::disk::Readers;
use crate::pretend::World;

pub(crate) fn authority(name: &str) -> Authority {
    let now = Timestamp::from_unix(crate::wall_clock());
    Authority::new_root(name, "test", now.before(DAY), now.after(DAY * 30)).unwrap()
}

fn pair(authority: &Authority, purpose: &Purpose, algorithm: KeyAlgorithm) -> Pair {
    let now = Timestamp::from_unix(crate::wall_clock());
    let key = PrivateKey::generate(algorithm).unwrap();
    let tbs = authority.draft(purpose, &key.public_key(), new_serial(), now.before(DAY), now.after(DAY * 7)).unwrap();
    Pair { chain: vec![authority.sign(&tbs).unwrap()], key: key.to_pkcs8().into() }
}

fn client(authority: &Authority, algorithm: KeyAlgorithm) -> Pair {
    let purpose =
        Purpose::Client { common_name: "pc".into(), organization: "sakura".into(), unique: "1".into(), crl_url: None, ocsp_url: None };
    pair(authority, &purpose, algorithm)
}

/// The name that an authority puts into what it issues, as the bytes within its outermost sequence.
fn subject_without_header(authority: &Authority) -> Vec<u8> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.certificate().to_vec())).unwrap();
    roots.roots[0].subject.to_vec()
}

pub(crate) fn asking_for(clients: &Authority) -> ClientCertVerifierBuilder {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(clients.certificate().to_vec())).unwrap();
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// A site of its own authority, which takes certificates of `clients` and answers every request with `status`.
pub(crate) struct Site {
    pub(crate) address: std::net::SocketAddr,
    /// PEM.
    pub(crate) root: String,
}

impl Site {
    async fn open(clients: &Authority, status: u16) -> Self {
        Self::with(asking_for(clients).build().unwrap(), status).await
    }

    async fn with(verifier: Arc<dyn ClientCertVerifier>, status: u16) -> Self {
        let web = authority("Web Root");
        let own = pair(&web, &Purpose::Server { names: vec!["karte.test".into()] }, KeyAlgorithm::EcdsaP256);
        Self::serving(&own, &web, verifier, status, "").await
    }

    /// A site with this certificate of its own, which is of `web`. `header` is added to every answer.
    pub(crate) async fn serving(own: &Pair, web: &Authority, verifier: Arc<dyn ClientCertVerifier>, status: u16, header: &str) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = own.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.pkcs8().unwrap().to_vec()));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), status, header.to_owned()));
        Self { address, root: to_pem(web.certificate()) }
    }

    async fn ask(&self, url: &str, pair: &Pair) -> Result<u16, ProbeError> {
        let world = World::new();
        disk::write(&world.state.probe_roots(), self.root.as_bytes(), Readers::Owner).unwrap();
        let elsewhere = |port| Resolve { host: "karte.test".into(), port, address: self.address };
        Online::new(&world.state, &[elsewhere(443), elsewhere(8443)]).ask(url, pair).await
    }
}

/// Answers only what asks for the host by its real name.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, status: u16, header: String) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap_or(0);
        let request = String::from_utf8_lossy(&request[..length]).to_ascii_lowercase();
        let asked_well = request.contains("host: karte.test\r\n") || request.contains("host: karte.test:8443\r\n");
        let status = if asked_well { status } else { 599 };
        let answer =
            format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nlocation: https://elsewhere.test/\r\n{header}connection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

#[tokio::test]
async fn a_page_that_answers_proves_the_certificate_whatever_its_kind() {
    let clinic = authority("Clinic CA");
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
        let site = Site::open(&clinic, 200).await;
        let pair = client(&clinic, algorithm);
        assert_eq!(site.ask("https://karte.test/d/signin", &pair).await.unwrap(), 200);
        assert_eq!(site.ask("https://karte.test:8443/", &pair).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_redirect_and_a_missing_page_are_answers_too_and_are_recorded_as_they_are() {
    let clinic = authority("Clinic CA");
    for status in [302, 404] {
        let site = Site::open(&clinic, status).await;
        assert_eq!(site.ask("https://karte.test/", &client(&clinic, KeyAlgorithm::EcdsaP256)).await.unwrap(), status);
    }
}

#[tokio::test]
async fn a_site_that_complains_after_the_handshake_proves_nothing() {
    let clinic = authority("Clinic CA");
    for status in [400, 401, 403, 495, 496, 500, 503] {
        let site = Site::open(&clinic, status).await;
        let refused = site.ask("https://karte.test/", &client(&clinic, KeyAlgorithm::EcdsaP256)).await.unwrap_err();
        assert!(matches!(refused, ProbeError::Refused { status: said, .. } if said == status), "{refused}");
    }
}

/// The wrong host, a site whose check is switched off, a cache in front of it: all answer, whatever certificate there is.
#[tokio::test]
async fn a_site_that_does_not_ask_for_a_certificate_proves_nothing() {
    let site = Site::with(WebPkiClientVerifier::no_client_auth(), 200).await;
    let pair = client(&authority("Clinic CA"), KeyAlgorithm::EcdsaP256);
    let unproven = site.ask("https://karte.test/", &pair).await.unwrap_err();
    assert!(unproven.to_string().contains("did not ask for a client certificate"), "{unproven}");
}

/// Chrome offers only certificates of the authorities that the site names; rustls would show any.
#[tokio::test]
async fn a_site_that_names_other_authorities_proves_nothing() {
    let (clinic, other) = (authority("Clinic CA"), authority("Other CA"));
    let other = DistinguishedName::in_sequence(&subject_without_header(&other));
    let verifier = asking_for(&clinic).clear_root_hint_subjects().add_root_hint_subjects([other]).build().unwrap();
    let unproven = Site::with(verifier, 200).await.ask("https://karte.test/", &client(&clinic, KeyAlgorithm::EcdsaP256)).await.unwrap_err();
    assert!(unproven.to_string().contains("other authorities"), "{unproven}");
}

#[test]
fn a_key_that_the_site_cannot_check_is_not_given() {
    let witness = Witness::of(&client(&authority("Clinic CA"), KeyAlgorithm::EcdsaP384)).unwrap();
    for (schemes, asked) in [
        ([SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256], Asked::ForOtherKeys),
        ([SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384], Asked::ForThis),
    ] {
        assert_eq!((witness.resolve(&[], &schemes).is_some(), witness.asked()), (asked == Asked::ForThis, asked));
    }
}

#[tokio::test]
async fn a_site_that_names_the_authority_above_the_intermediate_or_none_at_all_is_shown_the_certificate() {
    let now = Timestamp::from_unix(crate::wall_clock());
    let root = authority("Clinic Root");
    let issuing = root.new_issuing("Clinic Issuing CA", "test", now.before(DAY), now.after(DAY * 20)).unwrap();
    let mut pair = client(&issuing, KeyAlgorithm::EcdsaP256);
    pair.chain.push(issuing.certificate().to_vec());
    for verifier in [asking_for(&root), asking_for(&root).clear_root_hint_subjects()] {
        let site = Site::with(verifier.build().unwrap(), 200).await;
        assert_eq!(site.ask("https://karte.test/", &pair).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_refusal_in_the_handshake_proves_nothing() {
    let verifier = asking_for(&authority("Clinic CA")).clear_root_hint_subjects().build().unwrap();
    let site = Site::with(verifier, 200).await;
    let foreign = client(&authority("Other CA"), KeyAlgorithm::EcdsaP256);
    let refused = site.ask("https://karte.test/", &foreign).await.unwrap_err();
    assert!(matches!(refused, ProbeError::Unanswered { .. }), "{refused}");
}

#[tokio::test]
async fn a_site_of_an_unknown_root_is_not_shown_the_certificate() {
    let clinic = authority("Clinic CA");
    let mut site = Site::open(&clinic, 200).await;
    site.root = to_pem(authority("Another Web Root").certificate());
    site.ask("https://karte.test/", &client(&clinic, KeyAlgorithm::EcdsaP256)).await.unwrap_err();
}

#[tokio::test]
async fn what_is_no_secure_page_is_not_asked() {
    let clinic = authority("Clinic CA");
    let site = Site::open(&clinic, 200).await;
    for url in ["http://karte.test/", "karte.test", "file:///etc/passwd", ""] {
        let refused = site.ask(url, &client(&clinic, KeyAlgorithm::EcdsaP256)).await.unwrap_err();
        assert!(matches!(refused, ProbeError::Address(_)), "{url}: {refused}");
    }
}

#[tokio::test]
async fn a_key_that_does_not_fit_its_certificate_is_not_shown() {
    let clinic = authority("Clinic CA");
    let site = Site::open(&clinic, 200).await;
    let (mut wrong, other) = (client(&clinic, KeyAlgorithm::EcdsaP256), client(&clinic, KeyAlgorithm::EcdsaP256));
    wrong.key = other.key.clone();
    assert!(!wrong.can_sign().unwrap());
    site.ask("https://karte.test/", &wrong).await.unwrap_err();
}
