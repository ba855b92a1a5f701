//! What `enroll` was told, kept for every later start (`agent.json`).

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::disk::{self, DiskError};
use crate::state::State;

/// The settings of this agent. Fields are only added; a missing one has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The server, `https://host:port`.
    pub server: String,
    /// The tenant that the device belongs to.
    pub tenant: String,
    /// The device's name, `clinic/device`.
    pub device: String,
    /// The home folder of the user whose PC this is.
    pub home: PathBuf,
    /// Where browser policies go, if not to the browser's usual folders.
    #[serde(default)]
    pub browser_policies: Option<PathBuf>,
    /// What `browser` means in a profile's list of stores.
    #[serde(default)]
    pub keystore: KeystoreChoice,
    /// Probed hosts that are reached at another address.
    #[serde(default)]
    pub resolve: Vec<Resolve>,
    /// Roots, by SHA-256, that this PC's programs may be made to trust where policy pins them too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted_roots: Vec<String>,
}

impl Settings {
    /// Reads them; `None` if the PC is not enrolled.
    pub fn read(state: &State) -> Result<Option<Self>, DiskError> {
        disk::read_json(&state.settings())
    }

    /// Writes them, durably.
    pub fn write(&self, state: &State) -> Result<(), DiskError> {
        disk::write_json(&state.settings(), self)
    }
}

/// What `browser` means in a profile's list of stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum KeystoreChoice {
    /// The browser's own store, as soon as the tools for it are installed.
    #[default]
    Auto,
    /// The browser's NSS database; its tools have to be installed.
    Nss,
    /// Files: for PCs and servers without a browser.
    File,
}

/// "Reach this host and port at that address": for tests and demonstrations on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Resolve {
    /// The host name in the URL.
    pub host: String,
    /// The port in the URL.
    pub port: u16,
    /// Where it is reached.
    pub address: SocketAddr,
}

impl FromStr for Resolve {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not of the form HOST:PORT=ADDRESS:PORT, such as karte.example.jp:443=127.0.0.1:8443");
        let (site, address) = text.split_once('=').ok_or_else(wrong)?;
        let (host, port) = site.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() {
            return Err(wrong());
        }
        let (port, address) = (port.parse().map_err(|_| wrong())?, address.parse().map_err(|_| wrong())?);
        Ok(Self { host: host.to_ascii_lowercase(), port, address })
    }
}

impl fmt::Display for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}={}", self.host, self.port, self.address)
    }
}

impl From<Resolve> for String {
    fn from(resolve: Resolve) -> Self {
        resolve.to_string()
    }
}

impl TryFrom<String> for Resolve {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolve_is_read_as_it_is_written() {
        for text in ["karte.example.jp:443=127.0.0.1:8443", "karte.example.jp:8443=[::1]:9443"] {
            assert_eq!(text.parse::<Resolve>().unwrap().to_string(), text);
        }
        for text in ["karte.example.jp=127.0.0.1:1", "karte:443=localhost:1", ":443=127.0.0.1:1", "karte:443", ""] {
            assert!(text.parse::<Resolve>().is_err(), "{text}");
        }
    }

    #[test]
    fn settings_of_an_older_agent_are_read() {
        let old = r#"{"server":"https://a:1","tenant":"t","device":"c/d","home":"/home/u"}"#;
        let settings: Settings = serde_json::from_str(old).unwrap();
        assert_eq!((settings.keystore, settings.resolve.len()), (KeystoreChoice::Auto, 0));
    }
}
