//! `tegata login` and `tegata logout`: sessions of people whom an OpenID provider knows.

mod answer;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use data_encoding::BASE64URL_NOPAD;
use tegata_api::client::{Client, ClientError, Credentials};
use tegata_api::v1::fleet::Access;
use tegata_api::v1::problem::Code;
use tegata_api::v1::sign_in::{Begin, Begun, Finish, SignedIn};
use tegata_core::name::{ProviderName, Sha256};
use tegata_core::time::MINUTE;
use tegata_pki::key::{random, sha256};
use tegata_server::sessions;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::backup::write_new;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::session::{self, Session};
use crate::{moment, output};

/// How long somebody may take in the browser: as long as the server keeps the sign-in open.
const PATIENCE: Duration = MINUTE.saturating_mul(10);

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The port is taken, or there is none.
    #[error("cannot listen on 127.0.0.1 for the provider's answer")]
    Listen(#[source] std::io::Error),
    /// Nobody came back.
    #[error("nobody signed in within ten minutes")]
    TooLate,
    /// The provider says no.
    #[error("the provider says no: {0}")]
    Refused(String),
    /// Somebody else has answered.
    #[error("the answer is not from {0}")]
    Issuer(String),
    /// The address is none.
    #[error("the server named no https address of a provider")]
    Address,
    /// The file is another's.
    #[error("{} is no session, and is left as it is", .0.display())]
    NoSession(PathBuf),
}

/// Sign in with an OpenID provider of the tenant. Prints an address to open in a browser on this machine
///
/// The access file with the session's token (~/.local/state/tegata/login.json, or where --access says) is used by every command from then on.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata login -n aozora --server https://tegata.example.jp:8443 --authority-sha256 5E1C0DDEE1A2B3C4D5E6F708192A3B4C5E1C0DDEE1A2B3C4D5E6F708192A3B4C\n  $ tegata login\n\nThe hash is what `tegata enroll code` prints. Without --server it is the server and the tenant of the access file: to sign in again."
)]
pub struct Login {
    /// The server, such as https://tegata.example.jp:8443
    #[arg(long, value_name = "URL", requires = "authority_sha256")]
    server: Option<String>,
    /// SHA-256 of the authority that the server's certificate comes from
    #[arg(long, value_name = "HASH", requires = "server")]
    authority_sha256: Option<Sha256>,
    /// With which provider, if the tenant has several
    #[arg(long, value_name = "NAME")]
    provider: Option<ProviderName>,
    /// The port of 127.0.0.1 that the browser comes back to, for providers that have to know it; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    port: u16,
    /// Open no browser, also on a terminal
    #[arg(long)]
    no_browser: bool,
}

/// End the session that `tegata login` began, and remove its access file
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata logout")]
pub struct Logout {}

impl Login {
    /// Signs in.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let file = global.access.clone().unwrap_or_else(session::login_file);
        expect_ours(&file)?;
        let (client, server) = self.client(global)?;
        let path = format!("/v1/tenants/{}/sign-in", session::tenant(global));
        let signed_in = self.sign_in(&client, &path).await?;
        let access =
            Access { server, authority: signed_in.authority, token: signed_in.token, tenant: Some(session::tenant(global).to_string()) };
        keep(&file, output::json(&access)?.as_bytes()).map_err(|source| Failure::Keep { path: file.clone(), source })?;
        output::show(global, &signed_in.session, |look| {
            let (session, path) = (&signed_in.session, file.display());
            let until = moment::with_distance(session.expires_at, look.now, &look.zone);
            format!("Signed in as {} of {} until {until}; {path} is used from now on.", session.subject, session.issuer)
        })?;
        Ok(Exit::Fine)
    }

    fn client(&self, global: &Global) -> Result<(Client, String), Failure> {
        if let (Some(server), Some(authority)) = (&self.server, self.authority_sha256) {
            return Ok((Client::pinned(server, authority)?, server.trim_end_matches('/').to_owned()));
        }
        let Access { server, authority, .. } = session::read_access(&session::access_file(global))?;
        Ok((Client::new(&server, &authority, Credentials::None)?, server))
    }

    async fn sign_in(&self, client: &Client, path: &str) -> Result<SignedIn, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.map_err(LoginError::Listen)?;
        let port = listener.local_addr().map_err(LoginError::Listen)?.port();
        let (state, verifier) = (text(&random::<32>()), text(&random::<32>()));
        let begin = Begin {
            provider: self.provider.as_ref().map(ToString::to_string),
            port,
            state: state.clone(),
            challenge: text(&sha256(verifier.as_bytes()).0),
        };
        let begun: Begun = client.post(path, &begin).await?;
        self.show(&begun.address)?;
        let code = timeout(PATIENCE, answer::code(&listener, &state, &begun.issuer)).await.map_err(|_| LoginError::TooLate)??;
        Ok(client.post(&format!("{path}/finish"), &Finish { ticket: begun.ticket, code, verifier }).await?)
    }

    /// Says where to sign in; on a terminal a browser is asked to open it.
    fn show(&self, address: &str) -> Result<(), Failure> {
        // It is handed to another program: nothing but one plain address is.
        if !address.starts_with("https://") || !address.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LoginError::Address.into());
        }
        eprintln!("Open this in a browser on this machine / このPCのブラウザーで開いてください:\n\n  {address}\n");
        if !self.no_browser && std::io::stderr().is_terminal() {
            open(address);
        }
        Ok(())
    }
}

impl Logout {
    /// Ends the session.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let file = session::access_file(global);
        expect_ours(&file)?;
        let session = Session::open(global)?;
        match session.tell("sign-out", &()).await {
            Ok(()) => {}
            Err(failure) if is_over(&failure) => {}
            Err(failure) => return Err(failure),
        }
        fs::remove_file(&file).map_err(|source| Failure::Keep { path: file, source })?;
        output::confirm(global, "Signed out.")?;
        Ok(Exit::Fine)
    }
}

/// True if the server says that there is no such session any more. Whatever else it says, the session may go on, and the file is what ends it.
fn is_over(failure: &Failure) -> bool {
    matches!(failure, Failure::Server(ClientError::Refused(problem)) if problem.code == Code::Unauthorized)
}

/// A file that holds something else than a session is never written over, or removed.
fn expect_ours(file: &Path) -> Result<(), Failure> {
    if !file.exists() || session::read_access(file)?.token.starts_with(sessions::PREFIX) {
        Ok(())
    } else {
        Err(LoginError::NoSession(file.into()).into())
    }
}

/// Puts a file there whole, so that nobody else may read it at any time.
fn keep(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = file.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&new, bytes)?;
    fs::rename(&new, file)
}

/// Asks the system for its browser. Whether there is one does not matter: the address was printed.
fn open(address: &str) {
    let (program, before): (&str, &[&str]) = if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else if cfg!(target_os = "macos") {
        ("open", &[])
    } else {
        ("xdg-open", &[])
    };
    let _ = Command::new(program).args(before).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

fn text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use tegata_api::v1::problem::Problem;

    use super::*;

    #[test]
    fn a_session_is_over_only_if_the_server_says_so() {
        let said = |code, status| {
            let problem = serde_json::json!({ "status": status, "code": code, "title": "no" });
            let problem: Problem = serde_json::from_value(problem).unwrap();
            is_over(&Failure::Server(ClientError::Refused(Box::new(problem))))
        };
        assert!(said("unauthorized", 401));
        for (code, status) in [("busy", 503), ("internal", 500), ("conflict", 409), ("not-found", 404)] {
            assert!(!said(code, status), "{code}");
        }
    }
}
