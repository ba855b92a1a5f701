//! The HTTP client that the agent and the command line share.
//!
//! TLS 1.3 and HTTP/1.1 only. It trusts the authorities it is given and no others, follows no redirects, uses no proxy,
//! and never resumes a session, so that a device shows its certificate on every connection.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tegata_core::name::Sha256;

use crate::v1::problem::Problem;

#[cfg(test)]
mod tests;
mod tls;

pub use tls::fault as tls_fault;

/// How long a connection may take to be made.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long an ordinary answer may take, from the first byte sent to the last byte read.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: a broken server must not fill the memory of a clinic's PC.
const ANSWER_MAX: usize = 32 << 20;

/// Why a call did not bring an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no, and why.
    #[error("{}", .0.title)]
    Refused(Box<Problem>),
    /// The server could not be reached, or broke off. Trying again later may help.
    #[error("cannot reach {server}: {trouble}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What that most likely means, and what to do.
        trouble: Trouble,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered something that is not of this protocol.
    #[error("{server} answered something unexpected (HTTP status {status}); is it a Tegata server of this version?")]
    Unexpected {
        /// Its address.
        server: String,
        /// The HTTP status code.
        status: u16,
    },
    /// Certificates or keys that were given to the client cannot be used.
    #[error("cannot set up the connection: {0}")]
    Setup(String),
    /// There is no connection, and what was asked is not in the file that stands for it. Somebody carries the question to the server.
    #[error("this waits for the server: take the answer file to your administrator, and bring back a new bundle")]
    Carried,
}

/// What a failed connection most likely means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing answered in time.
    TimedOut,
    /// No connection was made: wrong address, no network, nothing listening, or a firewall.
    NoConnection,
    /// The server's certificate does not come from an authority that is trusted here.
    WrongAuthority,
    /// The server's certificate is for another host name.
    WrongHost,
    /// The server's certificate is not valid now. Most often it is the clock of this machine that is wrong.
    WrongTime,
    /// The server did not accept the certificate that this device showed.
    NotAccepted,
    /// TLS failed for another reason: an old server, or something between that opens encrypted connections.
    Handshake,
    /// The connection was made and then broke.
    BrokeOff,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "no answer in time; check the network, or try again later",
            Self::NoConnection => "no connection could be made; check the address, the network and the firewall",
            Self::WrongAuthority => {
                "its certificate does not come from the expected authority; check the address, and whether something on the way opens encrypted connections"
            }
            Self::WrongHost => "its certificate is for another host name; use the name that the server was set up with",
            Self::WrongTime => "its certificate is not valid at this time; check the clock of this machine first",
            Self::NotAccepted => "it does not accept this device's certificate; the device may have been revoked, and has to be enrolled again",
            Self::Handshake => "no encrypted connection could be agreed on; both sides need TLS 1.3",
            Self::BrokeOff => "the connection broke off; try again later",
        })
    }
}

/// Whom the client shows itself as.
pub enum Credentials {
    /// Nobody: for enrolment.
    None,
    /// A person's or a program's bearer token.
    Token(String),
    /// A device: certificate chain (DER, leaf first) and PKCS#8 key (DER), over mutual TLS. The key is wiped once it is loaded.
    Device(Vec<Vec<u8>>, Vec<u8>),
}

/// A connection to one server. Cloning is cheap and shares the open connections.
#[derive(Clone)]
pub struct Client {
    server: String,
    http: reqwest::Client,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// Talks to `server` (`https://host:port`), trusting exactly the authorities in `authorities` (PEM).
    ///
    /// # Errors
    /// [`ClientError::Setup`] if the address, the authorities or the credentials cannot be used.
    pub fn new(server: &str, authorities: &str, credentials: Credentials) -> Result<Self, ClientError> {
        let verifier = tls::trusting(authorities)?;
        match credentials {
            Credentials::None => Self::over(server, tls::anonymous(verifier)?, None),
            Credentials::Token(token) => Self::over(server, tls::anonymous(verifier)?, Some(bearer(&token)?)),
            Credentials::Device(chain, key) => Self::over(server, tls::device(verifier, chain, key.into())?, None),
        }
    }

    /// Talks to `server`, trusting it if its chain holds a certificate with this SHA-256 of its DER and its own certificate comes
    /// from that one: for enrolment, before any authority is known.
    ///
    /// The server has to send that certificate along, even if it is a root.
    ///
    /// # Errors
    /// [`ClientError::Setup`] if the address cannot be used.
    pub fn pinned(server: &str, authority_sha256: Sha256) -> Result<Self, ClientError> {
        Self::over(server, tls::anonymous(tls::pinned(authority_sha256))?, None)
    }

    /// Asks for what stands at `path`.
    ///
    /// # Errors
    /// Everything but [`ClientError::Setup`].
    pub async fn get<Answer: DeserializeOwned>(&self, path: &str) -> Result<Answer, ClientError> {
        let answer = self.send(self.request(Method::GET, path), ANSWER_PATIENCE).await?;
        self.understood(&answer)
    }

    /// Asks for what stands at `path`, as it is.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        Ok(self.send(self.request(Method::GET, path), ANSWER_PATIENCE).await?.body)
    }

    /// Asks for what stands at `path`, and gives each line of the answer to `take` as it comes. An answer that is cut off is an error.
    ///
    /// # Errors
    /// As [`get`](Self::get), and whatever `take` finds wrong.
    pub async fn get_lines<E: From<ClientError>>(
        &self,
        path: &str,
        patience: Duration,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let unreachable = |source| ClientError::Unreachable { server: self.server.clone(), trouble: trouble(&source), source };
        let mut response = self.request(Method::GET, path).timeout(patience).send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(self.unsuccessful(response).await.into());
        }
        let mut rest: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if rest.len() + chunk.len() > ANSWER_MAX {
                return Err(self.unexpected(&response).into());
            }
            rest.extend_from_slice(&chunk);
            let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            rest[..end].split_inclusive(|byte| *byte == b'\n').try_for_each(|line| take(&line[..line.len() - 1]))?;
            rest.drain(..end);
        }
        if rest.is_empty() { Ok(()) } else { Err(self.unexpected(&response).into()) }
    }

    /// As [`get`](Self::get), but waits up to `patience` and gives `None` for 204.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_held<Answer: DeserializeOwned>(&self, path: &str, patience: Duration) -> Result<Option<Answer>, ClientError> {
        let answer = self.send(self.request(Method::GET, path), patience).await?;
        if answer.status == StatusCode::NO_CONTENT { Ok(None) } else { self.understood(&answer).map(Some) }
    }

    /// Sends `body` to `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post<Body: Serialize + Sync, Answer: DeserializeOwned>(&self, path: &str, body: &Body) -> Result<Answer, ClientError> {
        self.post_within(path, body, ANSWER_PATIENCE).await
    }

    /// [`post`](Self::post), but waits as long as `patience`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post_within<Body: Serialize + Sync, Answer: DeserializeOwned>(
        &self,
        path: &str,
        body: &Body,
        patience: Duration,
    ) -> Result<Answer, ClientError> {
        let answer = self.send(self.request(Method::POST, path).json(body), patience).await?;
        self.understood(&answer)
    }

    /// Sends `body` to `path`, where the answer is empty.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn tell<Body: Serialize + Sync>(&self, path: &str, body: &Body) -> Result<(), ClientError> {
        self.send(self.request(Method::POST, path).json(body), ANSWER_PATIENCE).await.map(drop)
    }

    fn over(server: &str, config: rustls::ClientConfig, authorization: Option<HeaderValue>) -> Result<Self, ClientError> {
        let server = server_address(server)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_PATIENCE)
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(concat!("tegata/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Setup(error.to_string()))?;
        Ok(Self { server, http, authorization })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.server));
        match &self.authorization {
            Some(value) => request.header(reqwest::header::AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// Sends, and reads the whole answer. Anything but success becomes an error.
    async fn send(&self, request: RequestBuilder, patience: Duration) -> Result<Received, ClientError> {
        let unreachable = |source| ClientError::Unreachable { server: self.server.clone(), trouble: trouble(&source), source };
        let response = request.timeout(patience).send().await.map_err(unreachable)?;
        let received = self.received(response).await?;
        if received.status.is_success() { Ok(received) } else { Err(self.refused(&received)) }
    }

    async fn unsuccessful(&self, response: Response) -> ClientError {
        match self.received(response).await {
            Ok(received) => self.refused(&received),
            Err(error) => error,
        }
    }

    async fn received(&self, mut response: Response) -> Result<Received, ClientError> {
        let unreachable = |source| ClientError::Unreachable { server: self.server.clone(), trouble: trouble(&source), source };
        let mut received = Received { status: response.status(), body: Vec::new() };
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if received.body.len() + chunk.len() > ANSWER_MAX {
                return Err(self.unexpected(&response));
            }
            received.body.extend_from_slice(&chunk);
        }
        Ok(received)
    }

    fn refused(&self, received: &Received) -> ClientError {
        match serde_json::from_slice(&received.body) {
            Ok(problem) => ClientError::Refused(Box::new(problem)),
            Err(_) => ClientError::Unexpected { server: self.server.clone(), status: received.status.as_u16() },
        }
    }

    fn unexpected(&self, response: &Response) -> ClientError {
        ClientError::Unexpected { server: self.server.clone(), status: response.status().as_u16() }
    }

    fn understood<Answer: DeserializeOwned>(&self, received: &Received) -> Result<Answer, ClientError> {
        serde_json::from_slice(&received.body)
            .map_err(|_| ClientError::Unexpected { server: self.server.clone(), status: received.status.as_u16() })
    }
}

/// An answer that was read to its end.
struct Received {
    status: StatusCode,
    body: Vec<u8>,
}

/// Takes `https://host` or `https://host:port`, and drops a slash at the end.
fn server_address(server: &str) -> Result<String, ClientError> {
    let address = server.trim_end_matches('/');
    let wrong = || ClientError::Setup(format!("'{server}' is not a server address; write https://host:port"));
    let url = reqwest::Url::parse(address).map_err(|_| wrong())?;
    let bare =
        url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    // The parser would drop line breaks without a word.
    let printable = address.chars().all(|c| c.is_ascii_graphic());
    if url.scheme() == "https" && bare && printable { Ok(address.to_owned()) } else { Err(wrong()) }
}

fn bearer(token: &str) -> Result<HeaderValue, ClientError> {
    let wrong = |_| ClientError::Setup("the access token holds characters that no token has; copy it again".into());
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(wrong)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads out of an error what it most likely means.
fn trouble(error: &reqwest::Error) -> Trouble {
    if let Some(fault) = tls::fault(error) {
        return tls::meaning(fault);
    }
    if error.is_timeout() {
        Trouble::TimedOut
    } else if error.is_connect() {
        Trouble::NoConnection
    } else {
        Trouble::BrokeOff
    }
}
