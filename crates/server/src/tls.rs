//! The door: TCP connections become TLS 1.3 connections whose peer is known, and those become requests.
//!
//! A client certificate is optional at the handshake, because people and new PCs have none. There are no session tickets and no
//! resumption: a resumed session would skip the certificate check.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{Acceptor, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use tegata_core::name::{Sha256, TenantName};
use tegata_core::time::Timestamp;
use tegata_pki::certificate::{self, Certificate};
use tegata_pki::key::sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::issuers::signer::Signer;

/// How long a handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may stay without a whole request header: an idle connection ends after it, and so does one that dribbles.
const HEADER_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of one connection's read buffer, and so of a request's header. The smallest that hyper allows.
const BUFFER: usize = 8 << 10;
/// How long to wait when the system has no more sockets or memory.
const BREATH: Duration = Duration::from_millis(100);

/// Says who may connect, and as whom the server shows itself.
///
/// # Errors
/// If the device authority's certificate cannot be a trust anchor.
pub fn config(devices: &Signer, server: Arc<dyn ResolvesServerCert>) -> Result<Handshakes, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut anchors = RootCertStore::empty();
    anchors.add(CertificateDer::from(devices.certificate()))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(anchors.into(), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let authority = devices.common_name().to_owned();
    let narrow = Doorkeeper { hints: verifier.root_hint_subjects().to_vec(), devices: verifier.clone(), authority: authority.clone() };
    let open = Doorkeeper { hints: Vec::new(), devices: verifier, authority };
    Ok(Handshakes { narrow: with(narrow, &provider, server.clone())?, open: with(open, &provider, server)? })
}

/// How connections are made: two ways that differ only in whose certificates are asked for.
///
/// Browsers offer their user a choice of all certificates of the authorities that are named, so only the devices' is named to them, and
/// nobody is asked. Java sends nothing unless its certificate's authority is named, or none is. Whoever has something to say about the
/// protocol inside (ALPN) is no such client: every browser has.
#[derive(Clone)]
pub struct Handshakes {
    narrow: Arc<ServerConfig>,
    open: Arc<ServerConfig>,
}

impl Handshakes {
    async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let config = if start.client_hello().alpn().is_some() { &self.narrow } else { &self.open };
        start.into_stream(config.clone()).await
    }
}

fn with(
    doorkeeper: Doorkeeper,
    provider: &Arc<CryptoProvider>,
    server: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(doorkeeper))
        .with_cert_resolver(server);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config.into())
}

/// Who is at the other end of a connection, as its handshake has proved.
#[derive(Debug, Clone)]
pub struct Peer {
    identity: Option<Arc<Identity>>,
    /// SHA-256 of the certificate that was shown, if it was not one of the device authority's.
    stranger: Option<Sha256>,
}

/// SHA-256 of a certificate of another authority than the devices'. That its holder has the key is proven, and nothing else: whether
/// it is worth anything is for those to say who have its exact bytes on record.
pub struct Shown(pub Option<Sha256>);

impl<S: Send + Sync> FromRequestParts<S> for Shown {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Peer>().and_then(|peer| peer.stranger)))
    }
}

/// A device's identity certificate, as far as the server asks.
#[derive(Debug)]
pub struct Identity {
    /// SHA-256 of its public key.
    pub key: Sha256,
    /// The tenant that it was issued for.
    pub tenant: String,
    /// The last moment of its validity: a connection may outlive it.
    pub not_after: Timestamp,
}

impl Identity {
    /// Compares the certificate of the connection with what is on record about its key: what a certificate says is never enough.
    pub fn is_in_force(&self, tenant: &TenantName, revoked_at: Option<Timestamp>, now: Timestamp) -> bool {
        tenant.as_str() == self.tenant && now <= self.not_after && revoked_at.is_none()
    }
}

impl Peer {
    /// The device identity, if one was shown.
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.identity.clone()
    }

    /// SHA-256 of the peer's public key, for the log.
    pub fn key(&self) -> Option<Sha256> {
        self.identity.as_ref().map(|identity| identity.key)
    }

    /// Nobody, unless the certificate was issued by the device authority: not by any other that the handshake might trust one day.
    fn of(stream: &TlsStream<TcpStream>, authority: &str) -> Self {
        let Some(leaf) = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()) else {
            return Self { identity: None, stranger: None };
        };
        let Some(certificate) = of_devices(leaf, authority) else { return Self { identity: None, stranger: Some(sha256(leaf)) } };
        let tenant = certificate.organization.unwrap_or_default();
        let identity = Identity { key: sha256(&certificate.public_key), tenant, not_after: certificate.not_after };
        Self { identity: Some(identity.into()), stranger: None }
    }
}

/// A certificate that says it is by the device authority. Only one that is comes through the handshake.
fn of_devices(leaf: &[u8], authority: &str) -> Option<Certificate> {
    certificate::read(leaf).ok().filter(|certificate| certificate.issuer_common_name.as_deref() == Some(authority))
}

/// Lets certificates of other authorities come through the handshake, as nobody's; those that say they are by the device authority have
/// to be. Whoever shows one has to have its key, either way.
#[derive(Debug)]
struct Doorkeeper {
    devices: Arc<dyn ClientCertVerifier>,
    authority: String,
    /// Whose certificates are asked for; none means anybody's.
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for Doorkeeper {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match of_devices(leaf, &self.authority) {
            Some(_) => self.devices.verify_client_cert(leaf, intermediates, now),
            None => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.devices.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.devices.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.devices.supported_verify_schemes()
    }
}

/// What every connection needs.
pub struct Door {
    /// How handshakes are made; without, nobody at the other end is known, and nothing is secret.
    pub tls: Option<Handshakes>,
    /// The common name of the authority that device identities come from.
    pub device_authority: String,
    /// Who answers.
    pub app: Router,
    /// Cancelled when no new requests are wanted.
    pub stopping: CancellationToken,
    /// Cancelled when connections end whatever they do.
    pub ending: CancellationToken,
    /// Counts connections.
    pub tasks: TaskTracker,
}

impl Door {
    /// Accepts connections until `stopping`.
    pub async fn open(self, listener: TcpListener) {
        let door = Arc::new(self);
        while let Some(accepted) = door.stopping.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, address)) => door.admit(stream, address),
                Err(error) => door.pause(&error).await,
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let door = self.clone();
        self.tasks.spawn(async move {
            let ending = door.ending.clone();
            // Boxed here and below: a future that is handed on has its place twice, and a held request keeps them all.
            if let Some(Err(error)) = ending.run_until_cancelled(Box::pin(door.converse(stream))).await {
                tracing::debug!(%address, %error, "a connection broke");
            }
        });
    }

    /// A connection that was gone before it was accepted needs no pause; a system without sockets does.
    async fn pause(&self, error: &io::Error) {
        if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            tracing::error!(%error, "cannot accept connections; if files or sockets have run out, raise the limit (ulimit -n)");
            sleep(BREATH).await;
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return self.speak(stream, Peer { identity: None, stranger: None }).await };
        let handshake = Box::pin(timeout(HANDSHAKE_PATIENCE, tls.accept(stream)));
        let Some(stream) = self.stopping.run_until_cancelled(handshake).await else { return Ok(()) };
        let stream = stream??;
        let peer = Peer::of(&stream, &self.device_authority);
        self.speak(stream, peer).await
    }

    async fn speak<S>(&self, stream: S, peer: Peer) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let named = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request
        };
        let service = TowerToHyperService::new(self.app.clone().map_request(named));
        let mut connection = Box::pin(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_PATIENCE)
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(stream), service),
        );
        if let Some(done) = self.stopping.run_until_cancelled(connection.as_mut()).await {
            return Ok(done?);
        }
        connection.as_mut().graceful_shutdown();
        Ok(connection.await?)
    }
}
