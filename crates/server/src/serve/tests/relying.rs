//! Those who check certificates: OpenSSL and nginx against a running server, with what it publishes and nothing else.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tegata_core::time::DAY;
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::certificate::{read_pem, to_pem};
use tegata_pki::key::PrivateKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;

use super::revocation::{Connection, fetch};
use super::world::{PATIENCE, Pc, World, new_key};

/// A client certificate that a PC got, and its key.
struct Issued {
    serial: String,
    certificate: String,
    key: PrivateKey,
}

/// A world whose revocation data anyone can ask for without TLS, two certificates, and a folder in which programs are run.
struct Scene {
    world: World,
    folder: tempfile::TempDir,
    pcs: Vec<Pc>,
    good: Issued,
    lost: Issued,
}

impl Scene {
    async fn new() -> Self {
        let world = World::plain().await;
        let (mut pcs, mut issued) = (vec![], vec![]);
        for name in ["sakura/pc-1", "sakura/pc-2"] {
            let (pc, key) = (world.enroll(name).await, new_key());
            let got = pc.request(&pc.order().await, &key).await.unwrap();
            pcs.push(pc);
            issued.push(Issued { serial: got.serial, certificate: got.certificate, key });
        }
        let (lost, good) = (issued.pop().unwrap(), issued.pop().unwrap());
        let scene = Self { world, folder: tempfile::tempdir().unwrap(), pcs, good, lost };
        scene.put("good.pem", &scene.good.certificate);
        scene.put("lost.pem", &scene.lost.certificate);
        let chain = String::from_utf8(fetch(&scene.world, "/ca/aozora/portal.pem").await.body).unwrap();
        let chain: Vec<String> = read_pem(&chain).unwrap().into_iter().map(|one| to_pem(&one.der)).collect();
        scene.put("issuing.pem", &chain[0]);
        scene.put("root.pem", &chain[1]);
        scene.put("chain.pem", chain.concat());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Runs openssl with arguments that are separated by blanks: whether it was content, and what it said.
    async fn openssl(&self, arguments: &str) -> (bool, String) {
        let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(self.folder.path()).output().await;
        let Output { status, stdout, stderr } = output.expect("these tests need openssl (Debian: apt-get install openssl)");
        (status.success(), [stdout, stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat())
    }

    /// What OCSP says of a certificate, asked where the certificate says.
    async fn status(&self, name: &str) -> String {
        let url = self.openssl(&format!("x509 -in {name}.pem -noout -ocsp_uri")).await.1;
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
        let ask =
            format!("ocsp -issuer issuing.pem -cert {name}.pem -nonce -url {} -CAfile root.pem -verify_other issuing.pem", url.trim());
        let (is_content, said) = self.openssl(&ask).await;
        assert!(is_content && said.contains("Response verify OK") && !said.contains("WARNING"), "{said}");
        said
    }

    async fn revoke_lost(&self) {
        let wish = serde_json::json!({ "reason": "key-compromise" });
        self.world.admin().tell(&format!("/v1/tenants/aozora/certificates/{}/revoke", self.lost.serial), &wish).await.unwrap();
        // Lists are looked at anew each second.
        self.world.pass(Duration::from_secs(1));
    }

    async fn put_lists(&self) {
        let answer = fetch_chunked(&self.world, "/crl/aozora/portal.pem").await;
        self.put("lists.pem", answer);
    }
}

/// Fetches what is made while it is sent.
async fn fetch_chunked(world: &World, path: &str) -> String {
    let mut open = Connection::open(world, None).await;
    open.send(&format!("GET {path} HTTP/1.1\r\nHost: tegata\r\nConnection: close\r\n\r\n")).await;
    let whole = String::from_utf8(open.rest().await).unwrap();
    let (head, mut body) = whole.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        text.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    text
}

#[tokio::test]
async fn openssl_asks_where_the_certificate_says_and_believes_the_answer() {
    let scene = Scene::new().await;
    for name in ["good", "lost"] {
        assert!(scene.status(name).await.contains(&format!("{name}.pem: good")));
    }
    scene.revoke_lost().await;
    let said = scene.status("lost").await;
    assert!(said.contains("lost.pem: revoked") && said.contains("Reason: keyCompromise"), "{said}");
    assert!(scene.status("good").await.contains("good.pem: good"));
    let url = scene.openssl("x509 -in good.pem -noout -ocsp_uri").await.1;
    let unknown =
        format!("ocsp -issuer issuing.pem -serial 0x{} -url {} -CAfile root.pem -verify_other issuing.pem", "40".repeat(16), url.trim());
    let (_, said) = scene.openssl(&unknown).await;
    assert!(said.contains("Response verify OK") && said.contains(": unknown"), "{said}");
    // The authority's key was used once for all these answers, and that is on record.
    assert_eq!(scene.world.records("aozora", "ocsp.sign").await.len(), 1);
}

#[tokio::test]
async fn openssl_fetches_the_list_that_the_certificate_names() {
    let scene = Scene::new().await;
    let verify = "verify -x509_strict -crl_check -crl_download -CAfile root.pem -untrusted issuing.pem";
    let (is_content, said) = scene.openssl(&format!("{verify} good.pem lost.pem")).await;
    assert!(is_content, "{said}");
    scene.revoke_lost().await;
    let (is_content, said) = scene.openssl(&format!("{verify} good.pem")).await;
    assert!(is_content, "{said}");
    let (is_content, said) = scene.openssl(&format!("{verify} lost.pem")).await;
    assert!(!is_content && said.contains("certificate revoked"), "{said}");
}

#[tokio::test]
async fn the_lists_of_the_whole_chain_are_had_in_one_file() {
    let scene = Scene::new().await;
    scene.revoke_lost().await;
    scene.put_lists().await;
    let verify = "verify -x509_strict -crl_check_all -CRLfile lists.pem -CAfile root.pem -untrusted issuing.pem";
    let (is_content, said) = scene.openssl(&format!("{verify} good.pem")).await;
    assert!(is_content, "{said}");
    let (is_content, said) = scene.openssl(&format!("{verify} lost.pem")).await;
    assert!(!is_content && said.contains("certificate revoked"), "{said}");
}

#[tokio::test]
async fn certificates_can_be_checked_wherever_the_server_has_moved() {
    let scene = Scene::new().await;
    let Scene { world, folder, pcs, good, lost } = scene;
    let world = world.restart().await;
    let pcs = pcs.into_iter().map(|pc| pc.moved(&world)).collect::<Vec<_>>();
    // Another port, so another address: what is issued now names other lists.
    world.admin().tell(&format!("/v1/tenants/aozora/certificates/{}/renew", good.serial), &()).await.unwrap();
    let scene = Scene { world, folder, pcs, good, lost };
    let got = scene.pcs[0].request(&scene.pcs[0].order().await, &new_key()).await;
    if let Ok(got) = got {
        scene.put("new.pem", &got.certificate);
    }
    scene.revoke_lost().await;
    scene.put_lists().await;
    let verify = "verify -x509_strict -crl_check_all -CRLfile lists.pem -CAfile root.pem -untrusted issuing.pem";
    let (is_content, said) = scene.openssl(&format!("{verify} good.pem")).await;
    assert!(is_content, "{said}");
    let (is_content, said) = scene.openssl(&format!("{verify} lost.pem")).await;
    assert!(!is_content && said.contains("certificate revoked"), "{said}");
    let first = fetch(&scene.world, "/crl/aozora/portal/1.crl").await;
    scene.put("first.crl", first.body);
    let only = "verify -x509_strict -crl_check -CRLfile first.crl -CAfile root.pem -untrusted issuing.pem";
    let (is_content, said) = scene.openssl(&format!("{only} good.pem")).await;
    assert!(is_content, "its list says what the certificate says, letter for letter: {said}");
}

/// nginx as the front of a chart, which lets nobody in without a certificate that is good.
struct Nginx {
    process: Child,
    port: u16,
    root: Vec<u8>,
    folder: PathBuf,
}

impl Nginx {
    async fn start(scene: &Scene, checks: &str) -> Self {
        let now = scene.world.now();
        let root = Authority::new_root("Chart Root", "chart", now.before(DAY), now.after(DAY * 30)).unwrap();
        let key = new_key();
        let purpose = Purpose::Server { names: vec!["localhost".into()] };
        let tbs = root.draft(&purpose, &key.public_key(), new_serial(), now.before(DAY), now.after(DAY)).unwrap();
        scene.put("chart.pem", to_pem(&root.sign(&tbs).unwrap()));
        scene.put("chart.key", pem_key(&key));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        scene.put("nginx.conf", configuration(port, checks));
        let folder = scene.folder.path().to_owned();
        let process = nginx(&folder).stdin(Stdio::null()).kill_on_drop(true).spawn();
        let process = process.expect("these tests need nginx (Debian: apt-get install nginx)");
        let nginx = Self { process, port, root: root.certificate().to_vec(), folder };
        nginx.until(|| async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
        nginx
    }

    async fn until<Answer: Future<Output = bool>>(&self, holds: impl Fn() -> Answer) {
        let wait = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let log = || std::fs::read_to_string(self.folder.join("error.log")).unwrap_or_default();
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("it never came to that: {}", log()));
    }

    /// Has it read its files again, and waits until the worker that read the old ones is gone.
    async fn reload(&self) {
        assert!(nginx(&self.folder).args(["-s", "reload"]).status().await.unwrap().success());
        let log = self.folder.join("error.log");
        self.until(|| async { std::fs::read_to_string(&log).unwrap_or_default().contains("exited with code 0") }).await;
    }

    /// The status with which nginx answers somebody who shows this certificate.
    async fn answers(&self, client: &Issued) -> u16 {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(self.root.clone())).unwrap();
        let chain = read_pem(&client.certificate).unwrap().into_iter().map(|one| CertificateDer::from(one.der)).collect();
        let key = PrivateKeyDer::Pkcs8(client.key.to_pkcs8().to_vec().into());
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // nginx hangs up without a farewell.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or("0").parse().unwrap()
    }
}

/// Ended as it wants to be, so that it takes its workers with it.
impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = nginx(&self.folder).args(["-s", "stop"]).as_std_mut().status();
        // Killed before it has told its workers, it would leave them behind.
        for _ in 0..500 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn nginx(folder: &std::path::Path) -> Command {
    let mut command = Command::new("nginx");
    command
        .current_dir(folder)
        .arg("-p")
        .arg(folder)
        .args(["-e", "error.log", "-c", "nginx.conf"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn pem_key(key: &PrivateKey) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&key.to_pkcs8()))
}

fn configuration(port: u16, checks: &str) -> String {
    format!(
        "daemon off; master_process on; worker_processes 1; pid nginx.pid; error_log error.log info;
        events {{ worker_connections 64; }}
        http {{
            access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
            keepalive_timeout 0; ssl_session_cache off; ssl_session_tickets off;
            server {{
                listen 127.0.0.1:{port} ssl; server_name localhost;
                ssl_certificate chart.pem; ssl_certificate_key chart.key;
                ssl_client_certificate chain.pem; ssl_verify_client on; ssl_verify_depth 2;
                {checks}
                location / {{ return 200 \"in\\n\"; }}
            }}
        }}"
    )
}

#[tokio::test]
async fn nginx_lets_the_good_in_and_refuses_the_revoked_by_list() {
    let scene = Scene::new().await;
    scene.put_lists().await;
    let nginx = Nginx::start(&scene, "ssl_crl lists.pem;").await;
    assert_eq!((nginx.answers(&scene.good).await, nginx.answers(&scene.lost).await), (200, 200));
    scene.revoke_lost().await;
    scene.put_lists().await;
    nginx.reload().await;
    assert_eq!((nginx.answers(&scene.good).await, nginx.answers(&scene.lost).await), (200, 400));
}

#[tokio::test]
async fn nginx_lets_the_good_in_and_refuses_the_revoked_by_asking() {
    let scene = Scene::new().await;
    // It asks where the certificate says.
    let nginx = Nginx::start(&scene, "ssl_ocsp leaf;").await;
    assert_eq!((nginx.answers(&scene.good).await, nginx.answers(&scene.lost).await), (200, 200));
    scene.revoke_lost().await;
    assert_eq!((nginx.answers(&scene.good).await, nginx.answers(&scene.lost).await), (200, 400), "without being told anything");
}

#[tokio::test]
async fn r5_the_certificates_of_a_lost_device_are_refused_at_once() {
    let scene = Scene::new().await;
    let nginx = Nginx::start(&scene, "ssl_ocsp leaf;").await;
    assert_eq!(nginx.answers(&scene.lost).await, 200);
    scene.world.admin().tell("/v1/tenants/aozora/devices/sakura/pc-2/revoke", &()).await.unwrap();
    assert_eq!((nginx.answers(&scene.good).await, nginx.answers(&scene.lost).await), (200, 400));
    assert!(scene.status("lost").await.contains("Reason: keyCompromise"));
}

#[tokio::test]
async fn a_question_may_stand_in_the_address_and_is_answered_by_caches_only_without_a_nonce() {
    let scene = Scene::new().await;
    for (nonce, kept) in [("-no_nonce", "max-age=60, public"), ("-nonce", "no-store")] {
        scene.openssl(&format!("ocsp -issuer issuing.pem -cert good.pem {nonce} -reqout a.req")).await;
        let asked = BASE64.encode(&std::fs::read(scene.path("a.req")).unwrap());
        let asked = asked.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let mut open = Connection::open(&scene.world, None).await;
        let answer = open.ask(&format!("GET /ocsp/aozora/portal/{asked} HTTP/1.1\r\nHost: tegata\r\n\r\n")).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.head.contains(&format!("cache-control: {kept}")) && answer.head.contains("application/ocsp-response"),
            "{}",
            answer.head
        );
        scene.put("a.resp", answer.body);
        let (_, said) = scene
            .openssl("ocsp -issuer issuing.pem -cert good.pem -no_nonce -respin a.resp -CAfile root.pem -verify_other issuing.pem")
            .await;
        assert!(said.contains("Response verify OK") && said.contains("good.pem: good"), "{said}");
    }
}

#[tokio::test]
async fn a_responder_is_replaced_long_before_its_end() {
    let scene = Scene::new().await;
    scene.status("good").await;
    for (days, responders) in [(13, 1), (2, 2), (15, 3)] {
        scene.world.pass(DAY * days);
        scene.openssl("ocsp -issuer issuing.pem -cert good.pem -no_nonce -reqout a.req").await;
        let asked = BASE64.encode(&std::fs::read(scene.path("a.req")).unwrap()).replace('/', "%2F").replace('+', "%2B");
        assert_eq!(fetch(&scene.world, &format!("/ocsp/aozora/portal/{asked}")).await.status, 200);
        assert_eq!(scene.world.records("aozora", "ocsp.sign").await.len(), responders, "after {days} days more");
    }
}

#[tokio::test]
async fn nobody_asks_about_what_is_not_there() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    pc.request(&pc.order().await, &new_key()).await.unwrap();
    let there = ["/crl/aozora/portal.crl", "/crl/aozora/portal/1.crl", "/crl/aozora/portal/root.crl"];
    for path in there {
        assert_eq!(fetch(&world, path).await.status, 200, "{path}");
    }
    let nowhere = [
        "/crl/aozora/other.crl",
        "/crl/aozora/other.pem",
        "/crl/aozora/portal/2.crl",
        "/crl/aozora/portal/0.crl",
        "/crl/aozora/portal/01.crl",
        "/crl/aozora/other/root.crl",
        "/crl/nobody/portal/1.crl",
        "/crl/momiji/portal/1.crl",
        "/ocsp/aozora/other/MAA=",
        "/ocsp/nobody/portal/MAA=",
    ];
    for path in nowhere {
        assert_eq!(fetch(&world, path).await.status, 404, "{path}");
    }
    let malformed = fetch(&world, "/ocsp/aozora/portal/MAA=").await;
    assert_eq!((malformed.status, &malformed.body[..]), (200, &[0x30, 3, 0x0a, 1, 1][..]), "malformedRequest");
}

#[tokio::test]
async fn without_tls_there_is_nothing_but_revocation() {
    let scene = Scene::new().await;
    let url = scene.openssl("x509 -in good.pem -noout -ocsp_uri").await.1;
    let address = url.trim().trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let ask = async |path: &str| {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let token = &scene.world.server.access().token;
        let request = format!("GET {path} HTTP/1.1\r\nHost: tegata\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(ask("/crl/aozora/portal/1.crl").await, "200");
    for path in ["/healthz", "/v1/tenants/aozora/devices", "/v1/agent/manifest", "/ca/aozora/portal.pem"] {
        assert_eq!(ask(path).await, "404", "{path}");
    }
}
