//! A real PostgreSQL server, thrown away with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Process, free_port, run, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a server may not be without, and what keeps it small.
const SETTINGS: &str = "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\nmax_connections = 200\nshared_buffers = 64MB\n\
    dynamic_shared_memory_type = mmap\n";

/// A running server. Ends when dropped.
pub struct Postgres {
    port: u16,
    process: Option<Process>,
    made: AtomicU32,
    folder: TempDir,
}

impl Postgres {
    /// Starts one with these settings after the usual ones.
    ///
    /// # Errors
    /// There is no PostgreSQL on this machine, or it does not start.
    pub fn start(settings: &str) -> Result<Self> {
        let mut server = Self::prepare(settings)?;
        server.start_again()?;
        Ok(server)
    }

    /// Starts one that speaks TLS as `localhost`, and gives the certificate that it shows.
    ///
    /// # Errors
    /// As of [`Postgres::start`].
    pub fn start_with_tls() -> Result<(Self, PathBuf)> {
        let mut server = Self::prepare("ssl = on\n")?;
        let data = server.folder.path().join("data");
        let mut make = as_user(Path::new("openssl"));
        make.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]);
        make.args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]);
        let made = make.arg("-keyout").arg(data.join("server.key")).arg("-out").arg(data.join("server.crt")).output()?;
        ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
        server.start_again()?;
        let shown = server.folder.path().join("shown.crt");
        fs::copy(data.join("server.crt"), &shown)?;
        Ok((server, shown))
    }

    fn prepare(settings: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tegata-postgres-").tempdir()?;
        if is_root() {
            // It runs as nobody else but its own user.
            ensure!(run(Path::new("chown"), ["postgres".as_ref(), folder.path()])?.status.success(), "there is no user postgres");
        }
        let data = folder.path().join("data");
        let mut init = as_its_user("initdb")?;
        init.arg("-D").arg(&data).args(["-U", "tegata", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]);
        let made = init.output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port()?;
        let own = format!("listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n", folder.path().display());
        fs::write(data.join("postgresql.conf"), [SETTINGS, &own, settings].concat())?;
        Ok(Self { port, process: None, made: AtomicU32::new(0), folder })
    }

    /// The one that tests of this program share. It ends with the last of them that uses it.
    ///
    /// # Errors
    /// As of [`Postgres::start`].
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start("")?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// The address of a new database in it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new_database(&self) -> Result<String> {
        let name = format!("tegata_{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.ask("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(format!("postgres://tegata@127.0.0.1:{}/{name}", self.port))
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `psql` answers: rows by lines, columns divided by `|`.
    ///
    /// # Errors
    /// The server refuses.
    pub fn ask(&self, database: &str, sql: &str) -> Result<String> {
        let port = self.port.to_string();
        let arguments =
            ["-h", "127.0.0.1", "-p", &port, "-U", "tegata", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, database];
        let said = run(Path::new("psql"), arguments)?;
        ensure!(said.status.success(), "{sql}: {}", String::from_utf8_lossy(&said.stderr));
        Ok(String::from_utf8(said.stdout)?)
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it on the data that is there.
    ///
    /// # Errors
    /// It does not answer.
    pub fn start_again(&mut self) -> Result<()> {
        let log = self.folder.path().join("log");
        let launch = || Process::spawn(as_its_user("postgres")?.arg("-D").arg(self.folder.path().join("data")), &log);
        let mut process = launch()?;
        let ready = wait_for(PATIENCE, "PostgreSQL to answer", || {
            if !process.runs() {
                // Children of one that was killed take a moment to notice, and no other starts meanwhile.
                process = launch()?;
            }
            Ok(self.ask("postgres", "SELECT 1").ok())
        });
        self.process = Some(process);
        ready.map(drop).with_context(|| fs::read_to_string(&log).unwrap_or_default())
    }
}

fn is_root() -> bool {
    run(Path::new("id"), ["-u"]).is_ok_and(|said| said.stdout == b"0\n")
}

/// A program of PostgreSQL, as a user that it agrees to run as.
fn as_its_user(program: &str) -> Result<Command> {
    Ok(as_user(&folder_of_programs()?.join(program)))
}

fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program).current_dir("/");
    command
}

/// Debian keeps them by version, and not where programs are looked for.
fn folder_of_programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let found = versions.filter(|bin| bin.join("initdb").is_file()).max();
    let elsewhere = || std::env::split_paths(&std::env::var_os("PATH")?).find(|folder| folder.join("initdb").is_file());
    found.or_else(elsewhere).context("PostgreSQL is not here: run `cargo xtask test`, which installs or names it")
}
