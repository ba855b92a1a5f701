//! Witnesses of the audit log on this machine: our own, and one by other hands that public logs are witnessed by (litewitness).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::{Process, binary, find, free_port, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a log known to litewitness, as its own tool does (`witnessctl`), in its database.
const FOLLOW: &str = "import base64, hashlib, sqlite3, sys
database, *keys = sys.argv[1:]
db = sqlite3.connect(database)
for key in keys:
    origin = key.split('+')[0]
    db.execute('INSERT INTO log VALUES (?, 0, ?)', (origin, base64.b64encode(hashlib.sha256(b'').digest()).decode()))
    db.execute('INSERT INTO key VALUES (?, ?)', (origin, key))
db.commit()
";

/// A running witness. Ends when dropped.
pub struct Witness {
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
    /// What holds the key of litewitness.
    _agent: Option<Process>,
    /// Its line in a policy: `witness NAME KEY URL`.
    pub line: String,
}

impl Witness {
    /// Starts one of ours.
    pub fn start(folder: &Path, name: &str, logs: &[&str]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let mut arguments: Vec<String> =
            ["witness", "--state", &folder.display().to_string(), "--listen", &listen, "--name", name].map(String::from).into();
        arguments.extend(logs.iter().flat_map(|log| ["--log".to_owned(), (*log).to_owned()]));
        let mut witness = Self { folder: folder.to_owned(), arguments, process: None, _agent: None, line: String::new() };
        witness.open()?;
        Ok(witness)
    }

    /// Starts it again as it was.
    pub fn open(&mut self) -> Result<()> {
        let log = self.folder.join("log");
        let _ = fs::remove_file(&log);
        self.process = Some(Process::start(&binary("tegata"), &self.arguments, &log)?);
        self.line = wait_for(PATIENCE, "the witness to say its key", || {
            Ok(fs::read_to_string(&log)?.lines().find(|line| line.starts_with("witness ")).map(str::to_owned))
        })?;
        Ok(())
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts litewitness, with its key in an agent of OpenSSH's, as it asks for.
    pub fn by_other_hands(folder: &Path, name: &str, logs: &[&str]) -> Result<Self> {
        let program = find("peers").map(|peers| peers.join("witness/litewitness")).filter(|path| path.exists());
        let program = program.context("there is no other witness in target/peers: run `cargo xtask test` once")?;
        fs::create_dir_all(folder)?;
        let at = |name: &str| folder.join(name).display().to_string();
        let (socket, key, database, log) = (at("agent"), at("key"), at("witness.db"), folder.join("log"));
        let agent = Process::start(Path::new("ssh-agent"), ["-D", "-a", &socket], &folder.join("agent.log"))?;
        run_well(Path::new("ssh-keygen"), ["-q", "-t", "ed25519", "-N", "", "-f", &key])?;
        wait_for(PATIENCE, "the agent to take the key", || {
            let added = Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket).output()?;
            Ok(added.status.success().then_some(()))
        })?;
        let shown = run_well(Path::new("ssh-keygen"), ["-lf", &format!("{key}.pub")])?;
        let fingerprint = shown.split(' ').nth(1).context("ssh-keygen shows no fingerprint")?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let arguments = ["-name", name, "-db", &database, "-ssh-agent", &socket, "-key", fingerprint, "-listen", &listen, "-obscurity"];
        let mut process = Process::start(&program, arguments, &log)?;
        let key = wait_for(PATIENCE, "the other witness to say its key", || {
            ensure!(process.runs(), "it ended:\n{}", fs::read_to_string(&log)?);
            let told = fs::read_to_string(&log)?;
            let key = told.split_once("vkey=").and_then(|(_, rest)| rest.split_whitespace().next());
            Ok(key.map(|key| key.trim_matches('"').to_owned()))
        })?;
        run_well(Path::new("python3"), [&["-c", FOLLOW, &database], logs].concat())?;
        let (arguments, line) = (arguments.map(String::from).into(), format!("witness {name} {key} http://{listen}"));
        Ok(Self { folder: folder.to_owned(), arguments, process: Some(process), _agent: Some(agent), line })
    }

    /// The checkpoints that a log's key has signed and that do not go on from what it has cosigned.
    pub fn refused(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder)?.collect::<Result<Vec<_>, _>>()?;
        let refused =
            entries.into_iter().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == "refused"));
        Ok(refused.map(fs::read_to_string).collect::<Result<_, _>>()?)
    }
}
