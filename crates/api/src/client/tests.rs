use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tegata_core::name::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Client, ClientError, Credentials, Trouble};

/// A root authority.
struct Root {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn root(name: &str) -> Root {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = params.self_signed(&key).unwrap();
    Root { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
}

impl Root {
    fn leaf(&self, host: &str) -> (CertificateDer<'static>, Vec<u8>) {
        self.leaf_until(host, rcgen::date_time_ymd(4000, 1, 1))
    }

    fn leaf_until(&self, host: &str, not_after: time::OffsetDateTime) -> (CertificateDer<'static>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_after = not_after;
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key.serialize_der())
    }

    fn sha256(&self) -> Sha256 {
        Sha256(digest::digest(&digest::SHA256, &self.der).as_ref().try_into().unwrap())
    }
}

/// What a pretend server shows and asks for.
struct Scene {
    leaf: (CertificateDer<'static>, Vec<u8>),
    also_sends: Vec<CertificateDer<'static>>,
    devices_from: Option<CertificateDer<'static>>,
    version: &'static SupportedProtocolVersion,
    answer: String,
}

impl Scene {
    fn of(root: &Root) -> Self {
        Self {
            leaf: root.leaf("localhost"),
            also_sends: Vec::new(),
            devices_from: None,
            version: &rustls::version::TLS13,
            answer: answer(200, r#"{"answer":42}"#),
        }
    }

    /// Starts the server; every connection gets the same answer, and what was asked is sent back in the header `X-Asked`.
    async fn start(self) -> String {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[self.version]).unwrap();
        let builder = match self.devices_from {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority).unwrap();
                builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let chain = [vec![self.leaf.0], self.also_sends].concat();
        let mut config = builder.with_single_cert(chain, PrivateKeyDer::Pkcs8(self.leaf.1.into())).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, answer) = (acceptor.clone(), self.answer.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let asked = request(&mut stream).await;
                    let alpn = stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
                    let answer = answer.replace("{asked}", &asked).replace("{alpn}", &alpn.unwrap_or_default());
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        format!("https://localhost:{port}")
    }
}

/// Reads one request and gives its first line, its `Authorization` and its body, in one line.
async fn request(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if count == 0 {
                return text;
            } else {
                continue;
            };
        };
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let length: usize = header("content-length:").map_or(0, |value| value.parse().unwrap());
        if body.len() >= length {
            let authorization = header("authorization:").unwrap_or("nobody");
            return format!("{} by {authorization} {}", head.lines().next().unwrap(), body.replace('"', "'"));
        }
    }
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// An answer without a length: it ends with the connection, so that placeholders can be filled in.
fn open_answer(body: &str) -> String {
    format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{body}")
}

fn trouble_of(result: Result<Value, ClientError>) -> Trouble {
    match result {
        Err(ClientError::Unreachable { trouble, .. }) => trouble,
        other => panic!("expected an unreachable server, got {other:?}"),
    }
}

#[tokio::test]
async fn asks_as_a_person_with_a_token() {
    let root = root("Server Root");
    let server = Scene { answer: open_answer(r#"{"asked":"{asked}","alpn":"{alpn}"}"#), ..Scene::of(&root) }.start().await;
    let client = Client::new(&server, &root.pem, Credentials::Token("secret\n".into())).unwrap();
    let heard: Value = client.post("/v1/plan?x=1", &json!({"files": []})).await.unwrap();
    assert_eq!(heard, json!({"asked": "POST /v1/plan?x=1 HTTP/1.1 by Bearer secret {'files':[]}", "alpn": "http/1.1"}));
    let heard: Value = client.get("/v1/audit").await.unwrap();
    assert_eq!(heard["asked"], "GET /v1/audit HTTP/1.1 by Bearer secret ");
}

#[tokio::test]
async fn asks_as_a_device_over_mutual_tls() {
    let (root, devices) = (root("Server Root"), root("Device Root"));
    let server = Scene { devices_from: Some(devices.der.clone()), ..Scene::of(&root) }.start().await;
    let (certificate, key) = devices.leaf("uketsuke-1");
    let client = Client::new(&server, &root.pem, Credentials::Device(vec![certificate.to_vec()], key)).unwrap();
    assert_eq!(client.get::<Value>("/").await.unwrap(), json!({"answer": 42}));

    let anonymous = Client::new(&server, &root.pem, Credentials::None).unwrap();
    assert_eq!(trouble_of(anonymous.get("/").await), Trouble::NotAccepted);
    let (stranger, key) = root.leaf("stranger");
    let stranger = Client::new(&server, &root.pem, Credentials::Device(vec![stranger.to_vec()], key)).unwrap();
    assert_eq!(trouble_of(stranger.get("/").await), Trouble::NotAccepted);
}

#[tokio::test]
async fn takes_a_held_request_that_brings_nothing() {
    let root = root("Server Root");
    let server = Scene { answer: "HTTP/1.1 204 X\r\nconnection: close\r\n\r\n".into(), ..Scene::of(&root) }.start().await;
    let client = Client::new(&server, &root.pem, Credentials::None).unwrap();
    assert!(client.get_held::<Value>("/", Duration::from_secs(5)).await.unwrap().is_none());
    client.tell("/", &json!({})).await.unwrap();
    let unexpected = client.get::<Value>("/").await.unwrap_err();
    assert!(matches!(unexpected, ClientError::Unexpected { status: 204, .. }), "{unexpected:?}");
}

#[tokio::test]
async fn hears_why_the_server_says_no() {
    let root = root("Server Root");
    let body = r#"{"status":409,"code":"order-closed","title":"The order is not open any more.","extra":true}"#;
    let server = Scene { answer: answer(409, body), ..Scene::of(&root) }.start().await;
    let refused = Client::new(&server, &root.pem, Credentials::None).unwrap().get::<Value>("/").await.unwrap_err();
    let ClientError::Refused(problem) = &refused else { panic!("{refused:?}") };
    assert_eq!((problem.status, problem.code), (409, crate::v1::problem::Code::OrderClosed));
    assert_eq!(refused.to_string(), "The order is not open any more.");

    for (status, body) in [(502, "<html>Bad gateway</html>"), (302, ""), (200, "not json")] {
        let server = Scene { answer: answer(status, body), ..Scene::of(&root) }.start().await;
        let error = Client::new(&server, &root.pem, Credentials::None).unwrap().get::<Value>("/").await.unwrap_err();
        assert!(matches!(error, ClientError::Unexpected { status: found, .. } if found == status), "{error:?}");
    }
}

#[tokio::test]
async fn stops_reading_an_endless_answer() {
    let root = root("Server Root");
    let endless = open_answer(&" ".repeat(super::ANSWER_MAX + 1));
    let server = Scene { answer: endless, ..Scene::of(&root) }.start().await;
    let error = Client::new(&server, &root.pem, Credentials::None).unwrap().get::<Value>("/").await.unwrap_err();
    assert!(matches!(error, ClientError::Unexpected { status: 200, .. }), "{error:?}");
}

#[tokio::test]
async fn trusts_the_given_authorities_only() {
    let (root, other) = (root("Server Root"), root("Another Root"));
    let server = Scene { also_sends: vec![root.der.clone()], ..Scene::of(&root) }.start().await;
    let ask = async |authorities: &str| Client::new(&server, authorities, Credentials::None).unwrap().get::<Value>("/").await;
    assert_eq!(trouble_of(ask(&other.pem).await), Trouble::WrongAuthority);
    ask(&format!("{}{}", other.pem, root.pem)).await.unwrap();
}

#[tokio::test]
async fn pins_an_authority_in_the_presented_chain() {
    let root = root("Server Root");
    let server = Scene { also_sends: vec![root.der.clone()], ..Scene::of(&root) }.start().await;
    let heard: Value = Client::pinned(&server, root.sha256()).unwrap().get("/").await.unwrap();
    assert_eq!(heard, json!({"answer": 42}));
    assert_eq!(trouble_of(Client::pinned(&server, Sha256([7; 32])).unwrap().get("/").await), Trouble::WrongAuthority);
}

/// An attacker can send anybody's certificate along; the leaf must really come from it.
#[tokio::test]
async fn does_not_trust_a_chain_that_merely_shows_the_pinned_authority() {
    let (honest, attacker) = (root("Server Root"), root("Server Root"));
    let server = Scene { also_sends: vec![honest.der.clone()], ..Scene::of(&attacker) }.start().await;
    assert_eq!(trouble_of(Client::pinned(&server, honest.sha256()).unwrap().get("/").await), Trouble::WrongAuthority);
    let unseen = Scene::of(&honest).start().await;
    assert_eq!(trouble_of(Client::pinned(&unseen, honest.sha256()).unwrap().get("/").await), Trouble::WrongAuthority);
}

#[tokio::test]
async fn checks_host_and_time_also_when_pinned() {
    let root = root("Server Root");
    let elsewhere = Scene { leaf: root.leaf("example.jp"), also_sends: vec![root.der.clone()], ..Scene::of(&root) }.start().await;
    let past = root.leaf_until("localhost", rcgen::date_time_ymd(2020, 1, 1));
    let expired = Scene { leaf: past, also_sends: vec![root.der.clone()], ..Scene::of(&root) }.start().await;
    for client in [Client::new(&elsewhere, &root.pem, Credentials::None), Client::pinned(&elsewhere, root.sha256())] {
        assert_eq!(trouble_of(client.unwrap().get("/").await), Trouble::WrongHost);
    }
    for client in [Client::new(&expired, &root.pem, Credentials::None), Client::pinned(&expired, root.sha256())] {
        assert_eq!(trouble_of(client.unwrap().get("/").await), Trouble::WrongTime);
    }
}

#[tokio::test]
async fn speaks_tls_1_3_only() {
    let root = root("Server Root");
    let server = Scene { version: &rustls::version::TLS12, ..Scene::of(&root) }.start().await;
    let client = Client::new(&server, &root.pem, Credentials::None).unwrap();
    assert_eq!(trouble_of(client.get("/").await), Trouble::Handshake);
}

#[tokio::test]
async fn says_what_to_check_when_nothing_listens() {
    let root = root("Server Root");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let client = Client::new(&format!("https://127.0.0.1:{free}"), &root.pem, Credentials::None).unwrap();
    let error = client.get::<Value>("/").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot reach https://127.0.0.1:{free}: no connection could be made; check the address, the network and the firewall")
    );

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let client = Client::new(&address, &root.pem, Credentials::None).unwrap();
    let held = client.get_held::<Value>("/", Duration::from_millis(50)).await.map(Option::unwrap_or_default);
    assert_eq!(trouble_of(held), Trouble::TimedOut);
}

#[test]
fn refuses_what_it_cannot_work_with() {
    let (root, other) = (root("Server Root"), root("Another Root"));
    let setup = |server: &str, authorities: &str, credentials| match Client::new(server, authorities, credentials) {
        Err(ClientError::Setup(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    };
    for server in ["localhost:1", "http://localhost:1", "https://", "https://h/path", "https://a:b@h", "https://h?q", "https://h\r\nx"] {
        assert!(setup(server, &root.pem, Credentials::None).contains("is not a server address"), "{server}");
    }
    assert!(setup("https://h", "", Credentials::None).contains("no authority"));
    assert!(setup("https://h", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Credentials::None).contains("authorit"));
    assert!(setup("https://h", &root.pem, Credentials::Token("a\nb".into())).contains("token"));
    assert!(setup("https://h", &root.pem, Credentials::Device(vec![root.der.to_vec()], vec![1, 2])).contains("private key cannot be read"));
    let key = other.leaf("x").1;
    assert!(setup("https://h", &root.pem, Credentials::Device(vec![root.der.to_vec()], key)).contains("does not belong"));
}
