//! The renewal call over real mutual TLS, with a vendor that answers as it should, as it may, and as an impostor would.

use std::net::SocketAddr;
use std::sync::Mutex;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tegata_core::name::Sha256;
use tegata_core::time::HOUR;
use tegata_pki::certificate::to_pem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::disk::{self, Readers};
use crate::pretend::World;

const URL: &str = "https://auth.test";

/// What the vendor does with one request.
#[derive(Clone)]
enum Says {
    /// Answers with a status, further headers and a body.
    Answer(u16, &'static str, Vec<u8>),
    /// Says nothing, for ever.
    Nothing,
    /// Says a little, again and again, for ever.
    Drops,
}

/// What the vendor was asked.
#[derive(Clone)]
struct Call {
    head: String,
    body: String,
    shown: Sha256,
}

/// A vendor at `auth.test`, and another host of the same web authority that only counts who comes.
struct Scene {
    clients: Authority,
    calls: Arc<Mutex<Vec<Call>>>,
    visits_elsewhere: Arc<Mutex<u32>>,
    online: Online,
    world: World,
}

impl Scene {
    async fn with(says: Vec<Says>) -> Self {
        Self::named("auth.test", says).await
    }

    /// The vendor, with a web certificate for this name.
    async fn named(name: &str, says: Vec<Says>) -> Self {
        let (clients, web) = (authority(), authority());
        let (calls, visits_elsewhere) = (Arc::default(), Arc::default());
        let vendor = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = |host: &str, port, listener: &TcpListener| Resolve { host: host.into(), port, address: listener.local_addr().unwrap() };
        let resolve = [at("auth.test", 443, &vendor), at("auth.test", 8443, &vendor), at("elsewhere.test", 443, &elsewhere)];
        tokio::spawn(serve(vendor, acceptor(&web, name, &clients), says, Arc::clone(&calls)));
        tokio::spawn(count(elsewhere, Arc::clone(&visits_elsewhere)));
        let world = World::new();
        disk::write(&world.state.probe_roots(), to_pem(web.certificate()).as_bytes(), Readers::Owner).unwrap();
        Self { clients, calls, visits_elsewhere, online: Online::new(&world.state, &resolve), world }
    }

    fn current(&self) -> Pair {
        issued(&self.clients, 1210)
    }

    async fn offer(&self) -> Result<Offer, Refusal> {
        self.online.offer(URL, &self.current()).await
    }

    async fn fetch(&self, uri: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        self.online.fetch(URL, uri, &self.current()).await
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

fn acceptor(web: &Authority, name: &str, clients: &Authority) -> TlsAcceptor {
    let now = Timestamp::from_unix(crate::wall_clock());
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let purpose = Purpose::Server { names: vec![name.into()] };
    let tbs = web.draft(&purpose, &key.public_key(), new_serial(), now.before(HOUR), now.after(HOUR)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(clients.certificate().to_vec())).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from(web.sign(&tbs).unwrap())];
    let config =
        config.with_client_cert_verifier(verifier).with_single_cert(chain, PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec()).into());
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, says: Vec<Says>, calls: Arc<Mutex<Vec<Call>>>) {
    let mut says = says.into_iter();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let call = heard(&mut stream).await;
        calls.lock().unwrap().push(call);
        answer(stream, says.next().expect("no further request")).await;
    }
}

/// A whole request, and whoever made it.
async fn heard(stream: &mut TlsStream<TcpStream>) -> Call {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                let shown = tegata_pki::key::sha256(&stream.get_ref().1.peer_certificates().unwrap()[0]);
                return Call { head: head.to_owned(), body: body.to_owned(), shown };
            }
        }
        assert!(stream.read_buf(&mut request).await.unwrap() > 0, "cut short: {text}");
    }
}

/// Whoever does not read on has heard enough: errors of writing are none here. From where nothing comes any more, the clock runs by itself.
async fn answer(mut stream: TlsStream<TcpStream>, says: Says) {
    match says {
        Says::Answer(status, headers, body) => {
            let _ = stream.write_all(format!("HTTP/1.1 {status} x\r\nconnection: close\r\n{headers}\r\n").as_bytes()).await;
            let _ = stream.write_all(&body).await;
            let _ = stream.shutdown().await;
        }
        Says::Nothing => {
            tokio::time::pause();
            std::future::pending::<()>().await;
        }
        Says::Drops => {
            tokio::time::pause();
            let _ = stream.write_all(b"HTTP/1.1 200 x\r\n\r\n").await;
            while stream.write_all(b" ").await.is_ok() {
                let _ = stream.flush().await;
                tokio::time::sleep(Duration::from_secs(7)).await;
            }
        }
    }
}

async fn count(listener: TcpListener, visits: Arc<Mutex<u32>>) {
    loop {
        let _visitor: (TcpStream, SocketAddr) = listener.accept().await.unwrap();
        *visits.lock().unwrap() += 1;
    }
}

fn says(status: u16, body: impl Into<Vec<u8>>) -> Says {
    Says::Answer(status, "", body.into())
}

#[tokio::test]
async fn the_current_certificate_is_shown_and_the_file_fetched_as_monsiaj_does() {
    let offered = r#"{"uri":"https://auth.test/download/client1210.p12?token=t","pass":"pass-7Qx"}"#;
    let scene = Scene::with(vec![says(200, offered), says(200, "file"), says(200, offered)]).await;
    let current = scene.current();
    let offer = scene.online.offer(URL, &current).await.unwrap();
    assert_eq!((offer.uri.as_str(), offer.password.as_str()), ("https://auth.test/download/client1210.p12?token=t", PASSWORD));
    assert_eq!(**scene.online.fetch(URL, &offer.uri, &current).await.unwrap(), *b"file");
    scene.online.offer("https://auth.test:8443/", &current).await.unwrap();
    let calls = scene.calls();
    assert!(calls.iter().all(|call| call.shown == current.fingerprint().unwrap()));
    let lines: Vec<_> = calls.iter().map(|call| (call.head.lines().next().unwrap(), call.body.as_str())).collect();
    let post = ("POST /api/cert HTTP/1.1", "{}");
    assert_eq!(lines, [post, ("GET /download/client1210.p12?token=t HTTP/1.1", ""), post]);
    assert!(calls[0].head.contains("\r\nhost: auth.test\r\n") && calls[2].head.contains("\r\nhost: auth.test:8443\r\n"));
    assert!(calls[0].head.contains("\r\ncontent-type: application/json"), "{}", calls[0].head);
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    for status in [301, 302, 303, 307, 308] {
        let there = Says::Answer(status, "location: https://elsewhere.test/\r\n", vec![]);
        let scene = Scene::with(vec![there.clone(), there]).await;
        assert_eq!(scene.offer().await.unwrap_err(), Refusal::Status(status));
        assert_eq!(scene.fetch("/download/1").await.unwrap_err(), Refusal::Status(status));
        assert_eq!((scene.calls().len(), *scene.visits_elsewhere.lock().unwrap()), (2, 0), "{status}");
    }
}

#[tokio::test]
async fn a_file_anywhere_but_at_the_vendors_host_is_not_fetched() {
    let scene = Scene::with(vec![]).await;
    for uri in [
        "https://elsewhere.test/download/1",
        "//elsewhere.test/download/1",
        "\\\\elsewhere.test\\download",
        "https://auth.test@elsewhere.test/1",
        "https://auth.test:8443/download/1",
        "https://sub.auth.test/download/1",
        "http://auth.test/download/1",
        "http://auth.test:443/download/1",
        "https://user:word@auth.test/download/1",
        "file:///etc/passwd",
        "data:,x",
    ] {
        assert_eq!(scene.fetch(uri).await.unwrap_err(), Refusal::OtherHost, "{uri}");
    }
    assert_eq!((scene.calls().len(), *scene.visits_elsewhere.lock().unwrap()), (0, 0));
}

#[tokio::test]
async fn a_file_at_the_vendors_host_is_fetched_however_it_is_named() {
    let uris = ["/download/1", "download/1", "//auth.test/download/1", "https://AUTH.test:443/x/../download/1"];
    let scene = Scene::with(vec![says(200, "file"); uris.len()]).await;
    for uri in uris {
        scene.fetch(uri).await.unwrap();
    }
    assert!(scene.calls().iter().all(|call| call.head.starts_with("GET /download/1 HTTP/1.1\r\n")));
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_bound_and_no_further() {
    let filled = |size: usize| {
        let mut answer = br#"{"uri":"/1","pass":"p"}"#.to_vec();
        answer.resize(size, b' ');
        answer
    };
    let scene = Scene::with(vec![
        says(200, filled(ANSWER_MAX)),
        says(200, filled(ANSWER_MAX + 1)),
        says(403, filled(ANSWER_MAX + 1)),
        says(200, vec![0; SIZE_MAX]),
        says(200, vec![0; SIZE_MAX + 1]),
        says(403, filled(ANSWER_MAX + 1)),
    ])
    .await;
    scene.offer().await.unwrap();
    assert_eq!(scene.offer().await.unwrap_err(), Refusal::TooMuch);
    assert_eq!(scene.offer().await.unwrap_err(), Refusal::TooMuch);
    assert_eq!(scene.fetch("/1").await.unwrap().len(), SIZE_MAX);
    assert_eq!(scene.fetch("/1").await.unwrap_err(), Refusal::TooMuch);
    assert_eq!(scene.fetch("/1").await.unwrap_err(), Refusal::TooMuch);
}

#[tokio::test]
async fn a_vendor_that_does_not_come_to_an_end_is_waited_for_no_longer_than_a_minute() {
    for endless in [Says::Nothing, Says::Drops] {
        let scene = Scene::with(vec![endless]).await;
        let start = Instant::now();
        let answer = tokio::time::timeout(PATIENCE * 2, scene.fetch("/1")).await.expect("it is left in time");
        let refusal = answer.unwrap_err();
        assert!(matches!(refusal, Refusal::Unanswered(_)), "{refusal}");
        assert!(start.elapsed().as_secs() >= 50, "{:?}", start.elapsed());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn every_refusal_has_its_reason() {
    let unclear = "<html>something</html>";
    for (status, text, refusal) in [
        (403, "NOT PERMITTED CERTIFICATE\nまだ早すぎます\nIt is too early", Refusal::NotPermitted),
        (403, "USER NOT IN TENANTDB", Refusal::UserUnknown),
        (403, "ON PREMISES ONLY TENANT", Refusal::OnPremisesOnly),
        (503, "NOT PERMITTED CERTIFICATE", Refusal::Maintenance),
        (503, "", Refusal::Maintenance),
        (403, unclear, Refusal::Status(403)),
        (500, unclear, Refusal::Status(500)),
        (204, "", Refusal::Status(204)),
        (200, unclear, Refusal::Nonsense),
        (200, r#"{"uri":"/1"}"#, Refusal::Nonsense),
    ] {
        let scene = Scene::with(vec![says(status, text)]).await;
        assert_eq!(scene.offer().await.unwrap_err(), refusal, "{status} {text}");
    }
    for (status, refusal) in [
        (404, Refusal::OfferOver),
        (410, Refusal::OfferOver),
        (503, Refusal::Maintenance),
        (403, Refusal::NotPermitted),
        (206, Refusal::Status(206)),
    ] {
        let scene = Scene::with(vec![says(status, if status == 403 { "NOT PERMITTED CERTIFICATE" } else { "" })]).await;
        assert_eq!(scene.fetch("/1").await.unwrap_err(), refusal, "{status}");
    }
}

/// Some vendors refuse it in the handshake, some let it in and say no.
#[tokio::test]
async fn a_certificate_that_is_over_is_told_as_such_however_the_vendor_refuses_it() {
    let now = Timestamp::from_unix(crate::wall_clock());
    let scene = Scene::with(vec![]).await;
    let over = issued_between(&scene.clients, 1210, now.before(DAY), now.before(HOUR));
    assert_eq!(scene.online.offer(URL, &over).await.unwrap_err(), Refusal::Expired);
    for (status, text, refusal) in [
        (403, "NOT PERMITTED CERTIFICATE", Refusal::Expired),
        (400, "The SSL certificate error", Refusal::Expired),
        (403, "USER NOT IN TENANTDB", Refusal::UserUnknown),
        (503, "", Refusal::Maintenance),
    ] {
        assert_eq!(refused(status, text.as_bytes(), &over), refusal);
    }
}

#[tokio::test]
async fn a_certificate_that_the_vendor_does_not_know_is_not_let_in() {
    let scene = Scene::with(vec![]).await;
    let foreign = issued(&authority(), 1210);
    let refusal = scene.online.offer(URL, &foreign).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unanswered(_)), "{refusal}");
    assert!(scene.calls().is_empty());
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_is_told_nothing() {
    for (name, knows_its_root) in [("auth.test", false), ("other.test", true)] {
        let scene = Scene::named(name, vec![says(200, "{}"), says(200, "")]).await;
        if !knows_its_root {
            disk::write(&scene.world.state.probe_roots(), to_pem(authority().certificate()).as_bytes(), Readers::Owner).unwrap();
        }
        for refusal in [scene.offer().await.unwrap_err(), scene.fetch("/1").await.unwrap_err()] {
            assert!(matches!(refusal, Refusal::Unanswered(_)), "{name}: {refusal}");
        }
        assert!(scene.calls().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn only_https_is_spoken() {
    let scene = Scene::with(vec![]).await;
    for url in ["http://auth.test", "auth.test", "", "file:///"] {
        assert_eq!(scene.online.offer(url, &scene.current()).await.unwrap_err(), Refusal::Address, "{url}");
    }
    assert!(scene.calls().is_empty());
}
