//! Outbound mail: hands a letter in at the configured SMTP server, and tells whether trying again could help.

use std::fmt;
use std::time::Duration;

use lettre::address::AddressError;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, header};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use reqwest::Url;
use tegata_core::name::Mail;
use tegata_pki::key::sha256;
use tokio::time::timeout;
use zeroize::Zeroizing;

#[cfg(test)]
#[path = "../../../tests/src/smtp.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests; each uses a part of it")]
pub(crate) mod sink;
#[cfg(test)]
mod tests;

/// How long one step of the conversation may take.
const STEP_PATIENCE: Duration = Duration::from_secs(30);
/// How long a whole letter may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many connections are open at once: mail servers turn those away who come with many.
const CONNECTIONS_MAX: u32 = 4;
/// How long a connection waits for the next letter.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Where mail is handed in.
#[derive(Clone)]
pub struct MailSettings {
    /// `smtp://user@host:port` (STARTTLS is required; 587 unless said), `smtps://user@host` (TLS from the first byte; 465), or
    /// `smtp://127.0.0.1:25?tls=none` for a relay on this machine. Never with a password.
    pub url: String,
    /// The user's password.
    pub password: Option<Zeroizing<String>>,
    /// Whom letters come from: `tegata@example.jp`, or `Tegata <tegata@example.jp>`.
    pub from: String,
    /// The authority that the mail server's certificate comes from (PEM). `None`: those that this machine trusts.
    pub authority: Option<String>,
}

impl fmt::Debug for MailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailSettings").field("url", &self.url).field("from", &self.from).finish_non_exhaustive()
    }
}

/// What is mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Who gets it. All see each other.
    pub to: Vec<Mail>,
    /// What it is about. Line breaks and other control characters become blanks.
    pub subject: String,
    /// Plain text in any script.
    pub text: String,
    /// Becomes the Message-ID, so that a letter that is sent again is recognised.
    pub id: String,
}

/// Why mail cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The settings make no sense.
    #[error("the mail settings cannot be used: {0}")]
    Settings(String),
    /// The letter cannot be written as a mail.
    #[error("the letter cannot be mailed: {0}")]
    Letter(String),
    /// The mail server will not take this letter, however often it is asked (RFC 5321, section 4.2.1: 5yz).
    #[error("the mail server refused the letter: {0}")]
    Refused(String),
    /// It did not work this time: the mail server says so (4yz), it cannot be reached, or it does not let us in.
    #[error("the letter could not be handed in this time: {0}")]
    Passing(String),
}

impl MailError {
    /// True if the same letter will never be taken.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Passing(_))
    }
}

/// Sends letters. Clones share their connections.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Reads the settings. Connects to nobody yet. To be called inside a Tokio runtime: connections are kept by its tasks.
    ///
    /// # Errors
    /// [`MailError::Settings`].
    pub fn new(settings: &MailSettings) -> Result<Self, MailError> {
        let from = settings.from.parse().map_err(|_| {
            wrong("the sender is not a mail address; expected one such as tegata@example.jp, or 'Tegata <tegata@example.jp>'")
        })?;
        let place = Place::read(&settings.url)?;
        let tls = place.tls(settings.authority.as_deref())?;
        let pool = PoolConfig::new().max_size(CONNECTIONS_MAX).idle_timeout(IDLE_MAX);
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&place.host)
            .port(place.port)
            .tls(tls)
            .timeout(Some(STEP_PATIENCE))
            .pool_config(pool);
        let transport = match place.credentials(settings.password.as_ref())? {
            Some(credentials) => transport.credentials(credentials),
            None => transport,
        };
        Ok(Self { transport: transport.build(), from })
    }

    /// Hands a letter in.
    ///
    /// # Errors
    /// [`MailError`]. If it is [`MailError::Passing`], the letter may have been taken all the same: send it again with the same `id`.
    pub async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let message = self.write(letter)?;
        match timeout(PATIENCE, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(meaning(&error)),
            Err(_) => Err(MailError::Passing(format!("no answer within {} seconds", PATIENCE.as_secs()))),
        }
    }

    fn write(&self, letter: &Letter) -> Result<Message, MailError> {
        let unwritable = |error: &dyn fmt::Display| MailError::Letter(error.to_string());
        let address = |mail: &Mail| {
            let address: Result<Address, AddressError> = mail.as_str().parse();
            address.map(|address| Mailbox::new(None, address)).map_err(|_| MailError::Letter(format!("'{mail}' is not a mail address")))
        };
        let to = letter.to.iter().map(address).collect::<Result<Mailboxes, _>>()?;
        Message::builder()
            .from(self.from.clone())
            .mailbox(header::To::from(to))
            .subject(one_line(&letter.subject))
            .message_id(Some(format!("<{}@{}>", local_part(&letter.id), self.from.email.domain())))
            // RFC 3834, section 5: nobody's holiday notice answers this.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.clone())
            .map_err(|error| unwritable(&error))
    }
}

/// Where a mail server is, and how it is talked to.
struct Place {
    host: String,
    port: u16,
    user: Option<String>,
    secrecy: Secrecy,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    /// TLS from the first byte.
    Wrapped,
    /// STARTTLS, or nothing is said.
    Upgraded,
    /// None.
    Clear,
}

impl Place {
    fn read(url: &str) -> Result<Self, MailError> {
        let expected = "expected smtp://user@host:port, smtps://user@host, or smtp://127.0.0.1:25?tls=none for a relay on this machine";
        let url = Url::parse(url).map_err(|error| wrong(&format!("{error}; {expected}")))?;
        if url.password().is_some() {
            return Err(wrong("the URL holds a password; give it by TEGATA_SMTP_PASSWORD or by --smtp-password-file"));
        }
        let tls = url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect::<Vec<_>>();
        let tls: Vec<_> = tls.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let (secrecy, usual_port) = match (url.scheme(), tls.as_slice()) {
            ("smtps", []) => (Secrecy::Wrapped, 465),
            ("smtp", [] | [("tls", "required")]) => (Secrecy::Upgraded, 587),
            ("smtp", [("tls", "none")]) => (Secrecy::Clear, 25),
            _ => return Err(wrong(expected)),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong(expected))?;
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(decoded).transpose()?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(usual_port), user, secrecy })
    }

    fn tls(&self, authority: Option<&str>) -> Result<Tls, MailError> {
        let unusable = |error: lettre::transport::smtp::Error| wrong(&error.to_string());
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(authority) = authority {
            let authority = Certificate::from_pem(authority.as_bytes()).map_err(unusable)?;
            parameters =
                parameters.add_root_certificate(authority).certificate_store(lettre::transport::smtp::client::CertificateStore::None);
        }
        Ok(match self.secrecy {
            Secrecy::Wrapped => Tls::Wrapper(parameters.build().map_err(unusable)?),
            Secrecy::Upgraded => Tls::Required(parameters.build().map_err(unusable)?),
            Secrecy::Clear => Tls::None,
        })
    }

    fn credentials(&self, password: Option<&Zeroizing<String>>) -> Result<Option<Credentials>, MailError> {
        match (&self.user, password) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) if self.secrecy == Secrecy::Clear => {
                Err(wrong("a password is never sent in the clear; leave out tls=none, or the user"))
            }
            (Some(user), Some(password)) => Ok(Some(Credentials::new(user.clone(), password.to_string()))),
            (Some(_), None) => {
                Err(wrong("the URL names a user, but there is no password; set TEGATA_SMTP_PASSWORD or --smtp-password-file"))
            }
            (None, Some(_)) => Err(wrong("there is a password, but the URL names no user; write smtp://user@host")),
        }
    }
}

/// What an answer of the mail server means for the letter. Not being let in (RFC 4954, section 6: 530, 534, 535, 538) is about the
/// settings, not about the letter: it will be taken once they are mended.
fn meaning(error: &lettre::transport::smtp::Error) -> MailError {
    let code = error.status().map(u16::from);
    match code {
        Some(530 | 534 | 535 | 538) => MailError::Passing(format!("{error}; check the user and the password of the mail server")),
        _ if error.is_permanent() => MailError::Refused(error.to_string()),
        _ => MailError::Passing(error.to_string()),
    }
}

fn wrong(what: &str) -> MailError {
    MailError::Settings(what.to_owned())
}

/// Undoes percent-encoding, with which a user such as `a@b` is written in a URL.
fn decoded(text: &str) -> Result<String, MailError> {
    let bytes = percent_encoding::percent_decode_str(text);
    bytes.decode_utf8().map(String::from).map_err(|_| wrong("the user in the URL is not UTF-8"))
}

/// Nothing in a header may begin a line of its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An id as the left side of a Message-ID: as it is if it may stand there, else its digest.
fn local_part(id: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=64).contains(&id.len()) && id.bytes().all(fits) { id.to_owned() } else { sha256(id.as_bytes()).to_string() }
}
