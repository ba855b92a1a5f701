//! The HTTP client that the agent and the command line share.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::v1::problem::Problem;

/// Why a call did not bring an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no, and why.
    #[error("{}", .0.title)]
    Refused(Box<Problem>),
    /// The server could not be reached, or broke off. Trying again later may help.
    #[error("cannot reach {server}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered something that is not of this protocol.
    #[error("{server} answered something unexpected ({status})")]
    Unexpected {
        /// Its address.
        server: String,
        /// The HTTP status code.
        status: u16,
    },
    /// Certificates or keys that were given to the client cannot be used.
    #[error("cannot set up the connection: {0}")]
    Setup(String),
}

/// Whom the client shows itself as.
pub enum Credentials {
    /// Nobody: for enrolment.
    None,
    /// A person's or a program's bearer token.
    Token(String),
    /// A device: certificate chain (DER, leaf first) and PKCS#8 key (DER), over mutual TLS.
    Device(Vec<Vec<u8>>, Vec<u8>),
}

/// A connection to one server.
#[derive(Clone)]
pub struct Client {
    server: String,
    http: reqwest::Client,
    token: Option<String>,
}

impl Client {
    /// Talks to `server` (`https://host:port`), trusting exactly the authorities in `authorities` (PEM).
    pub fn new(server: &str, authorities: &str, credentials: Credentials) -> Result<Self, ClientError> {
        let _ = (server, authorities, credentials);
        todo!()
    }

    /// Talks to `server`, trusting it if its chain holds a certificate with this SHA-256 of its DER: for enrolment, before any authority is known.
    pub fn pinned(server: &str, authority_sha256: tegata_core::name::Sha256) -> Result<Self, ClientError> {
        let _ = (server, authority_sha256);
        todo!()
    }

    /// Asks for what stands at `path`.
    pub async fn get<Answer: DeserializeOwned>(&self, path: &str) -> Result<Answer, ClientError> {
        let _ = (&self.server, &self.http, &self.token, path);
        todo!()
    }

    /// As [`get`](Self::get), but waits up to `patience` and gives `None` for 204.
    pub async fn get_held<Answer: DeserializeOwned>(
        &self,
        path: &str,
        patience: std::time::Duration,
    ) -> Result<Option<Answer>, ClientError> {
        let _ = (path, patience);
        todo!()
    }

    /// Sends `body` to `path`.
    pub async fn post<Body: Serialize + Sync, Answer: DeserializeOwned>(&self, path: &str, body: &Body) -> Result<Answer, ClientError> {
        let _ = (path, body);
        todo!()
    }

    /// Sends `body` to `path`, where the answer is empty.
    pub async fn tell<Body: Serialize + Sync>(&self, path: &str, body: &Body) -> Result<(), ClientError> {
        let _ = (path, body);
        todo!()
    }
}
