//! From an address to a session: connect, compare the key, sign in.

use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ssh2::MethodType;
use zeroize::Zeroizing;

use crate::certificate;
use crate::tunnel;
use crate::{HostKey, Identity, Session, SshError, Trouble};

/// Where a host listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What somebody signs in with.
#[derive(Clone)]
pub enum Credential {
    /// A private key, as `ssh-keygen` writes it.
    Key {
        /// The file.
        file: PathBuf,
        /// What it is encrypted with.
        passphrase: Option<Zeroizing<String>>,
    },
    /// A key that the agent of this machine keeps (`SSH_AUTH_SOCK`).
    Agent,
    /// A password.
    Password(Zeroizing<String>),
}

/// A host that has shown its key. Nothing was sent to it yet that it could use.
pub struct Greeted {
    session: ssh2::Session,
    shown: HostKey,
    place: Address,
    patience: Duration,
}

/// A host that is the one that is expected.
pub struct Trusted(Greeted);

/// Connects, directly or through a session with a machine that stands before it. What is expected is asked for first, so that a host with
/// several keys shows one of those; certificates are asked for only where authorities are expected. `patience` is the longest silence.
///
/// # Errors
/// [`SshError`], if nobody is there.
pub fn greet(place: &Address, expected: &Identity, patience: Duration, through: Option<Session>) -> Result<Greeted, SshError> {
    let mut session = ssh2::Session::new().map_err(|error| SshError::ssh("beginning an SSH session", error))?;
    session.set_timeout(milliseconds(patience));
    match through {
        None => session.set_tcp_stream(dial(place, patience)?),
        Some(near) => session.set_tcp_stream(tunnel::open(near, place)?),
    }
    let greeted = prefer(&session, expected).and_then(|()| session.handshake());
    greeted.map_err(|error| SshError::ssh(format!("greeting {place}"), error))?;
    let shown = session.host_key().and_then(|(key, _)| HostKey::of(key).ok());
    let shown = shown.ok_or_else(|| SshError::new(Trouble::Broken, format!("{place} shows no key")))?;
    Ok(Greeted { session, shown, place: place.clone(), patience })
}

impl Greeted {
    /// The key that it has proven to have.
    pub fn shown(&self) -> &HostKey {
        &self.shown
    }

    /// Goes on only if it is what is expected.
    ///
    /// # Errors
    /// [`Trouble::WrongHostKey`].
    pub fn trust(self, expected: &Identity) -> Result<Trusted, SshError> {
        let wrong = match expected {
            Identity::Keys(keys) if keys.contains(&self.shown) => return Ok(Trusted(self)),
            Identity::Keys(_) => format!("it shows another host key ({}) than policy pins", self.shown.fingerprint()),
            Identity::Authorities(authorities) => match certificate::check(&self.shown, authorities, &self.place.host, SystemTime::now()) {
                Ok(()) => return Ok(Trusted(self)),
                Err(why) => why.to_string(),
            },
        };
        Err(SshError::new(Trouble::WrongHostKey, format!("{}: {wrong}; nothing was sent to it", self.place)))
    }
}

impl Trusted {
    /// Signs in.
    ///
    /// # Errors
    /// [`Trouble::SignIn`] if it does not let us in, [`Trouble::NoCredentials`] if there is nothing to show.
    pub fn sign_in(self, user: &str, credential: &Credential) -> Result<Session, SshError> {
        let Greeted { session, place, patience, .. } = self.0;
        let signed_in = match credential {
            Credential::Key { file, .. } if !file.is_file() => {
                return Err(SshError::new(Trouble::NoCredentials, format!("{} is not there", file.display())));
            }
            Credential::Key { file, passphrase } => {
                session.userauth_pubkey_file(user, None, file, passphrase.as_ref().map(|passphrase| passphrase.as_str()))
            }
            Credential::Agent => return by_agent(&session, user, &place).map(|()| Session::new(session, place, patience)),
            Credential::Password(password) => session.userauth_password(user, password),
        };
        signed_in.map_err(|error| SshError::ssh(format!("signing in to {place} as {user}"), error))?;
        Ok(Session::new(session, place, patience))
    }
}

/// Shows each key of the SSH agent until one is taken.
fn by_agent(session: &ssh2::Session, user: &str, place: &Address) -> Result<(), SshError> {
    let no_agent = |error: ssh2::Error| SshError::because(Trouble::NoCredentials, "asking the SSH agent", io::Error::from(error));
    let mut agent = session.agent().map_err(no_agent)?;
    agent.connect().map_err(no_agent)?;
    agent.list_identities().map_err(no_agent)?;
    let keys = agent.identities().map_err(no_agent)?;
    let mut refused = SshError::new(Trouble::NoCredentials, "the SSH agent has no key");
    for key in keys {
        match agent.userauth(user, &key) {
            Ok(()) => return Ok(()),
            Err(error) => refused = SshError::ssh(format!("signing in to {place} as {user}"), error),
        }
    }
    Err(refused)
}

fn dial(place: &Address, patience: Duration) -> Result<TcpStream, SshError> {
    let unreachable = |error| SshError::because(Trouble::Unreachable, format!("connecting to {place}"), error);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (place.host.as_str(), place.port).to_socket_addrs().map_err(unreachable)? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(unreachable(last))
}

/// Asks for the kinds of keys that are expected first.
fn prefer(session: &ssh2::Session, expected: &Identity) -> Result<(), ssh2::Error> {
    let known = session.supported_algs(MethodType::HostKey)?;
    let (certified, plain): (Vec<&str>, Vec<&str>) = known.iter().partition(|name| name.ends_with(certificate::SUFFIX));
    let wished = match expected {
        Identity::Keys(keys) => {
            let (first, rest): (Vec<&str>, Vec<&str>) = plain.iter().partition(|name| keys.iter().any(|key| is_of(key, name)));
            [first, rest].concat()
        }
        // A host without a certificate shows its key: then it can be said what is wrong.
        Identity::Authorities(_) => certified.into_iter().filter(|name| *name != certificate::SHA1).chain(plain).collect(),
    };
    session.method_pref(MethodType::HostKey, &wished.join(","))
}

/// Whether a key signs under this name; an RSA key does under newer names (RFC 8332).
fn is_of(key: &HostKey, name: &str) -> bool {
    name == key.algorithm() || (key.algorithm() == "ssh-rsa" && name.starts_with("rsa-sha2-"))
}

pub(crate) fn milliseconds(span: Duration) -> u32 {
    // libssh2 takes 0 for "for ever".
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX).max(1)
}
