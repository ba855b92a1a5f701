//! `tegata state`: backups of the server's own state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};
use data_encoding::BASE64;
use serde::Serialize;
use tegata_api::v1::recovery::{RecoverRequest, Recovered};
use tegata_core::name::TenantName;
use tegata_pki::key::Seal;
use tegata_server::state::{self, Keys, Proof};
use tegata_server::store::sql::postgres::Address;
use tegata_tlog::merkle::Hash;

use crate::backup::identity_lines;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::moment::{distance, wall_clock};
use crate::output::{self, Look};
use crate::session::{Session, default_state};

/// The tenant whose log holds what the installation does for itself.
const INSTANCE: &str = "tegata";

/// Back up the server itself, prove the backup, and put it back
#[derive(Args)]
pub struct State {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Backup(Backup),
    Drill(Drill),
    Restore(Restore),
    Recover(Recover),
    Migrate(Migrate),
}

/// Copy the server's state into a new folder, while it works
///
/// The copy holds CA keys sealed only: it opens nothing by itself. What they are sealed with, seal.key, goes along if you name with
/// --recipient whom to seal it to; else keep a copy of it somewhere else, because without it a backup cannot be put back.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata state backup --state /var/lib/tegata --out /mnt/nas/tegata-2026-11-27 --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
)]
struct Backup {
    /// The folder that `tegata serve` uses [default: ~/.local/state/tegata]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The folder to make. Nothing is written over
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Whom to seal seal.key to: the public half of a key that age-keygen made. Say it again for several; each can open it alone
    #[arg(long = "recipient", value_name = "age1…")]
    recipients: Vec<String>,
}

/// What opens the seal.
#[derive(Args)]
struct Key {
    /// The secret half of one of the recipients: a file as age-keygen writes it
    #[arg(long, value_name = "FILE", conflicts_with = "seal")]
    identity: Option<PathBuf>,
    /// A copy of seal.key, for a backup that does not hold it
    #[arg(long, value_name = "FILE")]
    seal: Option<PathBuf>,
}

/// Prove that a backup can be put back, by opening it in a folder that goes afterwards
///
/// Checks every file, the database, that the audit logs are whole, and, with --identity or --seal, that every CA key opens and is the one of its
/// certificate. Nothing is sent anywhere, and no server is needed.
#[derive(Args)]
#[command(after_help = "Examples:\n  $ tegata state drill /mnt/nas/tegata-2026-11-27 --identity key.txt")]
struct Drill {
    /// The backup
    backup: PathBuf,
    #[command(flatten)]
    key: Key,
}

/// Put a backup back, into a folder that is not there yet or empty
///
/// What was done since the backup was made has happened: a server that is started on the folder listens to devices, and gives nothing out
/// until that is put on record with `tegata state recover`.
#[derive(Args)]
#[command(after_help = "Examples:\n  $ tegata state restore /mnt/nas/tegata-2026-11-27 --state /var/lib/tegata --identity key.txt")]
struct Restore {
    /// The backup
    backup: PathBuf,
    /// The folder that `tegata serve` will use
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    #[command(flatten)]
    key: Key,
}

/// Put on record that the server was put back from a backup, and let it give out certificates again
///
/// Before you say it, revoke again what was revoked since the backup was made: the server does not know of it, and its revocation lists
/// will not say so. PCs that have moved on count on from where they are; certificates that the server does not know are told in the audit
/// log and replaced. PCs that enrolled since have to be enrolled again.
#[derive(Args)]
#[command(after_help = "Examples:\n  $ tegata state recover --note disk-failure-backup-of-Friday")]
struct Recover {
    /// What happened, for the audit log
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// The database was put back by other means than `tegata state restore`, so that the server cannot know
    #[arg(long)]
    by_hand: bool,
}

/// Move everything from the file of one server into a PostgreSQL database, which several servers can share
///
/// Stop the server first. Everything goes in one transaction, and both sides have to come to the same root of every audit log. The file stays
/// as it is, and a server that is started on it again gives nothing out. The servers on the new database need the same seal.key in their
/// --state folders.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata state migrate --from sqlite:/var/lib/tegata/tegata.db --to postgres://tegata@localhost/tegata"
)]
struct Migrate {
    /// The database of the server as it is
    #[arg(long, value_name = "sqlite:FILE", value_parser = file)]
    from: PathBuf,
    /// An empty database; a password goes into PGPASSWORD or a password file
    #[arg(long, value_name = "URL")]
    to: Address,
}

fn file(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("sqlite:").ok_or("expected sqlite: and the path of a file, such as sqlite:/var/lib/tegata/tegata.db")?;
    Ok(path.into())
}

impl State {
    /// Does what was typed.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        match self.what {
            What::Backup(verb) => verb.run(global).await,
            What::Drill(verb) => verb.run(global).await,
            What::Restore(verb) => verb.run(global).await,
            What::Recover(verb) => verb.run(global).await,
            What::Migrate(verb) => verb.run(global).await,
        }
    }
}

impl Backup {
    async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let from = self.state.unwrap_or_else(default_state);
        let made = state::back_up(&from, &self.out, &self.recipients, output::now()).await?;
        output::show(global, &made, |_| {
            let records: u64 = made.records.values().sum();
            let seal = match made.recipients.len() {
                0 => format!(
                    "It does not hold {}: keep a copy of that somewhere else. Without it this backup cannot be put back.",
                    from.join("seal.key").display()
                ),
                count => format!("seal.key is in it, sealed to {count} of your keys. Keep their secret halves somewhere else."),
            };
            format!("{} holds the state with {records} audit records.\n{seal}", self.out.display())
        })?;
        Ok(Exit::Fine)
    }
}

impl Drill {
    async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let scratch = tempfile::tempdir().map_err(|source| Failure::Keep { path: std::env::temp_dir(), source })?;
        let proof = state::drill(&self.backup, scratch.path(), &self.key.read()?).await?;
        output::show(global, &proof, |look| told(&self.backup, &proof, look))?;
        Ok(Exit::Fine)
    }
}

impl Restore {
    async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let proof = state::restore(&self.backup, &self.state, &self.key.read()?, output::now()).await?;
        output::show(global, &proof, |look| {
            format!(
                "{}\n{} is ready. Start the server on it; it gives nothing out until you say `tegata state recover --note …`.",
                told(&self.backup, &proof, look),
                self.state.display()
            )
        })?;
        Ok(Exit::Fine)
    }
}

impl Recover {
    async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let instance = INSTANCE.parse().expect("the reserved name is a label");
        let session = Session::open_for(global, instance)?;
        let recovered: Recovered = session.post("recovery", &RecoverRequest { note: self.note, by_hand: self.by_hand }).await?;
        output::show(global, &recovered, |look| {
            let since =
                recovered.backed_up_at.map_or_else(|| "a time that nobody knows".to_owned(), |made_at| wall_clock(made_at, &look.zone));
            format!(
                "Epoch {} is on record. What was done from {since} to {} is not known here; {} open orders were taken back.",
                recovered.epoch,
                wall_clock(recovered.restored_at, &look.zone),
                recovered.orders_cancelled
            )
        })?;
        Ok(Exit::Fine)
    }
}

/// What became of a move, for scripts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    rows: u64,
    seconds: f64,
    logs: BTreeMap<String, Log>,
}

#[derive(Serialize)]
struct Log {
    records: u64,
    root: String,
}

impl Migrate {
    async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let began = Instant::now();
        let moved = state::move_to_server(&self.from, &self.to, output::now()).await?;
        let log =
            |(tenant, (records, root)): (TenantName, (u64, Hash))| (tenant.to_string(), Log { records, root: BASE64.encode(&root.0) });
        let (seconds, logs) = (began.elapsed().as_secs_f64(), moved.logs.into_iter().map(log).collect());
        let told = Told { rows: moved.rows, seconds, logs };
        output::show(global, &told, |_| {
            let line = |(tenant, log): (&String, &Log)| format!("\n  {tenant}: {} records, root {}", log.records, log.root);
            let logs: String = told.logs.iter().map(line).collect();
            format!(
                "{} rows were moved in {:.1} s. The audit logs are the same on both sides:{logs}\n\
                Start servers with --database; each needs seal.key in its --state folder.",
                told.rows, told.seconds
            )
        })?;
        Ok(Exit::Fine)
    }
}

impl Key {
    fn read(&self) -> Result<Keys, Failure> {
        let seal = self.seal.as_deref().map(state::read_seal).transpose()?;
        let identities = self.identity.as_deref().map(identities).transpose()?.unwrap_or_default();
        Ok(Keys { identities, seal })
    }
}

fn identities(path: &Path) -> Result<Vec<Seal>, Failure> {
    identity_lines(path, |line| Seal::from_text(line).ok())
}

fn told(backup: &Path, proof: &Proof, look: &Look) -> String {
    let keys = if proof.keys_opened {
        "every CA key opens and is the one of its certificate"
    } else {
        "its CA keys were not opened: name --identity or --seal to prove those too"
    };
    let Proof { records, authorities, .. } = proof;
    format!(
        "{} was made {} ({}) by Tegata {}.\nIts {records} audit records and {authorities} authorities are whole; {keys}.",
        backup.display(),
        wall_clock(proof.made_at, &look.zone),
        distance(proof.made_at, look.now),
        proof.tegata
    )
}
