//! The command line of the agent.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use serde::Serialize;
use tegata_api::client::ClientError;
use tegata_api::v1::problem::Code;
use tegata_core::name::{DeviceId, Sha256};

use crate::agent::{self, Agent, RunError};
use crate::browser;
use crate::enroll::{self, EnrollError, EnrollmentCode, Enrolment};
use crate::identity::IdentityError;
use crate::offline::{self, Applied, ApplyError};
use crate::selftest;
use crate::settings::{KeystoreChoice, Resolve, Settings};
use crate::state::State;
use crate::status::Status;
use crate::switch::{self, Clinics, SwitchError};
use crate::words::{self, BundlePhrase, ClinicPhrase, Language, Phrase, say};

mod doctor;
mod log;
mod quarantine;
mod setup;
mod trust;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// How often an agent that waits looks whether the PC is enrolled by now.
const LOOK_FOR_ENROLMENT: Duration = Duration::from_secs(5);

/// Keeps the client certificates of this PC right: fetches them, installs them, proves them, renews them, removes what is old.
#[derive(Parser)]
#[command(name = "tegata-agent", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes this PC a device, with a code from your administrator.
    #[command(
        after_help = "Example:\n  tegata-agent enroll --server https://tegata.example.jp:8443 --code 7QK2MX-493027 --authority-sha256 5E1C…"
    )]
    Enroll(Box<EnrollArguments>),
    /// Works until it is ended; can be ended at any moment.
    #[command(after_help = "Example:\n  tegata-agent run --state ~/.local/state/tegata-agent")]
    Run(RunArguments),
    /// Shows what is installed, and whether anything needs attention (exit code 1).
    #[command(after_help = "Example:\n  tegata-agent status\n  tegata-agent status -o json")]
    Status(StatusArguments),
    /// Says for which clinic people work at this PC now, where several share a site; without a clinic, lists them.
    ///
    /// The browser takes one certificate for a site. If several clinics of this PC use the same site, it shows the one of the clinic in
    /// use: the PC's own until another is chosen. Needs no network. A browser that is running has to be restarted once.
    #[command(after_help = "Example:\n  tegata-agent switch\n  tegata-agent switch momiji-shonika")]
    Switch(SwitchArguments),
    /// Says why a chart does not open: tries everything at once, names the first cause and what to do. Changes nothing.
    ///
    /// Also works without the server; what needs it then "could not be checked", which is never the same as fine. The agent tells the
    /// server which causes were found, and nothing of what was seen: `tegata describe device` shows them.
    #[command(after_help = doctor::HELP)]
    Doctor(StatusArguments),
    /// Works with files that somebody carries, on a PC that cannot reach its server.
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Certificate files that nobody has put on record, and that were moved out of the way: lists them, and puts them back.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Tries on this PC what the agent relies on and cannot be shown elsewhere, with throw-away keys and certificates. Exit code 1 if
    /// anything does not hold. Leaves nothing behind.
    #[command(hide = true)]
    Selftest {
        /// The home folder of the user whose store is tried.
        #[arg(long, value_name = "DIR", env = if cfg!(windows) { "USERPROFILE" } else { "HOME" }, hide_env_values = true)]
        home: PathBuf,
    },
    /// Makes the agent start by itself on this PC. Can be repeated, as with a newer program.
    ///
    /// Windows: for everybody who logs on, as a service; run it as administrator. Where none is at hand, `--user` installs it for you
    /// alone. macOS: for you. Linux: the package tegata-agent does it.
    #[command(after_help = "Example:\n  tegata-agent install\n  tegata-agent install --user")]
    Install(setup::SetupArguments),
    /// Ends the agent and removes it from this PC, in the way that it was installed.
    ///
    /// What it knows of its enrolment stays, and so do the certificates: first take the PC out of the policy, and they go.
    #[command(after_help = "Example:\n  tegata-agent uninstall\n  tegata-agent uninstall --user")]
    Uninstall(setup::SetupArguments),
    /// Agrees that programs on this PC trust a root that policy pins; `tegata describe device` shows what to type.
    ///
    /// Windows and macOS: for the whole PC, at once; run it as administrator. Linux: for your browser, by the agent, as soon as policy pins it.
    #[command(after_help = "Example:\n  tegata-agent trust --file ca.pem\n  tegata-agent trust --remove --file ca.pem")]
    Trust(trust::TrustArguments),
    /// Becomes the service; Windows starts it.
    #[cfg(windows)]
    #[command(hide = true)]
    Service,
    /// Starts `run` without a window; Windows starts it when the user logs on.
    #[cfg(windows)]
    #[command(hide = true)]
    AtLogon,
    /// Lists the certificates of an NSS database: one DER a line, in base64.
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    NssList {
        /// The database, `sql:/folder`.
        #[arg(long)]
        database: std::ffi::OsString,
    },
    /// Removes one certificate from an NSS database; its DER is read from standard input.
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    NssRemove {
        /// The database, `sql:/folder`.
        #[arg(long)]
        database: std::ffi::OsString,
    },
    /// Prints this reference as Markdown.
    #[command(hide = true)]
    Reference,
}

#[derive(Args)]
struct Place {
    /// The agent's own folder.
    #[arg(long, value_name = "DIR", env = "TEGATA_AGENT_STATE")]
    state: Option<PathBuf>,
}

#[derive(Args)]
struct RunArguments {
    #[command(flatten)]
    place: Place,
    /// Waits until this PC is enrolled, instead of failing.
    #[arg(long)]
    wait: bool,
    /// Keeps the log in the agent's folder (agent.log), instead of standard error.
    #[arg(long)]
    log: bool,
}

#[derive(Args)]
struct EnrollArguments {
    /// The server, https://host:port.
    #[arg(long, value_name = "URL")]
    server: String,
    /// The code: HANDLE-123456 as your administrator gave it, or a join code (tgj1.…); `-` reads it from standard input.
    #[arg(long)]
    code: String,
    /// SHA-256 of the server's authority, as it was printed with the code; join codes carry it.
    #[arg(long, value_name = "HEX")]
    authority_sha256: Option<Sha256>,
    /// Which device this PC is believed to be; refused if the code is for another one.
    #[arg(long, value_name = "CLINIC/DEVICE")]
    device: Option<DeviceId>,
    #[command(flatten)]
    place: Place,
    /// The home folder of the user whose browser gets the certificates.
    #[arg(long, value_name = "DIR", env = os::HOME, hide_env_values = true)]
    home: PathBuf,
    /// The folder for browser policies, instead of those of Chromium and Chrome below /etc.
    #[arg(long, value_name = "DIR")]
    browser_policies: Option<PathBuf>,
    /// What `browser` means in a profile: the browser's own store, or files on PCs without a browser.
    #[arg(long, value_enum, default_value = "auto")]
    keystore: KeystoreChoice,
    /// Reaches a probed site at another address. Can be given several times.
    #[arg(long, value_name = "HOST:PORT=ADDRESS:PORT")]
    resolve: Vec<Resolve>,
    /// Further roots (PEM) that probed sites may come from, beside those of the operating system.
    #[arg(long, value_name = "FILE")]
    probe_roots: Option<PathBuf>,
}

#[derive(Args)]
struct StatusArguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    telling: Telling,
}

#[derive(Args)]
struct SwitchArguments {
    /// The clinic, as the list names it.
    clinic: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    telling: Telling,
}

#[derive(Args)]
struct Telling {
    /// How it is told.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    /// The same as `--output json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl Telling {
    fn is_json(&self) -> bool {
        self.json || matches!(self.output, Output::Json)
    }

    fn print<Told: Serialize>(&self, told: &Told, text: impl FnOnce(&Told) -> String) -> Result<()> {
        let json = || serde_json::to_string_pretty(told).map(|json| json + "\n");
        print(&if self.is_json() { json()? } else { text(told) });
        Ok(())
    }
}

#[derive(Subcommand)]
enum BundleCommand {
    /// Installs what a file of `tegata bundle export` brings, and writes the answer. Exit code 1 if anything needs attention.
    ///
    /// The file is believed if the server that this PC was enrolled with has signed it for this PC. The same file can be applied again.
    #[command(after_help = "Example:\n  tegata-agent bundle apply /media/usb/tegata-sakura-naika-shikaku-1.json")]
    Apply(ApplyArguments),
}

#[derive(Args)]
struct ApplyArguments {
    /// The file.
    file: PathBuf,
    /// Where the answer goes, for `tegata bundle accept`; left out: beside the file, as NAME.answer.json.
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    telling: Telling,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    #[cfg(windows)]
    crate::windows::libraries::only_from_windows();
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Enroll(arguments) => run_enroll(*arguments),
        Command::Run(arguments) => run_agent(&arguments),
        Command::Status(arguments) => run_status(&arguments),
        Command::Switch(arguments) => run_switch(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Bundle(BundleCommand::Apply(arguments)) => run_apply(&arguments),
        Command::Quarantine(command) => quarantine::run(&command),
        Command::Selftest { home } => run_selftest(&home),
        Command::Install(arguments) => setup::install(&arguments),
        Command::Uninstall(arguments) => setup::uninstall(&arguments),
        Command::Trust(arguments) => trust::run(&arguments),
        #[cfg(windows)]
        Command::Service => os::run_service(),
        #[cfg(windows)]
        Command::AtLogon => os::start_at_logon(),
        #[cfg(target_os = "linux")]
        Command::NssList { database } => run_nss_list(&database),
        #[cfg(target_os = "linux")]
        Command::NssRemove { database } => run_nss_remove(&database),
        Command::Reference => {
            print(&clap_markdown::help_markdown_command(&Cli::command()));
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|problem| {
        eprintln!("tegata-agent: {problem:#}");
        ExitCode::FAILURE
    })
}

fn run_enroll(arguments: EnrollArguments) -> Result<ExitCode> {
    log::start("warn");
    let language = words::language();
    #[cfg(target_os = "macos")]
    let roots = arguments.probe_roots.clone();
    let enrolled = try_to_enroll(arguments);
    match enrolled {
        Ok(device) => {
            print(&format!("{}\n{}\n", say(language, &Phrase::Enrolled(device)), say(language, &Phrase::EnrolledNext)));
            #[cfg(target_os = "macos")]
            if let Some(roots) = roots {
                let command = crate::keystore::macos::trust_command(&std::path::absolute(roots).context("the roots")?);
                print(&format!("{}\n", say(language, &Phrase::TrustRoots(command))));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => {
            eprintln!("{}", say(language, &Phrase::NotEnrolled(format!("{problem:#}"))));
            eprintln!("{}", say(language, &advice(&problem)));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Another code helps only whose code was refused; whoever has no network would be sent the wrong way.
fn advice(problem: &anyhow::Error) -> Phrase {
    match problem.downcast_ref() {
        Some(EnrollError::Server(ClientError::Refused(refused))) if refused.code == Code::CodeRefused => Phrase::CodeRefusedNext,
        _ => Phrase::NotEnrolledNext,
    }
}

fn try_to_enroll(arguments: EnrollArguments) -> Result<String> {
    let code: EnrollmentCode = read_code(&arguments.code)?.parse()?;
    os::check_owner(&arguments.home)?;
    let state = State::make(&state_folder(&arguments.place)?)?;
    let _lock = agent::lock(&state)?;
    let asked = Enrolment {
        server: arguments.server,
        code,
        authority: arguments.authority_sha256,
        device: arguments.device,
        home: std::path::absolute(&arguments.home).context("the home folder")?,
        browser_policies: arguments.browser_policies.map(std::path::absolute).transpose().context("the folder for browser policies")?,
        keystore: arguments.keystore,
        resolve: arguments.resolve,
        probe_roots: arguments.probe_roots,
    };
    Ok(runtime()?.block_on(enroll::enroll(&state, asked))?.device)
}

fn read_code(given: &str) -> Result<zeroize::Zeroizing<String>> {
    let mut code = zeroize::Zeroizing::new(given.to_owned());
    if given == "-" {
        code.clear();
        std::io::stdin().take(1024).read_to_string(&mut code).context("cannot read the code from standard input")?;
    }
    Ok(code)
}

fn run_agent(arguments: &RunArguments) -> Result<ExitCode> {
    let folder = state_folder(&arguments.place)?;
    if arguments.wait {
        wait_for_enrolment(&State::at(&folder));
    }
    let state = enrolled_state(&folder)?;
    let _lock = agent::lock(&state)?;
    match arguments.log {
        true => log::start_in(&state.log(), "info")?,
        false => log::start("info"),
    }
    runtime()?.block_on(async {
        let agent = Agent::open(&state)?;
        // Nothing has to be wound up: everything is resumed from disk, as after a power cut.
        tokio::select! {
            () = agent.run() => {}
            stopped = os::stop_signal() => stopped?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Returns once the PC is enrolled.
fn wait_for_enrolment(state: &State) {
    while !state.settings().exists() {
        std::thread::sleep(LOOK_FOR_ENROLMENT);
    }
}

/// The folder of a PC that is enrolled, for the user that it was enrolled for. Nothing is made or changed before that is known.
fn enrolled_state(folder: &Path) -> Result<State> {
    let settings = Settings::read(&State::at(folder))?.ok_or_else(|| IdentityError::NotEnrolled(folder.display().to_string()))?;
    os::check_owner(&settings.home)?;
    Ok(State::make(folder)?)
}

fn run_status(arguments: &StatusArguments) -> Result<ExitCode> {
    let language = words::language();
    let status = match Status::read(&State::at(&state_folder(&arguments.place)?)) {
        Err(IdentityError::NotEnrolled(_)) => {
            eprintln!("{}", say(language, &Phrase::NeverEnrolled));
            return Ok(ExitCode::FAILURE);
        }
        other => other?,
    };
    arguments.telling.print(&status, |status| status.tell(language, &TimeZone::system()))?;
    Ok(if status.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_switch(arguments: &SwitchArguments) -> Result<ExitCode> {
    let language = words::language();
    match try_to_switch(&state_folder(&arguments.place)?, arguments.clinic.as_deref()) {
        Ok(clinics) => {
            let is_switched = arguments.clinic.is_some();
            arguments
                .telling
                .print(&clinics, |clinics| if is_switched { clinics.tell_switched(language) } else { clinics.tell(language) })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => {
            eprintln!("{}", say(language, &not_switched(&problem).ok_or(problem)?));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn run_apply(arguments: &ApplyArguments) -> Result<ExitCode> {
    log::start("error");
    let language = words::language();
    match try_to_apply(arguments) {
        Ok(applied) => {
            arguments.telling.print(&applied, |applied| applied.tell(language, &TimeZone::system()))?;
            Ok(if applied.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(problem) => {
            eprintln!("{}", say(language, &not_applied(language, &problem)));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What staff can do something about.
fn not_switched(problem: &anyhow::Error) -> Option<Phrase> {
    if let Some(IdentityError::NotEnrolled(_)) = problem.downcast_ref() {
        return Some(Phrase::NeverEnrolled);
    }
    match problem.downcast_ref()? {
        SwitchError::NothingYet(_) => Some(ClinicPhrase::NothingYet),
        SwitchError::Unknown { asked, known } => Some(ClinicPhrase::Unknown(asked.clone(), known.join(", "))),
        SwitchError::Untold { clinic, source } => Some(ClinicPhrase::Untold(clinic.clone(), crate::told(source))),
        SwitchError::Disk(_) => None,
    }
    .map(Phrase::Clinic)
}

fn try_to_switch(folder: &Path, clinic: Option<&str>) -> Result<Clinics> {
    let state = State::at(folder);
    let settings = Settings::read(&state)?.ok_or_else(|| IdentityError::NotEnrolled(folder.display().to_string()))?;
    if let Some(clinic) = clinic {
        os::check_owner(&settings.home)?;
        switch::switch(&state, &mut *browser::of_this_pc(&state, &settings), clinic)?;
    }
    Ok(Clinics::read(&state, &settings)?)
}

fn not_applied(language: Language, problem: &anyhow::Error) -> Phrase {
    if let Some(IdentityError::NotEnrolled(_)) = problem.downcast_ref() {
        return Phrase::NeverEnrolled;
    }
    Phrase::Bundle(match (problem.downcast_ref(), problem.downcast_ref()) {
        (Some(ApplyError::Refused(refusal)), _) => BundlePhrase::NotApplied(refusal.said(language)),
        (Some(ApplyError::Write(problem)), _) => BundlePhrase::NotAnswered(crate::told(problem)),
        (_, Some(RunError::Taken(_))) => BundlePhrase::AgentRuns,
        _ => BundlePhrase::NotApplied(format!("{problem:#}")),
    })
}

fn try_to_apply(arguments: &ApplyArguments) -> Result<Applied> {
    let file = std::path::absolute(&arguments.file).context("the file")?;
    let answer = arguments.answer.clone().unwrap_or_else(|| file.with_extension("answer.json"));
    let answer = std::path::absolute(answer).context("the answer")?;
    let state = enrolled_state(&state_folder(&arguments.place)?)?;
    let _lock = agent::lock(&state)?;
    Ok(runtime()?.block_on(offline::apply(&state, &file, &answer))?)
}

fn run_selftest(home: &Path) -> Result<ExitCode> {
    let claims = runtime()?.block_on(selftest::try_all(home))?;
    print(&selftest::tell(&claims));
    Ok(if claims.iter().all(|claim| claim.outcome.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(target_os = "linux")]
fn run_nss_list(database: &std::ffi::OsStr) -> Result<ExitCode> {
    let found = crate::keystore::nss::library::list(database)?;
    print(&found.iter().map(|der| data_encoding::BASE64.encode(der) + "\n").collect::<String>());
    Ok(ExitCode::SUCCESS)
}

#[cfg(target_os = "linux")]
fn run_nss_remove(database: &std::ffi::OsStr) -> Result<ExitCode> {
    let mut der = Vec::new();
    std::io::stdin().take(1024 * 1024).read_to_end(&mut der).context("cannot read the certificate from standard input")?;
    crate::keystore::nss::library::remove(database, &der)?;
    Ok(ExitCode::SUCCESS)
}

/// The folder that was named, or the usual one of this user.
fn state_folder(place: &Place) -> Result<PathBuf> {
    let folder = place.state.clone().or_else(|| os::state_folder(named_folder)).context("say where the agent's folder is: --state DIR")?;
    std::path::absolute(folder).context("the agent's folder")
}

/// A folder that the environment names.
fn named_folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")
}

/// A reader that has gone away (`| head`) is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn another_code_is_advised_only_if_the_code_was_refused() {
        let refused = |code| anyhow::Error::new(EnrollError::Server(ClientError::Refused(Box::new(crate::pretend::problem(code)))));
        assert_eq!(advice(&refused(Code::CodeRefused)), Phrase::CodeRefusedNext);
        let setup = EnrollError::Server(ClientError::Setup("no network".into()));
        for other in [refused(Code::Busy), setup.into(), EnrollError::NoAuthority.into(), anyhow::anyhow!("the home folder")] {
            assert_eq!(advice(&other), Phrase::NotEnrolledNext, "{other:#}");
        }
    }

    #[test]
    fn what_is_told_to_programs_can_be_asked_for_in_either_way() {
        let is_json = |arguments: &[&str]| match Cli::try_parse_from([&["tegata-agent"], arguments].concat())?.command {
            Command::Status(StatusArguments { telling, .. })
            | Command::Doctor(StatusArguments { telling, .. })
            | Command::Switch(SwitchArguments { telling, .. }) => Ok(telling.is_json()),
            _ => unreachable!(),
        };
        for command in ["status", "switch", "doctor"] {
            assert_eq!(
                [is_json(&[command, "--json"]), is_json(&[command, "-o", "json"]), is_json(&[command])].map(Result::unwrap),
                [true, true, false]
            );
            is_json(&[command, "--json", "-o", "text"]).map_err(|problem: clap::Error| problem.kind()).unwrap_err();
        }
    }

    #[test]
    fn staff_read_in_their_language_why_nothing_was_switched() {
        let said = |folder: &Path, clinic| {
            let phrase = not_switched(&try_to_switch(folder, clinic).unwrap_err()).unwrap();
            [words::Language::Japanese, words::Language::English].map(|language| say(language, &phrase)).join("\n")
        };
        let (empty, world) = (tempfile::tempdir().unwrap(), crate::pretend::World::new());
        assert!(said(empty.path(), Some("momiji")).contains("まだ登録されていません"));
        assert!(crate::disk::entries(empty.path()).unwrap().is_empty());
        assert!(said(world.state.root(), None).contains("まだ何も届いていません"));
        let manifest = tegata_api::v1::device::Manifest { device: "sakura/uketsuke-1".into(), ..Default::default() };
        crate::disk::write_json(&world.state.manifest(), &manifest).unwrap();
        let unknown = said(world.state.root(), Some("himawari"));
        assert_eq!(
            unknown,
            "「himawari」は、この端末で使える診療所ではありません。使える診療所: sakura\nThis PC does not work for a clinic 'himawari'. It does for: sakura"
        );
    }

    #[test]
    fn a_bundle_is_not_applied_while_the_agent_runs() {
        let world = crate::pretend::World::new();
        let arguments = ApplyArguments {
            file: world.home().join("usb.json"),
            answer: None,
            place: Place { state: Some(world.state.root().to_owned()) },
            telling: Telling { output: Output::Text, json: false },
        };
        let running = agent::lock(&world.state).unwrap();
        let said = |problem| not_applied(Language::English, &problem);
        assert_eq!(said(try_to_apply(&arguments).unwrap_err()), Phrase::Bundle(BundlePhrase::AgentRuns));
        drop(running);
        let problem = said(try_to_apply(&arguments).unwrap_err());
        assert!(matches!(&problem, Phrase::Bundle(BundlePhrase::NotApplied(why)) if why.contains("cannot be read")), "{problem:?}");
        let nowhere = ApplyArguments { place: Place { state: Some(world.home()) }, ..arguments };
        assert_eq!(said(try_to_apply(&nowhere).unwrap_err()), Phrase::NeverEnrolled);
    }

    #[test]
    fn a_mistyped_folder_is_not_worked_in() {
        let folder = tempfile::tempdir().unwrap();
        for wrong in [folder.path().to_owned(), folder.path().join("new")] {
            let problem = enrolled_state(&wrong).unwrap_err();
            assert!(problem.to_string().contains("is not enrolled"), "{problem}");
        }
        assert!(crate::disk::entries(folder.path()).unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn the_agent_runs_only_as_the_user_that_the_pc_was_enrolled_for() {
        let world = crate::pretend::World::new();
        enrolled_state(world.state.root()).unwrap();
        let somebody = if rustix::process::geteuid().is_root() { 12_345 } else { return };
        std::os::unix::fs::chown(world.home(), Some(somebody), None).unwrap();
        let problem = enrolled_state(world.state.root()).unwrap_err();
        assert!(problem.to_string().contains("belongs to another user"), "{problem}");
    }

    #[test]
    fn every_command_that_people_see_has_an_example() {
        fn leaves(command: &clap::Command) -> Vec<clap::Command> {
            let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
            shown.flat_map(|one| if one.has_subcommands() { leaves(one) } else { vec![one.clone()] }).collect()
        }
        let leaves = leaves(&Cli::command());
        assert!(leaves.len() >= 4, "only {} commands were found", leaves.len());
        for command in leaves {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("tegata-agent "), "{}", command.get_name());
        }
    }
}
