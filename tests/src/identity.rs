//! A real OpenID provider on this machine (Canaille), over TLS, and a browser that fills its forms in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Process, find, free_ports, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
const PROVIDER: &str = include_str!("identity/provider.py");
const BROWSER: &str = include_str!("identity/browser.py");

/// The password of everybody whom it knows.
const PASSWORD: &str = "correct horse battery";
/// What it knows the client `tegata` by.
pub const SECRET: &str = "of the client: 100%";

/// A running provider. It knows `ito` and `sato`, who are in the group `staff`, and `yamada`. Ends when dropped.
pub struct Identity {
    folder: PathBuf,
    port: u16,
    back: u16,
    process: Option<Process>,
}

impl Identity {
    /// Starts one with a fresh certificate, and fresh keys to sign with.
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let at = |name: &str| folder.join(name).display().to_string();
        let names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
        let fresh =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=identity"];
        run_well(Path::new("openssl"), [&fresh[..], &names, &["-keyout", &at("tls.key"), "-out", &at("tls.pem")]].concat())?;
        fs::write(folder.join("secret"), format!("{SECRET}\n"))?;
        let [port, back] = free_ports(2)?[..] else { unreachable!("two were asked for") };
        let mut identity = Self { folder: folder.to_owned(), port, back, process: None };
        identity.resume()?;
        Ok(identity)
    }

    /// Ends it: nobody answers there any more.
    pub fn end(&mut self) {
        self.process = None;
    }

    /// Starts it again at the same address, with other keys to sign with.
    pub fn resume(&mut self) -> Result<()> {
        let back = format!("http://127.0.0.1:{}/", self.back);
        let mut command = Command::new(program()?);
        command.args(["-c", PROVIDER, &self.port.to_string(), &back, PASSWORD, SECRET]).current_dir(&self.folder);
        self.process = Some(Process::spawn(&mut command, &self.folder.join("provider.log"))?);
        let listens = || Ok(std::net::TcpStream::connect(("127.0.0.1", self.port)).ok().map(drop));
        wait_for(PATIENCE, "the provider to listen", listens)
            .with_context(|| fs::read_to_string(self.folder.join("provider.log")).unwrap_or_default())
    }

    /// What it calls itself.
    pub fn issuer(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The only port that it sends browsers back to.
    pub fn back(&self) -> String {
        self.back.to_string()
    }

    /// It as a server's file names it, for one tenant.
    pub fn document(&self, tenant: &str) -> String {
        let (issuer, folder) = (self.issuer(), self.folder.display());
        format!(
            "apiVersion: tegata.dev/v1alpha1\nkind: OpenIdProvider\nmetadata: {{ name: canaille }}\nspec:\n  tenants: [{tenant}]\n  issuer: {issuer}\n  \
             clientId: tegata\n  clientSecretFile: {folder}/secret\n  authorityFile: {folder}/tls.pem\n  scopes: [groups]\n  session: 5min\n"
        )
    }

    /// Signs somebody in with a browser; gives where the provider sends it then.
    pub fn sign_in(&self, address: &str, person: &str) -> Result<String> {
        self.browse(address, person, "accept")
    }

    /// The same of somebody who signs in and does not agree.
    pub fn deny(&self, address: &str, person: &str) -> Result<String> {
        self.browse(address, person, "deny")
    }

    fn browse(&self, address: &str, person: &str, answer: &str) -> Result<String> {
        let mut command = Command::new(program()?);
        let output = command.args(["-c", BROWSER, address, person, PASSWORD, answer]).current_dir(&self.folder).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "the browser: {said}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Goes where a browser is sent: to a port of this machine. Gives the page.
    pub fn arrive(&self, place: &str) -> Result<String> {
        let script = "import sys, httpx; print(httpx.get(sys.argv[1], timeout=60).text)";
        run_well(&program()?, ["-c", script, place])
    }
}

fn program() -> Result<PathBuf> {
    let python = find("peers").map(|peers| peers.join("canaille/bin/python")).filter(|path| path.exists());
    python.context("there is no OpenID provider in target/peers: run `cargo xtask test` once")
}
