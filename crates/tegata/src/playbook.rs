//! `tegata playbook`: from machines that are reached by SSH to enrolled devices.

mod carry;
mod inventory;
mod list;
mod secret;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use tegata_api::v1::fleet::File;
use tegata_api::v1::playbook::{Mode, is_variable};
use tegata_api::v1::problem::Finding;
use tegata_api::yaml;
use tegata_playbook::{Credentials, Playbook as Read, lint, lint_hosts};
use tegata_ssh::Credential;
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::documents;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

use self::inventory::Limit;
use self::secret::Source;

/// Bring the agent, or a certificate, onto machines that are reached by SSH
#[derive(Args)]
pub struct Playbook {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Carry a playbook out: what is so already is left alone, and each run is on record with a result for every host
    #[command(after_help = "Examples:\n  \
        $ tegata playbook run playbooks/enroll-linux.yaml --limit clinic=sakura-naika --key deploy_ed25519\n  \
        $ tegata playbook run playbooks/enroll-windows.yaml --password prompt --parallel 5\n  \
        $ tegata playbook run playbooks/agentless-certificate.yaml --var file=/tmp/client.p12 --secret password=env:P12 --limit device=sakura-naika/shikaku-1")]
    Run(Box<Carry>),
    /// Look what a playbook would change, and change nothing (exit code 10 if something would be)
    #[command(after_help = "Example:\n  $ tegata playbook check playbooks/enroll-linux.yaml --limit clinic=sakura-naika --diff")]
    Check(Box<Carry>),
    /// Say what is wrong with playbooks, and with policies which hosts have neither a pinned key nor an authority; speaks to nobody
    #[command(after_help = "Example:\n  $ tegata playbook lint playbooks -f examples/aozora-group")]
    Lint {
        /// Playbooks, or folders of them
        #[arg(required = true, value_name = "FILE|DIR")]
        playbooks: Vec<PathBuf>,
        /// Policies, whose hosts are looked at too
        #[arg(short = 'f', long = "file", num_args = 1.., value_name = "FILE|DIR")]
        policies: Vec<PathBuf>,
    },
    /// List playbooks, or with --hosts the machines that policy says how to reach
    #[command(after_help = "Examples:\n  $ tegata playbook list playbooks\n  $ tegata playbook list --hosts --limit platform=linux")]
    List {
        /// Playbooks, or folders of them
        #[arg(default_value = "playbooks", value_name = "FILE|DIR")]
        playbooks: Vec<PathBuf>,
        /// The hosts instead
        #[arg(long)]
        hosts: bool,
        /// Only some of them
        #[arg(long, value_name = "KEY=VALUE", requires = "hosts")]
        limit: Vec<Limit>,
    },
}

#[derive(Args)]
struct Carry {
    /// The playbook
    playbook: PathBuf,
    /// Only hosts with this: clinic=NAME, device=CLINIC/DEVICE, platform=NAME or label.KEY=VALUE. Several of one key: any of them
    #[arg(long, value_name = "KEY=VALUE")]
    limit: Vec<Limit>,
    /// Only tasks with one of these words; facts and assertions are always looked at
    #[arg(long, value_delimiter = ',', value_name = "TAG")]
    tags: Vec<String>,
    /// What a variable of the playbook is, for every host. Never a secret
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = assignment::<String>)]
    variables: Vec<(String, String)>,
    /// Where a secret of the playbook comes from: NAME=env:VARIABLE, NAME=file:PATH or NAME=prompt
    #[arg(long = "secret", value_name = "NAME=SOURCE", value_parser = assignment::<Source>)]
    secrets: Vec<(String, Source)>,
    /// Signs in with this private key. Left out: with the keys of the SSH agent
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    key: Option<PathBuf>,
    /// What the private key is encrypted with: env:VARIABLE, file:PATH or prompt
    #[arg(long, value_name = "SOURCE", requires = "key")]
    passphrase: Option<Source>,
    /// Signs in with a password: env:VARIABLE, file:PATH or prompt
    #[arg(long, value_name = "SOURCE")]
    password: Option<Source>,
    /// Signs in on machines before others with this private key. Left out: as on the others
    #[arg(long, value_name = "FILE")]
    jump_key: Option<PathBuf>,
    /// How many hosts are worked on at the same time
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    parallel: u16,
    /// The longest silence of a host while a session begins, in seconds
    #[arg(long, default_value_t = 15, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=600))]
    patience: u16,
    /// Tell how files differ
    #[arg(long)]
    diff: bool,
}

impl Playbook {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        match self.what {
            What::Run(carry) => carry.run(global, Mode::Run).await,
            What::Check(carry) => carry.run(global, Mode::Check).await,
            What::Lint { playbooks, policies } => look_through(global, &playbooks, &policies),
            What::List { playbooks, hosts: false, .. } => list::playbooks(global, &read_all(&playbooks)?),
            What::List { limit, .. } => {
                let session = Session::open(global)?;
                let hosts = inventory::hosts(&session).await?;
                list::hosts(global, &inventory::narrowed(hosts, &limit)?)
            }
        }
    }
}

impl Carry {
    async fn run(self, global: &Global, mode: Mode) -> Result<Exit, Failure> {
        let playbook = read(&self.playbook)?;
        let session = Session::open(global)?;
        let hosts = inventory::narrowed(inventory::hosts(&session).await?, &self.limit)?;
        let hosts: Vec<_> = hosts.into_iter().filter(|host| playbook.is_for(host.platform)).collect();
        if hosts.is_empty() {
            return Err(Failure::NoHosts);
        }
        let options = tegata_playbook::Options {
            mode,
            diff: self.diff,
            tags: self.tags.iter().cloned().collect(),
            parallel: self.parallel.into(),
            patience: Duration::from_secs(self.patience.into()),
            credentials: self.credentials()?,
            secrets: self.secrets(&playbook)?,
            variables: self.variables(&playbook)?,
            server_url: session.access().server.clone(),
        };
        carry::carry_out(global, &session, &playbook, &hosts, &options).await
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        let key = |file: &PathBuf, passphrase| Credential::Key { file: file.clone(), passphrase };
        let host = match (&self.key, &self.password) {
            (Some(file), _) => key(file, self.passphrase.as_ref().map(|source| source.read("the key's passphrase")).transpose()?),
            (None, Some(source)) => Credential::Password(source.read("the password")?),
            (None, None) => Credential::Agent,
        };
        let jump = self.jump_key.as_ref().map_or_else(|| host.clone(), |file| key(file, None));
        Ok(Credentials { host, jump })
    }

    fn secrets(&self, playbook: &Read) -> Result<BTreeMap<String, Zeroizing<String>>, Failure> {
        let mut secrets = BTreeMap::new();
        for (name, source) in &self.secrets {
            declared(playbook, name, true)?;
            secrets.insert(name.clone(), source.read(name)?);
        }
        Ok(secrets)
    }

    /// A secret on the command line could be read by every user of this machine.
    fn variables(&self, playbook: &Read) -> Result<BTreeMap<String, String>, Failure> {
        for (name, _) in &self.variables {
            declared(playbook, name, false)?;
        }
        Ok(self.variables.iter().cloned().collect())
    }
}

fn declared(playbook: &Read, name: &str, secret: bool) -> Result<(), Failure> {
    match playbook.spec().variables.get(name) {
        Some(variable) if variable.secret == secret => Ok(()),
        found => Err(Failure::Variable { name: name.to_owned(), is_secret: found.map(|variable| variable.secret) }),
    }
}

/// `NAME=VALUE`, for the command line.
fn assignment<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<(String, T), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| is_variable(name)).ok_or("write NAME=…, with the name of a variable")?;
    Ok((name.to_owned(), value.parse().map_err(|error: T::Err| error.to_string())?))
}

/// Reads a playbook that has nothing wrong with it.
fn read(path: &Path) -> Result<Read, Failure> {
    let mut all = read_all(&[path.to_owned()])?;
    if all.len() == 1 { Ok(all.remove(0)) } else { Err(Failure::NoDocuments(path.to_owned())) }
}

/// Playbooks that were read, their files, and what is wrong with them.
#[derive(Default)]
struct Looked {
    playbooks: Vec<Read>,
    findings: Vec<Finding>,
    files: Vec<File>,
}

/// Reads playbooks that have nothing wrong with them.
fn read_all(paths: &[PathBuf]) -> Result<Vec<Read>, Failure> {
    let Looked { playbooks, findings, files } = look_at(paths)?;
    if findings.is_empty() { Ok(playbooks) } else { Err(wrong(&findings, &files)) }
}

/// Reads playbooks, and looks through all of them before anything is said.
fn look_at(paths: &[PathBuf]) -> Result<Looked, Failure> {
    let mut looked = Looked { files: documents::read(paths)?, ..Looked::default() };
    for file in &looked.files {
        let folder = Path::new(&file.name).parent().map(|folder| fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()));
        match Read::read(file, &folder.unwrap_or_default()) {
            Ok(playbook) => {
                looked.findings.extend(lint(&playbook));
                looked.playbooks.push(playbook);
            }
            Err(wrong) => looked.findings.extend(wrong),
        }
    }
    Ok(looked)
}

/// What is wrong with playbooks and hosts.
fn wrong(findings: &[Finding], files: &[File]) -> Failure {
    let summary = match findings.len() {
        1 => "one thing is wrong; no host was spoken to".to_owned(),
        count => format!("{count} things are wrong; no host was spoken to"),
    };
    Failure::Documents { summary, rendered: yaml::render(findings, files) }
}

fn look_through(global: &Global, playbooks: &[PathBuf], policies: &[PathBuf]) -> Result<Exit, Failure> {
    let mut looked = look_at(playbooks)?;
    let mut of_hosts = String::new();
    if !policies.is_empty() {
        let files = documents::read(policies)?;
        match yaml::check(&files, &global.tenant(), &[]) {
            Ok(checked) => {
                let hosts = tegata_playbook::hosts(&checked.tenant, &BTreeMap::new(), output::now());
                looked.findings.extend(lint_hosts(&hosts, &checked.documents));
                of_hosts = format!(", and every one of {} hosts has something to be known by", hosts.len());
            }
            Err(findings) => looked.findings.extend(findings),
        }
        looked.files.extend(files);
    }
    if !looked.findings.is_empty() {
        return Err(wrong(&looked.findings, &looked.files));
    }
    output::confirm(global, &format!("Nothing is wrong with {} playbooks{of_hosts}.", looked.playbooks.len()))?;
    Ok(Exit::Fine)
}
