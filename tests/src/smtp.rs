//! A real SMTP server (aiosmtpd, in a process of its own) that keeps what it is handed, so that tests can read it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = include_str!("smtp/sink.py");

/// A running SMTP server. Ends when dropped; what it was handed stays in its folder.
pub struct Sink {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Sink {
    /// Whom it lets in.
    pub const USER: &str = "tegata";
    /// With which password.
    pub const PASSWORD: &str = "合言葉 pw";

    /// Starts one that keeps letters in `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        make_certificate(folder)?;
        Self::start_at(folder.to_owned(), 0)
    }

    /// Ends it and starts it again at the same address.
    pub fn restart(mut self) -> Result<Self> {
        self.end();
        Self::start_at(self.folder.clone(), self.port)
    }

    /// Ends it; nobody listens any more.
    pub fn end(&mut self) {
        // Both fail only if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How a program is told to use it: STARTTLS, as [`Sink::USER`].
    pub fn url(&self) -> String {
        format!("smtp://{}@127.0.0.1:{}?tls=required", Self::USER, self.port)
    }

    /// The authority that its certificate comes from, PEM.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("sink.crt")
    }

    /// From now on every recipient is refused with this answer, such as `451 4.3.0 not now`; `None` takes them again.
    pub fn refuse(&self, answer: Option<&str>) -> Result<()> {
        self.switch("refuse", answer)
    }

    /// From now on letters are kept, but the connection ends before the answer.
    pub fn cut(&self, cuts: bool) -> Result<()> {
        self.switch("cut", cuts.then_some(""))
    }

    /// What it was handed so far, oldest first, as it came over the wire, with the envelope in front (`X-From`, `X-Rcpt`, `X-Tls`).
    pub fn letters(&self) -> Result<Vec<String>> {
        let file = |number: usize| self.folder.join(format!("{number}.eml"));
        let files = (1..).map(file).take_while(|file| file.exists());
        files.map(fs::read_to_string).collect()
    }

    fn switch(&self, name: &str, text: Option<&str>) -> Result<()> {
        let file = self.folder.join(name);
        match text {
            Some(text) => fs::write(file, text)?,
            None if file.exists() => fs::remove_file(file)?,
            None => {}
        }
        Ok(())
    }

    fn start_at(folder: PathBuf, port: u16) -> Result<Self> {
        let script = folder.join("sink.py");
        fs::write(&script, SCRIPT)?;
        let log = File::options().create(true).append(true).open(folder.join("sink.log"))?;
        let mut child = Command::new(python()?)
            .arg(script)
            .arg(port.to_string())
            .args([&folder, &folder.join("sink.crt"), &folder.join("sink.key")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let Ok(port) = line.trim().parse() else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::other(format!("the SMTP server did not start:\n{}", fs::read_to_string(folder.join("sink.log"))?)));
        };
        Ok(Self { child, folder, port })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.end();
    }
}

/// A Python that knows aiosmtpd: the system's own, where the Debian package put it, or the first in the path.
fn python() -> Result<&'static str> {
    let knows = |python: &&str| {
        let check = Command::new(python).args(["-c", "import aiosmtpd"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
        check.is_ok_and(|status| status.success())
    };
    let found = ["/usr/bin/python3", "python3"].into_iter().find(knows);
    found.ok_or_else(|| Error::other("aiosmtpd is missing: install the Debian package python3-aiosmtpd"))
}

/// A certificate for 127.0.0.1 that is its own authority.
fn make_certificate(folder: &Path) -> Result<()> {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=sink"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join("sink.key"))
        .arg("-out")
        .arg(folder.join("sink.crt"))
        .output()?;
    if output.status.success() { Ok(()) } else { Err(Error::other(String::from_utf8_lossy(&output.stderr).into_owned())) }
}
