//! After a revocation nothing is served any more, on any connection; and the list says so.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{CertificateRequest, Deed, Manifest, Report, ReportAnswer};
use tegata_api::v1::fleet::CodeKind;
use tegata_api::v1::problem::Code;
use tegata_core::time::{DAY, MINUTE};
use tegata_pki::certificate::read_pem;
use tegata_pki::csr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::world::{PATIENCE, Pc, World, code_of, fingerprint, new_key};
use crate::store::sql::sqlite::tests::forget_revocations;

const REVOKE: &str = "/v1/tenants/aozora/devices/sakura/pc-1/revoke";

#[tokio::test]
async fn r5_a_held_request_of_a_revoked_device_ends_at_once() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    pc.order().await;
    let mut held = hold(&world, &pc).await;
    world.admin().tell(REVOKE, &()).await.unwrap();
    let answer = timeout(PATIENCE, held.receive()).await.expect("long before the hold is over");
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn r5_an_open_connection_of_a_revoked_device_is_served_nothing_more() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    pc.order().await;
    let mut open = Connection::open(&world, Some(&pc)).await;
    assert_eq!(open.ask("GET /v1/agent/manifest HTTP/1.1\r\nHost: tegata\r\n\r\n").await.status, 200);
    world.admin().tell(REVOKE, &()).await.unwrap();
    assert_eq!(open.ask("GET /v1/agent/manifest HTTP/1.1\r\nHost: tegata\r\n\r\n").await.status, 401);
    assert_eq!(code_of(pc.client.post::<_, ReportAnswer>("/v1/agent/report", &Report::default()).await), Code::Unauthorized);
    assert_eq!(code_of(pc.request(&"0".repeat(32), &new_key()).await), Code::Unauthorized);
    let fresh = super::world::device_client(&world, &pc.key, &pc.identity);
    assert_eq!(code_of(fresh.get::<Manifest>("/v1/agent/manifest").await), Code::Unauthorized);
}

#[tokio::test]
async fn r5_a_connection_of_a_revoked_device_is_never_resumed() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    pc.order().await;
    // A client that would resume if it could: all its connections share one memory.
    let config = client_config(&world, Some(&pc));
    let ask = async |open: &mut Connection| open.ask("GET /v1/agent/manifest HTTP/1.1\r\nHost: tegata\r\n\r\n").await.status;
    for _ in 0..3 {
        let mut open = Connection::open_with(&world, config.clone()).await;
        assert_eq!(ask(&mut open).await, 200);
        assert_eq!(open.0.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full), "the certificate was shown again");
        assert_eq!(open.0.get_ref().1.tls13_tickets_received(), 0, "there is nothing to resume with");
    }
    world.admin().tell(REVOKE, &()).await.unwrap();
    let revoked_at = std::time::Instant::now();
    let mut again = Connection::open_with(&world, config).await;
    assert_eq!(ask(&mut again).await, 401);
    assert!(revoked_at.elapsed() < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn r5_a_device_that_is_revoked_while_it_speaks_is_not_listened_to() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let body = serde_json::to_string(&CertificateRequest { csr: csr::create(&new_key()).unwrap() }).unwrap();
    for path in ["report", "receipts", "identity", "orders/00000000000000000000000000000000/certificate"] {
        let mut open = Connection::open(&world, Some(&pc)).await;
        let head = format!("POST /v1/agent/{path} HTTP/1.1\r\nHost: tegata\r\nContent-Type: application/json\r\n");
        // The server says 100 when it begins to wait for the body.
        assert_eq!(open.ask(&format!("{head}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n", body.len())).await.status, 100, "{path}");
        world.admin().tell(REVOKE, &()).await.unwrap();
        assert_eq!(open.ask(&body).await.status, 401, "{path}");
        // Enrolled again: the next round begins with a device that is served.
        let again = world.enroll("sakura/pc-1").await;
        assert_eq!(code_of(pc.client.get::<Manifest>("/v1/agent/manifest").await), Code::Unauthorized);
        drop(again);
    }
}

#[tokio::test]
async fn a_revoked_device_takes_with_it_every_certificate_that_it_ever_held() {
    let world = World::start().await;
    let mut pc = world.enroll("sakura/pc-1").await;
    let (order, first) = pc.install_and_prove().await;
    world.admin().tell(&format!("/v1/tenants/aozora/certificates/{}/renew", first.serial), &()).await.unwrap();
    let second = pc.request(&pc.order_other_than(Some(&order)).await, &new_key()).await.unwrap();
    // It says that the first is gone; whether its key is, nobody knows.
    pc.did(Deed::Retired { fingerprint: fingerprint(&first.certificate) }).await;
    world.admin().tell(REVOKE, &()).await.unwrap();
    world.pass(std::time::Duration::from_secs(1));
    let mut both = [first.serial, second.serial];
    both.sort();
    assert_eq!(list(&world, "/crl/aozora/portal.crl").await.serials, both);
    for serial in both {
        let told = world.records("aozora", "certificate.revoke").await;
        let stages: Vec<Stage> = told.iter().filter(|record| record.details["serial"] == serial).map(|record| record.stage).collect();
        assert_eq!(stages, [Stage::Intended, Stage::Done]);
    }
}

#[tokio::test]
async fn a_revoked_device_is_not_brought_back_by_a_code_that_was_made_before() {
    let world = World::start().await;
    world.enroll("sakura/pc-1").await;
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Join).await;
    world.admin().tell(REVOKE, &()).await.unwrap();
    assert_eq!(code_of(world.redeem(&handle, &secret, &new_key()).await), Code::CodeRefused);
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Join).await;
    world.redeem(&handle, &secret, &new_key()).await.expect("a code that was made afterwards says that it came back");
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_identity() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    pc.order().await;
    let mut open = Connection::open(&world, Some(&pc)).await;
    assert_eq!(open.ask("GET /v1/agent/manifest HTTP/1.1\r\nHost: tegata\r\n\r\n").await.status, 200);
    world.pass(DAY * 91);
    assert_eq!(open.ask("GET /v1/agent/manifest HTTP/1.1\r\nHost: tegata\r\n\r\n").await.status, 401);
}

#[tokio::test]
async fn a_revoked_certificate_is_on_its_issuers_list_and_on_no_other() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let issued = pc.request(&pc.order().await, &new_key()).await.unwrap();
    let before = list(&world, "/crl/aozora/portal.crl").await;
    assert!(before.serials.is_empty());
    world.admin().tell(&format!("/v1/tenants/aozora/certificates/{}/revoke", issued.serial), &()).await.unwrap();
    // Lists are looked at anew each second.
    world.pass(std::time::Duration::from_secs(1));
    let after = list(&world, "/crl/aozora/portal.crl").await;
    assert_eq!(after.serials, [issued.serial]);
    assert!(after.number > before.number);
    assert!(list(&world, "/crl/momiji/portal.crl").await.serials.is_empty());
}

#[tokio::test]
async fn r2_a_revoked_certificate_is_not_taken_for_good_again_because_the_database_has_forgotten() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let issued = pc.request(&pc.order().await, &new_key()).await.unwrap();
    world.admin().tell(&format!("/v1/tenants/aozora/certificates/{}/revoke", issued.serial), &()).await.unwrap();
    let paths = ["/crl/aozora/portal.crl", "/crl/aozora/portal/1.crl"];
    let mut before = vec![];
    for path in paths {
        before.push(list(&world, path).await);
        assert_eq!(before.last().unwrap().serials, std::slice::from_ref(&issued.serial));
    }
    forget_revocations(&world.place.path().join("state/tegata.db")).await;
    for (path, before) in paths.iter().zip(&before) {
        world.pass(std::time::Duration::from_secs(1));
        assert_eq!(list(&world, path).await, *before, "the list before it stays in force");
    }
    // No longer than it may be relied on: after that, no list is better than a wrong one.
    world.pass(DAY * 8);
    assert_eq!(fetch(&world, paths[1]).await.status, 500);
}

#[tokio::test]
async fn a_list_is_made_anew_each_day_and_its_number_never_goes_back() {
    let world = World::start().await;
    let first = list(&world, "/crl/aozora/portal.crl").await;
    world.pass(DAY / 2);
    assert_eq!(list(&world, "/crl/aozora/portal.crl").await, first, "nothing has changed");
    world.pass(DAY / 2);
    let second = list(&world, "/crl/aozora/portal.crl").await;
    assert!(second.number > first.number && second.next_update > first.next_update);
}

/// Sends a request that is held, and waits until the server has noted that it came.
pub async fn hold(world: &World, pc: &Pc) -> Connection {
    world.pass(MINUTE * 11);
    let mut held = Connection::open(world, Some(pc)).await;
    held.send("GET /v1/agent/manifest?after=1000000 HTTP/1.1\r\nHost: tegata\r\n\r\n").await;
    let (tenant, device) = ("aozora".parse().unwrap(), pc.device.parse().unwrap());
    while world.ledger().store().device(&tenant, &device).await.unwrap().unwrap().last_seen < world.now().before(MINUTE) {
        tokio::task::yield_now().await;
    }
    held
}

#[derive(Debug, PartialEq)]
pub struct List {
    number: u128,
    next_update: i64,
    pub serials: Vec<String>,
}

pub async fn list(world: &World, path: &str) -> List {
    let answer = fetch(world, path).await;
    assert_eq!(answer.status, 200);
    let (_, list) = CertificateRevocationList::from_der(&answer.body).unwrap();
    let number = list.crl_number().unwrap().to_bytes_be().iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
    List {
        number,
        next_update: list.next_update().unwrap().timestamp(),
        serials: list.iter_revoked_certificates().map(|revoked| data_encoding::HEXLOWER.encode(revoked.raw_serial())).collect(),
    }
}

/// Fetches what anyone may have, without any credentials.
pub async fn fetch(world: &World, path: &str) -> Answer {
    Connection::open(world, None).await.ask(&format!("GET {path} HTTP/1.1\r\nHost: tegata\r\n\r\n")).await
}

pub struct Answer {
    pub status: u16,
    /// Its header, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

/// One TLS connection, so that a test knows which one a request went over.
pub struct Connection(TlsStream<TcpStream>);

impl Connection {
    pub async fn open(world: &World, pc: Option<&Pc>) -> Self {
        Self::open_with(world, client_config(world, pc)).await
    }

    async fn open_with(world: &World, config: Arc<rustls::ClientConfig>) -> Self {
        let stream = TcpStream::connect(world.server.address()).await.unwrap();
        Self(TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap())
    }

    pub async fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Reads one answer whose length is in its header.
    pub async fn receive(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body }
    }

    /// Reads until the other end has closed.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
        rest
    }

    pub async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.receive().await
    }
}

/// A client of this PC, or of nobody. As many connections as are made with one of them may resume each other.
fn client_config(world: &World, pc: Option<&Pc>) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(read_pem(&world.server.access().authority).unwrap()[0].der.clone())).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    Arc::new(match pc {
        None => config.with_no_client_auth(),
        Some(pc) => {
            let chain = read_pem(&pc.identity).unwrap().into_iter().map(|one| CertificateDer::from(one.der)).collect();
            config.with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(pc.key.to_pkcs8().to_vec().into())).unwrap()
        }
    })
}
