//! A real OpenSSH server for SFTP, on this machine, that keeps everything in one folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Process, free_port, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);
/// Where Debian, Fedora and Arch keep it.
const SFTP_SERVERS: [&str; 3] = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];

/// A running SSH server. Ends when dropped; its folder stays.
pub struct Sshd {
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Sshd {
    /// Starts one with fresh keys: an Ed25519 and an RSA host key, and a key for whoever signs in.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, None)
    }

    /// The same, in which no file may grow beyond so many KiB: what a full disk or a quota does.
    pub fn start_with(folder: &Path, file_max_kib: Option<u32>) -> Result<Self> {
        fs::create_dir_all(folder.join("root"))?;
        for (kind, name) in [("ed25519", "host_ed25519"), ("rsa", "host_rsa"), ("ed25519", "id")] {
            let path = folder.join(name).display().to_string();
            run_well(Path::new("ssh-keygen"), ["-q", "-t", kind, "-N", "", "-f", &path])?;
        }
        fs::copy(folder.join("id.pub"), folder.join("authorized_keys"))?;
        // sshd separates its privileges there, and makes it only when a service manager starts it.
        let _ = fs::create_dir_all("/run/sshd");
        let mut sshd = Self { folder: folder.to_owned(), port: free_port()?, process: None };
        sshd.configure(file_max_kib)?;
        sshd.resume()?;
        Ok(sshd)
    }

    fn configure(&self, file_max_kib: Option<u32>) -> Result<()> {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let sftp = match file_max_kib {
            None => "internal-sftp".to_owned(),
            Some(kib) => {
                let server = SFTP_SERVERS.iter().find(|path| Path::new(path).exists()).context("there is no sftp-server")?;
                // A shell counts in blocks of 512 bytes (POSIX, ulimit).
                let script = format!("#!/bin/sh\ntrap '' XFSZ\nulimit -f {}\nexec {server}\n", kib * 2);
                fs::write(at("sftp"), script)?;
                fs::set_permissions(at("sftp"), fs::Permissions::from_mode(0o755))?;
                at("sftp")
            }
        };
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nHostKey {}\nPidFile {}\nAuthorizedKeysFile {}\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPubkeyAuthentication yes\nPermitRootLogin prohibit-password\nUsePAM no\nStrictModes no\n\
             LogLevel VERBOSE\nSubsystem sftp {sftp}\n",
            self.port,
            at("host_ed25519"),
            at("host_rsa"),
            at("sshd.pid"),
            at("authorized_keys"),
        );
        Ok(fs::write(at("sshd_config"), config)?)
    }

    /// Ends it: nobody answers there any more.
    pub fn end(&mut self) {
        self.process = None;
    }

    /// Starts it again at the same address, with the same keys.
    pub fn resume(&mut self) -> Result<()> {
        let config = self.folder.join("sshd_config");
        let arguments = ["-D".into(), "-e".into(), "-f".into(), config.into_os_string()];
        self.process = Some(Process::start(Path::new("/usr/sbin/sshd"), arguments, &self.folder.join("sshd.log"))?);
        wait_for(PATIENCE, "the SSH server to listen", || Ok(std::net::TcpStream::connect(("127.0.0.1", self.port)).ok().map(drop)))
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whom it lets in: whoever runs the test.
    pub fn user(&self) -> Result<String> {
        Ok(run_well(Path::new("id"), ["-un"])?.trim().to_owned())
    }

    /// The private key of who may sign in.
    pub fn key(&self) -> PathBuf {
        self.folder.join("id")
    }

    /// Its host key as policy pins it: `ed25519` or `rsa`.
    pub fn host_key(&self, kind: &str) -> Result<String> {
        let text = fs::read_to_string(self.folder.join(format!("host_{kind}.pub")))?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    /// The folder for backups.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// What it said.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join("sshd.log"))?)
    }
}
