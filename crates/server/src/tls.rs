//! The door: TCP connections become TLS 1.3 connections whose peer is known, and those become requests.
//!
//! A client certificate is optional at the handshake, because people and new PCs have none. There are no session tickets and no
//! resumption: a resumed session would skip the certificate check.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use tegata_core::name::{Sha256, TenantName};
use tegata_core::time::Timestamp;
use tegata_pki::certificate;
use tegata_pki::key::sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
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
pub fn config(devices: &Signer, server: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut anchors = RootCertStore::empty();
    anchors.add(CertificateDer::from(devices.certificate()))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(anchors.into(), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(server);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Who is at the other end of a connection, as its handshake has proved.
#[derive(Debug, Clone)]
pub struct Peer(Option<Arc<Identity>>);

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
        self.0.clone()
    }

    /// SHA-256 of the peer's public key, for the log.
    pub fn key(&self) -> Option<Sha256> {
        self.0.as_ref().map(|identity| identity.key)
    }

    /// Nobody, unless the certificate was issued by the device authority: not by any other that the handshake might trust one day.
    fn of(stream: &TlsStream<TcpStream>, authority: &str) -> Self {
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let read = leaf.and_then(|leaf| certificate::read(leaf).ok());
        let ours = read.filter(|certificate| certificate.issuer_common_name.as_deref() == Some(authority));
        Self(ours.map(|certificate| {
            let tenant = certificate.organization.unwrap_or_default();
            Arc::new(Identity { key: sha256(&certificate.public_key), tenant, not_after: certificate.not_after })
        }))
    }
}

/// What every connection needs.
pub struct Door {
    /// How handshakes are made; without, nobody at the other end is known, and nothing is secret.
    pub tls: Option<TlsAcceptor>,
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
        let Some(tls) = &self.tls else { return self.speak(stream, Peer(None)).await };
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
