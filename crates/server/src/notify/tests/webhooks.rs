//! Webhooks against real HTTP servers on this machine.

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tegata_api::v1::notice::{EXPIRY, Event, SecretRequest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::notify::keys::SecretError;
use crate::notify::webhook::Lookup;

/// An HTTP server that keeps what it is sent and always answers the same.
struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start(answer: &'static str) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    async fn start_at(address: &str, answer: &'static str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (port, requests) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
        let kept = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, answer, kept.clone()));
            }
        });
        Self { port, requests }
    }

    /// The same behind TLS, with this certificate.
    async fn start_tls(folder: &std::path::Path, answer: &'static str) -> Self {
        let chain = vec![CertificateDer::from_pem_file(folder.join("sink.crt")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.join("sink.key")).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, requests) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
        let kept = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(converse(stream, answer, kept.clone()));
                }
            }
        });
        Self { port, requests }
    }

    fn heard(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Reads one request, and answers. `endless` is a body that never ends.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &'static str, kept: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|text| text.parse().ok());
            body.len() >= length.unwrap_or(0_usize)
        });
        if whole || read == 0 {
            kept.lock().unwrap().push(text);
            break;
        }
    }
    if answer == "endless" {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4_096]).await.is_ok() {}
        return;
    }
    let _ = stream.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn spec(url: &str, allow_private: bool) -> String {
    format!("  notify: {{ webhooks: [{{ url: \"{url}\", allowPrivate: {allow_private} }}] }}\n")
}

/// A clinic whose first notice has just been put on record, for this webhook.
async fn due(url: &str, allow_private: bool) -> World {
    let mut world = world(&["pc-1"], &spec(url, allow_private)).await;
    while told(&world).await.is_empty() {
        world.now = next_step(&world).await.unwrap().max(world.now);
        world.settle().await;
    }
    world
}

async fn call(world: &World, hooks: Hooks) -> tegata_api::v1::notice::Delivery {
    Post { hooks, ..post(world, None) }.send_due().await.unwrap();
    told(world).await.remove(0).deliveries.remove(0)
}

async fn called(url: &str, allow_private: bool) -> tegata_api::v1::notice::Delivery {
    let world = due(url, allow_private).await;
    call(&world, Hooks::new(keys())).await
}

/// Answers with these addresses, the first question first; counts the questions.
fn lookup(answers: &[&str]) -> (Lookup, Arc<AtomicUsize>) {
    let answers: Vec<IpAddr> = answers.iter().map(|answer| answer.parse().unwrap()).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup: Lookup = Arc::new(move |_, _| {
        let answer = answers[count.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)];
        Box::pin(async move { Ok(vec![answer]) })
    });
    (lookup, asked)
}

/// What Python makes of key, id, time and body, as Standard Webhooks says: a second opinion.
fn signed_by_python(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let script = "import sys, hmac, hashlib, base64\nkey = base64.b64decode(sys.argv[1].removeprefix('whsec_'))\n\
                  message = sys.argv[2].encode() + b'.' + sys.argv[3].encode() + b'.' + sys.stdin.buffer.read()\n\
                  print('v1,' + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode())";
    let mut child =
        Command::new("python3").args(["-c", script, secret, id, timestamp]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    request.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {request}"))
}

#[tokio::test]
async fn a_webhook_is_told_once_with_a_signature_that_others_can_check() {
    let receiver = Receiver::start("204 No Content").await;
    let url = format!("http://127.0.0.1:{}/hook/T0KEN?x=1", receiver.port);
    let world = due(&url, true).await;
    let asked = SecretRequest { url: url.clone(), rotate: false };
    let secret = keys().show(&world.ledger, &sakura_id(), &asked, "person:test", world.now).await.unwrap();
    let delivery = call(&world, Hooks::new(keys())).await;
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Done, 1), "{delivery:?}");
    assert_eq!(delivery.to, format!("http://127.0.0.1:{}", receiver.port), "what stands behind the host is nobody's business");

    let heard = receiver.heard();
    assert_eq!(heard.len(), 1);
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook/T0KEN?x=1 HTTP/1.1"), "{head}");
    let (id, timestamp) = (header(head, "webhook-id: "), header(head, "webhook-timestamp: "));
    assert_eq!((id, timestamp), (&delivery.id[..], &world.now.unix().to_string()[..]));
    assert_eq!(header(head, "webhook-signature: "), signed_by_python(&secret.secret, id, timestamp, body));
    let event: Event = serde_json::from_str(body).unwrap();
    assert_eq!((&event.kind[..], &event.data.clinic[..], event.data.items.len()), (EXPIRY, "sakura", 1));
    assert!(
        !world
            .ledger
            .store()
            .audit(&tenant(), 0, 1_000)
            .await
            .unwrap()
            .iter()
            .any(|record| { record.action.starts_with("notice.") && record.details.to_string().contains("T0KEN") })
    );
}

#[tokio::test]
async fn a_key_is_shown_once_and_a_new_one_replaces_it() {
    let world = world(&["pc-1"], &spec("https://hooks.example.jp/a", false)).await;
    let show = async |url: &str, rotate| {
        let asked = SecretRequest { url: url.into(), rotate };
        keys().show(&world.ledger, &sakura_id(), &asked, "person:test", world.now).await
    };
    let first = show("https://hooks.example.jp/a", false).await.unwrap();
    assert!(matches!(show("https://hooks.example.jp/a", false).await, Err(SecretError::Shown(_))));
    let second = show("https://hooks.example.jp/a", true).await.unwrap();
    assert_eq!((first.generation, second.generation), (1, 2));
    assert!(first.secret != second.secret && first.secret.starts_with("whsec_"));
    assert!(matches!(show("https://hooks.example.jp/b", false).await, Err(SecretError::NotFound)));
    assert_eq!(world.logged("intended webhook.show-key sakura").await, 2);
    let records = world.ledger.store().audit(&tenant(), 0, 1_000).await.unwrap();
    let key = first.secret.trim_start_matches("whsec_");
    assert!(!records.iter().any(|record| record.details.to_string().contains(key)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inside = Receiver::start("200 OK").await;
    let location = format!("302 Found\r\nlocation: http://127.0.0.1:{}/inside", inside.port);
    let receiver = Receiver::start(location.leak()).await;
    let delivery = called(&format!("http://127.0.0.1:{}/hook", receiver.port), true).await;
    assert_eq!(delivery.state, DeliveryState::Failed);
    assert!(delivery.problem.as_ref().unwrap().contains("redirects are not followed"), "{delivery:?}");
    assert_eq!((receiver.heard().len(), inside.heard().len()), (1, 0));
}

#[tokio::test]
async fn what_fails_is_tried_again_under_the_same_id_and_what_is_gone_is_not() {
    let broken = Receiver::start("500 Oops").await;
    let mut world = due(&format!("http://127.0.0.1:{}/hook", broken.port), true).await;
    let first = call(&world, Hooks::new(keys())).await;
    assert_eq!((first.state, first.problem.as_deref()), (DeliveryState::Waiting, Some("it answered 500")));
    world.pass(HOUR);
    call(&world, Hooks::new(keys())).await;
    let heard = broken.heard();
    assert_eq!(heard.len(), 2);
    assert_eq!(header(&heard[0], "webhook-id: "), header(&heard[1], "webhook-id: "));
    assert_ne!(header(&heard[0], "webhook-timestamp: "), header(&heard[1], "webhook-timestamp: "));

    let gone = Receiver::start("410 Gone").await;
    assert_eq!(called(&format!("http://127.0.0.1:{}/hook", gone.port), true).await.state, DeliveryState::Failed);
    let silent = called("http://127.0.0.1:9/hook", true).await;
    assert_eq!(silent.state, DeliveryState::Waiting, "{silent:?}");
}

#[tokio::test]
async fn an_answer_that_never_ends_ends_all_the_same() {
    let receiver = Receiver::start("endless").await;
    let delivery = called(&format!("http://127.0.0.1:{}/hook", receiver.port), true).await;
    assert_eq!(delivery.state, DeliveryState::Done);
}

#[tokio::test]
async fn this_machine_and_its_network_are_not_called_unless_allowed() {
    let receiver = Receiver::start("200 OK").await;
    let port = receiver.port;
    // The spellings of 127.0.0.1 that a URL parser knows, and a name for it.
    for host in ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "[::ffff:127.0.0.1]", "[::1]"] {
        let delivery = called(&format!("https://{host}:{port}/hook"), false).await;
        assert_eq!(delivery.state, DeliveryState::Failed, "{host}: {delivery:?}");
        assert!(delivery.problem.as_ref().unwrap().contains("allowPrivate"), "{host}: {delivery:?}");
    }
    // Metadata is nobody's webhook, whatever is allowed.
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "0.0.0.0", "168.63.129.16"] {
        let delivery = called(&format!("http://{host}:{port}/hook"), true).await;
        assert!(delivery.problem.as_ref().unwrap().contains("no webhook may be"), "{host}: {delivery:?}");
    }
    assert!(receiver.heard().is_empty());
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_called_at_the_one_that_was_checked() {
    let checked = Receiver::start("200 OK").await;
    let other = Receiver::start_at(&format!("127.0.0.2:{}", checked.port), "200 OK").await;
    let url = format!("http://hooks.example.jp:{}/hook", checked.port);
    let world = due(&url, true).await;
    let (answers, asked) = lookup(&["127.0.0.1", "127.0.0.2"]);
    let delivery = call(&world, Hooks::with(keys(), answers, RootCertStore::empty())).await;
    assert_eq!(delivery.state, DeliveryState::Done, "{delivery:?}");
    assert_eq!((checked.heard().len(), other.heard().len(), asked.load(Ordering::Relaxed)), (1, 0, 1));
    assert_eq!(header(&checked.heard()[0], "host: "), format!("hooks.example.jp:{}", checked.port));

    // A name that leads inside is refused before anybody is called.
    let world = due(&url.replace("http://", "https://"), false).await;
    let (answers, _) = lookup(&["127.0.0.1", "8.8.8.8"]);
    let delivery = call(&world, Hooks::with(keys(), answers, RootCertStore::empty())).await;
    assert_eq!((delivery.state, checked.heard().len()), (DeliveryState::Failed, 1), "{delivery:?}");
}

#[tokio::test]
async fn over_tls_only_who_is_trusted_is_told() {
    let mail = Mail::new();
    let folder = mail.sink.authority().parent().unwrap().to_owned();
    let receiver = Receiver::start_tls(&folder, "200 OK").await;
    let url = format!("https://localhost:{}/hook", receiver.port);
    let mut world = due(&url, true).await;
    let stranger = call(&world, Hooks::with(keys(), lookup(&["127.0.0.1"]).0, RootCertStore::empty())).await;
    assert_eq!((stranger.state, receiver.heard().len()), (DeliveryState::Waiting, 0), "{stranger:?}");
    assert!(stranger.problem.as_ref().unwrap().contains("certificate"), "{stranger:?}");
    world.pass(HOUR);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(mail.sink.authority()).unwrap()).unwrap();
    let known = call(&world, Hooks::with(keys(), lookup(&["127.0.0.1"]).0, roots)).await;
    assert_eq!((known.state, receiver.heard().len()), (DeliveryState::Done, 1), "{known:?}");
}
