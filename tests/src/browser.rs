//! A real Chromium, headless, in a mount namespace of its own in which `/etc/chromium` is the device's.
//!
//! Each visit is a fresh start of the browser on the same profile. Without a matching rule Chromium waits for ever on a dialog
//! that nobody sees, so a visit that does not end in time is a dialog that a person would have seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::Agent;

const BROWSER: &str = "/usr/lib/chromium/chromium";
const PATIENCE: Duration = Duration::from_secs(30);

/// The browser of one device's user.
pub struct Browser {
    home: PathBuf,
    profile: PathBuf,
    /// What the browser sees as `/etc/chromium`.
    settings: PathBuf,
    /// `host:443` of every site is answered here.
    port: u16,
}

/// What came of a visit.
#[derive(Debug, PartialEq, Eq)]
pub enum Visit {
    /// A page, as HTML.
    Page(String),
    /// A dialog that a person would have seen.
    Dialog,
}

impl Visit {
    /// True for a page that contains this.
    pub fn shows(&self, text: &str) -> bool {
        matches!(self, Self::Page(page) if page.contains(text))
    }
}

impl Browser {
    /// The browser on `agent`'s device, which reaches every site at `port` on this machine.
    pub fn on(agent: &Agent, port: u16) -> Result<Self> {
        ensure!(Path::new(BROWSER).is_file(), "{BROWSER} is missing: install the Debian package chromium");
        let home = agent.home();
        Ok(Self { profile: home.join("chromium-profile"), settings: agent.browser_settings(), home, port })
    }

    /// Has the browser trust an authority for web servers, as an administrator would.
    pub fn trust(&self, authority: &Path) -> Result<()> {
        let database = format!("sql:{}", self.database()?.display());
        let output = Command::new("certutil")
            .args(["-A", "-d", &database, "-n", "stand-in web authority", "-t", "C,,", "-i"])
            .arg(authority)
            .output()?;
        ensure!(output.status.success(), "certutil: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// The user's NSS database, made if there is none.
    fn database(&self) -> Result<PathBuf> {
        let folder = self.home.join(".local/share/pki/nssdb");
        if !folder.join("cert9.db").exists() {
            fs::create_dir_all(&folder)?;
            let database = format!("sql:{}", folder.display());
            let output =
                Command::new("certutil").args(["-N", "-d", &database, "--empty-password"]).output().context("certutil is missing")?;
            ensure!(output.status.success(), "certutil: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(folder)
    }

    /// Opens a page and gives what it says.
    pub fn visit(&self, url: &str) -> Result<Visit> {
        self.run(&["--dump-dom", url]).map(|page| page.map_or(Visit::Dialog, Visit::Page))
    }

    /// Opens a page and keeps a picture of it.
    pub fn picture(&self, url: &str, file: &Path) -> Result<()> {
        let screenshot = format!("--screenshot={}", file.display());
        self.run(&["--window-size=900,520", &screenshot, url])?.context("the browser waited on a dialog")?;
        ensure!(file.is_file(), "the browser took no picture");
        Ok(())
    }

    /// Runs the browser to its end; `None` if it waits on a dialog.
    fn run(&self, arguments: &[&str]) -> Result<Option<String>> {
        const FLAGS: [&str; 12] = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--hide-scrollbars",
            "--lang=ja",
        ];
        // Only root may mount without a user namespace of its own.
        let namespace: &[&str] = if is_root()? { &["-m"] } else { &["-r", "-m"] };
        let script = r#"mount --bind "$1" /etc/chromium && shift && exec "$@""#;
        let output = fs::File::create(self.home.join("page.html"))?;
        let mut child = Command::new("unshare")
            .args(namespace)
            .args(["--propagation", "private", "sh", "-c", script, "sh"])
            .arg(&self.settings)
            .arg(BROWSER)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", self.profile.display()))
            .arg(format!("--host-resolver-rules=MAP *:443 127.0.0.1:{}", self.port))
            .args(arguments)
            .env("HOME", &self.home)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(fs::File::create(self.home.join("chromium.log"))?)
            .spawn()
            .context("unshare (util-linux) is missing")?;
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                if !status.success() {
                    bail!("the browser ended with {status}:\n{}", fs::read_to_string(self.home.join("chromium.log"))?);
                }
                return Ok(Some(fs::read_to_string(self.home.join("page.html"))?));
            }
            if start.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn is_root() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    Ok(status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}
