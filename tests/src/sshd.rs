//! A real OpenSSH server, on this machine, that keeps everything in one folder. It can be many machines: one for each of its ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::linux;
use crate::process::{Process, free_ports, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);
/// The most ports of one server (MAX_LISTEN_SOCKS of its sshd.c).
const PORTS_MAX: usize = 16;

/// The kinds of host keys that an authority can sign for it.
const CERTIFIED: [&str; 3] = ["ed25519", "rsa", "ecdsa"];

/// A running SSH server. Ends when dropped; its folder stays.
pub struct Sshd {
    folder: PathBuf,
    ports: Vec<u16>,
    /// No file may grow beyond so many KiB.
    file_max_kib: Option<u32>,
    /// The folder that it shares with the test, if it runs on a Linux of its own.
    shared: Option<PathBuf>,
    processes: Vec<Process>,
}

impl Sshd {
    /// Starts one with fresh keys: an Ed25519 and an RSA host key, and a key for whoever signs in.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, None)
    }

    /// The same, in which no file may grow beyond so many KiB: what a full disk or a quota does.
    pub fn start_with(folder: &Path, file_max_kib: Option<u32>) -> Result<Self> {
        Self::start_as(folder, file_max_kib, 1)
    }

    /// The same as so many machines: each has a port and a home folder of its own, and all have the same keys.
    pub fn start_as(folder: &Path, file_max_kib: Option<u32>, machines: usize) -> Result<Self> {
        let mut sshd = Self::prepare(folder, machines)?;
        sshd.file_max_kib = file_max_kib;
        sshd.resume()?;
        Ok(sshd)
    }

    /// The same on a Linux of its own ([`linux`]): what is installed, started and ended there stays there. `shared` is there too, and
    /// `folder` is below it.
    pub fn start_on_linux(folder: &Path, shared: &Path) -> Result<Self> {
        let mut sshd = Self::prepare(folder, 1)?;
        sshd.shared = Some(shared.to_owned());
        sshd.resume()?;
        Ok(sshd)
    }

    fn prepare(folder: &Path, machines: usize) -> Result<Self> {
        fs::create_dir_all(folder.join("root"))?;
        for (kind, name) in [("ed25519", "host_ed25519"), ("rsa", "host_rsa"), ("ed25519", "id")] {
            let path = folder.join(name).display().to_string();
            run_well(Path::new("ssh-keygen"), ["-q", "-t", kind, "-N", "", "-f", &path])?;
        }
        fs::copy(folder.join("id.pub"), folder.join("authorized_keys"))?;
        // sshd separates its privileges there, and makes it only when a service manager starts it.
        let _ = fs::create_dir_all("/run/sshd");
        let ports = free_ports(machines)?;
        let sshd = Self { folder: folder.to_owned(), ports, file_max_kib: None, shared: None, processes: Vec::new() };
        sshd.configure()?;
        Ok(sshd)
    }

    /// One file for each server that it takes.
    fn configure(&self) -> Result<()> {
        let at = |name: &str| self.folder.join(name).display().to_string();
        for (server, ports) in self.ports.chunks(PORTS_MAX).enumerate() {
            let listened: String = ports.iter().map(|port| format!("Port {port}\n")).collect();
            let mut config = format!(
                "{listened}MaxStartups 500\nListenAddress 127.0.0.1\nHostKey {}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPubkeyAuthentication yes\nPermitRootLogin prohibit-password\n\
                 UsePAM no\nStrictModes no\nLogLevel VERBOSE\nSubsystem sftp internal-sftp\n",
                at("host_ed25519"),
                at("host_rsa"),
                at("authorized_keys"),
            );
            for kind in CERTIFIED.iter().filter(|kind| self.folder.join(format!("host_{kind}-cert.pub")).is_file()) {
                let key = at(&format!("host_{kind}"));
                config.push_str(&format!("HostKey {key}\nHostCertificate {key}-cert.pub\n"));
            }
            for (number, port) in ports.iter().enumerate() {
                let home = self.home(server * PORTS_MAX + number);
                fs::create_dir_all(&home)?;
                config.push_str(&format!("Match LocalPort {port}\n  SetEnv HOME={}\n", home.display()));
            }
            fs::write(at(&format!("sshd_config-{server}")), config)?;
        }
        Ok(())
    }

    /// Ends it: nobody answers there any more.
    pub fn end(&mut self) {
        self.processes.clear();
    }

    /// Starts it again at the same address, with the same keys.
    pub fn resume(&mut self) -> Result<()> {
        for (server, ports) in self.ports.chunks(PORTS_MAX).enumerate() {
            let config = self.folder.join(format!("sshd_config-{server}"));
            let mut arguments = vec!["/usr/sbin/sshd".into(), "-D".into(), "-e".into(), "-f".into(), config.into_os_string()];
            if let Some(kib) = self.file_max_kib {
                // A shell counts in blocks of 512 bytes (POSIX, ulimit).
                let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kib * 2);
                arguments.splice(0..0, ["/bin/sh".into(), "-c".into(), limited.into(), "sshd".into()]);
            }
            if let Some(shared) = &self.shared {
                arguments.splice(0..0, linux::prefix(shared, &self.home(0), &self.group()));
            }
            let program = PathBuf::from(arguments.remove(0));
            let mut process = Process::start(&program, arguments, &self.folder.join("sshd.log"))?;
            for port in ports {
                wait_for(PATIENCE, "the SSH server to listen", || {
                    ensure!(process.runs(), "the SSH server ended:\n{}", self.log()?);
                    Ok(std::net::TcpStream::connect(("127.0.0.1", *port)).ok().map(drop))
                })?;
            }
            self.processes.push(process);
        }
        Ok(())
    }

    /// The control group of its Linux, if it has one.
    fn group(&self) -> String {
        format!("tegata-linux-{}", self.port())
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Where each of its machines listens.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// The home folder on one of its machines.
    pub fn home(&self, machine: usize) -> PathBuf {
        self.folder.join(format!("home-{machine}"))
    }

    /// Gives it another Ed25519 host key, as a machine has that was set up anew, or an impostor.
    pub fn change_host_key(&mut self) -> Result<()> {
        self.end();
        let path = self.folder.join("host_ed25519");
        fs::remove_file(&path)?;
        run_well(Path::new("ssh-keygen"), ["-q", "-t", "ed25519", "-N", "", "-f", &path.display().to_string()])?;
        self.resume()
    }

    /// Has an authority sign one of its host keys, `ed25519`, `rsa` or a new `ecdsa` one, as `ssh-keygen` is told by `arguments`, and shows
    /// that certificate, and no other, from now on.
    pub fn certify(&mut self, authority: &Path, kind: &str, arguments: &[&str]) -> Result<()> {
        self.end();
        for kind in CERTIFIED {
            let _ = fs::remove_file(self.folder.join(format!("host_{kind}-cert.pub")));
        }
        let (authority, key) = (authority.display().to_string(), self.folder.join(format!("host_{kind}")).display().to_string());
        if !Path::new(&key).exists() {
            run_well(Path::new("ssh-keygen"), ["-q", "-t", kind, "-N", "", "-f", &key])?;
        }
        let public = format!("{key}.pub");
        let all = [&["-q", "-s", &*authority, "-I", "test"], arguments, &[&*public]].concat();
        run_well(Path::new("ssh-keygen"), all)?;
        self.configure()?;
        self.resume()
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

impl Drop for Sshd {
    fn drop(&mut self) {
        self.end();
        if self.shared.is_some() {
            // A group that stays is nobody's, and in nobody's way.
            let _ = linux::clear(&self.group());
        }
    }
}
