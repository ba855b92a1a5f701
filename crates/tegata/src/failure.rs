//! Why a command did not do what it was asked, in words for people and in an exit code for programs.

use std::path::PathBuf;
use std::process::ExitCode;

use tegata_api::client::ClientError;
use tegata_api::hint::quote;
use tegata_api::v1::account::Short;
use tegata_api::v1::bundle;
use tegata_api::v1::offline::Unreadable;
use tegata_api::v1::problem::{Code, Problem};
use tegata_core::name::{ClinicName, DeviceId, SlotId, TenantName};
use tegata_core::vendor::BundleFault;
use tegata_pki::bundle::SealError;
use tegata_tlog::note::NoteError;
use tegata_tlog::verify::Fault;

use crate::language::is_japanese;
use tegata_pki::sealed::SealedError;

use crate::backup::RestoreError;
use crate::login::LoginError;
use crate::quotas;

/// How a command ended. Part of the contract with scripts: `tegata --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Fine = 0,
    /// An error that none of the others describes.
    Error = 1,
    /// The command line cannot be understood. Mostly said by clap itself.
    Usage = 2,
    /// Documents are not valid.
    Documents = 3,
    /// Refused, because devices could no longer sign in.
    LockOut = 4,
    /// The server cannot be reached, or is busy.
    Unreachable = 5,
    /// There is no such thing, or none that the caller may see or change.
    Denied = 6,
    /// Refused, because an account may not have so many certificates.
    OverQuota = 7,
    /// A vendor's file cannot be opened, or is not what policy expects.
    Bundle = 8,
    /// A playbook was not carried out on every host.
    Hosts = 9,
    /// There are changes.
    Changes = 10,
    /// It was only shown what would be done.
    Unconfirmed = 11,
    /// An audit log is not what was signed, or not what was seen before.
    Unbelievable = 12,
    /// An audit log is not vouched for by as many witnesses as were asked for.
    Unwitnessed = 13,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server said no, or said nothing.
    #[error("{0}")]
    Server(#[from] ClientError),
    /// Documents are wrong; the findings are rendered with their lines.
    #[error("{summary}")]
    Documents {
        /// How many findings there are.
        summary: String,
        /// Each with its place.
        rendered: String,
    },
    /// More devices would be locked out than were allowed.
    #[error("{} could no longer sign in; at most {allowed} may", in_words(.devices.len()))]
    LockOut {
        /// Which ones.
        devices: Vec<String>,
        /// How many may be.
        allowed: u32,
    },
    /// More slots would find no place under the quota of their account than were allowed.
    #[error("{} under the quota of {}; at most {allowed} may wait", slots_in_words(.short.len()), account_of(.short))]
    OverQuota {
        /// Which ones.
        short: Vec<Short>,
        /// How many may wait.
        allowed: u32,
    },
    /// There is no access file.
    #[error("cannot read the access file {}", .path.display())]
    Access {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// The access file is not one.
    #[error("{} is not an access file", .path.display())]
    NotAccess {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}", .path.display())]
    Keep {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A device's answer cannot be read.
    #[error("{} cannot be taken in; nothing was sent", .path.display())]
    Answer {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Unreadable,
    },
    /// The server's answer is of a newer kind.
    #[error("the server is newer than this command, and its bundle cannot be read; nothing was written")]
    NewerServer,
    /// A file is not what it was named as.
    #[error("{} cannot be put into the profile: {problem}", .path.display())]
    Unfit {
        /// Which one.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// There is nothing to put into a profile.
    #[error("policy selects no certificate in the browsers of {0}; nothing was written")]
    NothingForBrowsers(DeviceId),
    /// A folder holds no policy files.
    #[error("there is no *.yaml or *.yml file in {}", .0.display())]
    NoDocuments(PathBuf),
    /// There is no document of that kind.
    #[error("there is no kind `{kind}`; there are {}", .kinds.join(", "))]
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// What there is.
        kinds: Vec<String>,
    },
    /// The tenant has nothing by these names.
    #[error("there is no {what} {} in tenant '{tenant}'", quoted(.names))]
    NoSuch {
        /// What was asked for, such as `device`.
        what: &'static str,
        /// The names that nothing has.
        names: Vec<String>,
        /// Whose.
        tenant: TenantName,
        /// Whether somebody said which tenant is meant.
        is_named: bool,
    },
    /// What was asked for has no names to choose it by.
    #[error("{0} have no names of their own")]
    Nameless(&'static str),
    /// What was asked for belongs to no clinic.
    #[error("{0} belong to the whole tenant, not to one clinic")]
    Clinicless(&'static str),
    /// A vendor's file cannot be opened, or not be used.
    #[error("{} cannot be taken in; nothing was sent", .path.display())]
    Bundle {
        /// Which one.
        path: PathBuf,
        /// Everything that is wrong with it.
        faults: Vec<BundleFault>,
    },
    /// A PIN that cannot be the right one: no try was made.
    #[error("the PIN of this file has exactly {digits} digits; no try was made")]
    NotPin {
        /// How many it has.
        digits: u8,
    },
    /// There is no PIN to make.
    #[error("the profile of {slot} says nothing about a PIN")]
    TakesNoPin {
        /// Which slot.
        slot: SlotId,
    },
    /// Nobody is there who could be asked for the password.
    #[error("the file's password is needed")]
    NoPassword,
    /// The terminal cannot be asked.
    #[error("cannot read the password from the terminal")]
    Terminal(#[source] std::io::Error),
    /// The file cannot be sealed.
    #[error("the file cannot be sealed")]
    Seal(#[source] SealError),
    /// A backup cannot be got back.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// An audit log is not what was signed, or not what was seen before.
    #[error("the log cannot be believed")]
    Log(#[from] Fault),
    /// A log is not vouched for by as many witnesses as were asked for, or not lately.
    #[error("{0}")]
    Unwitnessed(String),
    /// A witness cannot work.
    #[error(transparent)]
    Witness(#[from] tegata_witness::WitnessError),
    /// What should be the key of a log is none.
    #[error("the key of the log cannot be read")]
    LogKey(#[source] NoteError),
    /// What should say which part of a log an export has says nothing.
    #[error("period.txt does not say which part of the log this is")]
    LogPeriod(#[source] NoteError),
    /// A file that was made of the records is not what they come to.
    #[error("{name} is not what these records come to: it was changed, or made by another version; `tegata audit report` makes it anew")]
    NotDerived {
        /// Which file.
        name: &'static str,
    },
    /// A text beside the records of an export is not what its record commits to.
    #[error("personal.jsonl has a text of record {sequence} that is not one which this record commits to: it was changed, or put in")]
    Undisclosed {
        /// The number of the record.
        sequence: u64,
    },
    /// A record is not there, or not in the tree yet.
    #[error("record {sequence} is not among the {size} that the log's checkpoint covers")]
    NotCovered {
        /// Its number.
        sequence: u64,
        /// How many are covered.
        size: u64,
    },
    /// The server's answer about its log is cut off.
    #[error("an answer of the server is cut off; try again")]
    LogCutOff,
    /// The server's state cannot be backed up, proven or put back.
    #[error(transparent)]
    State(#[from] tegata_server::state::StateError),
    /// A day or time that no calendar has.
    #[error("there is no such day or time in this time zone")]
    NoSuchMoment,
    /// A span of time was named for a list that has none.
    #[error("--within is only for `tegata get expiring`")]
    Timeless,
    /// A secret cannot be sealed to the keys that a clinic's policy names for its backups.
    #[error("nothing can be sealed for clinic {clinic}")]
    NotSealed {
        /// Whose keys.
        clinic: ClinicName,
        /// Why not.
        #[source]
        source: SealedError,
    },
    /// No host is meant.
    #[error("there is no host that the playbook is for, so nothing was done")]
    NoHosts,
    /// A limit that fits nothing: most often it is mistyped.
    #[error("no host has {limit}; nothing was done")]
    LimitFitsNothing {
        /// What was typed.
        limit: String,
    },
    /// A variable that is none, or a secret that is given openly.
    #[error("{}", variable(.name, *.is_secret))]
    Variable {
        /// Which.
        name: String,
        /// Whether the playbook declares it as a secret; `None` if it does not know it.
        is_secret: Option<bool>,
    },
    /// A secret is not where it was said to be.
    #[error("the environment has no variable {name}")]
    NoSecret {
        /// Its name.
        name: String,
    },
    /// Standard output cannot be written to.
    #[error("cannot write the answer")]
    Write(#[source] std::io::Error),
    /// An answer cannot be written in the format that was asked for.
    #[error("cannot write the answer as {format}: {problem}")]
    Format {
        /// The format.
        format: &'static str,
        /// Why not.
        problem: String,
    },
    /// The program cannot start its own machinery.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    /// Nobody was signed in.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The server did not start.
    #[error("the server cannot start")]
    Serve(#[source] tegata_server::serve::ServeError),
    /// The environment names a collector that cannot be sent anything.
    #[error("telemetry cannot be sent as the environment says")]
    Export(#[source] tegata_server::telemetry::export::ExportError),
    /// The server's database failed.
    #[error("the server stopped, because its database failed")]
    DatabaseFailed,
    /// The demo went wrong: a story for people, not for programs.
    #[error("the demo stopped: {0}")]
    Demo(#[from] anyhow::Error),
}

fn variable(name: &str, is_secret: Option<bool>) -> String {
    match is_secret {
        None => format!("the playbook has no variable {}", quote(name)),
        Some(true) => format!("{} is a secret: every user of this machine could read it here; give it with --secret", quote(name)),
        Some(false) => format!("{} is no secret of the playbook; give it with --var", quote(name)),
    }
}

impl Failure {
    /// The exit code that says so.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Server(ClientError::Refused(problem)) => refusal(problem.code),
            Self::Server(ClientError::Unreachable { .. }) => Exit::Unreachable,
            Self::Documents { .. } | Self::NoDocuments(_) => Exit::Documents,
            Self::LockOut { .. } => Exit::LockOut,
            Self::OverQuota { .. } => Exit::OverQuota,
            Self::UnknownKind { .. } | Self::Nameless(_) | Self::Clinicless(_) | Self::Timeless | Self::NoSuchMoment => Exit::Usage,
            Self::NoSuch { .. } | Self::NotCovered { .. } | Self::Restore(RestoreError::NotThere { .. }) => Exit::Denied,
            Self::Bundle { .. } => Exit::Bundle,
            Self::Log(Fault::Unwitnessed(_)) | Self::Unwitnessed(_) => Exit::Unwitnessed,
            Self::Log(_) | Self::LogPeriod(_) | Self::NotDerived { .. } | Self::Undisclosed { .. } => Exit::Unbelievable,
            Self::NotPin { .. } | Self::NoPassword | Self::Variable { .. } | Self::NoSecret { .. } => Exit::Usage,
            Self::NoHosts | Self::LimitFitsNothing { .. } | Self::Login(LoginError::Refused(_)) => Exit::Denied,
            _ => Exit::Error,
        }
    }

    /// Says on standard error what happened, why, and what to do next.
    pub fn print(&self) {
        eprint!("{}", self.told());
    }

    fn told(&self) -> String {
        let mut text = format!("error: {self}\n");
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            // Causes that only repeat what was said above tell nobody anything.
            let said = source.to_string();
            if !text.contains(&said) {
                text.push_str(&format!("  because: {said}\n"));
            }
            cause = source.source();
        }
        text.push_str(&self.particulars());
        if let Some(hint) = self.hint() {
            text.push_str(&format!("  try: {hint}\n"));
        }
        text
    }

    /// What belongs to the error beyond its sentence.
    fn particulars(&self) -> String {
        let list = |devices: &[String]| devices.iter().map(|device| format!("  {device}\n")).collect::<String>();
        match self {
            Self::Server(ClientError::Refused(problem)) => {
                let detail = problem.detail.iter().map(|detail| format!("  why: {detail}\n")).collect::<String>();
                let lists = list(&problem.locked_out) + &list(&quotas::sentences(&problem.over_quota));
                detail + &lists + &said(&problem.faults)
            }
            Self::Bundle { faults, .. } => said(&faults.iter().map(bundle::BundleFault::from).collect::<Vec<_>>()),
            Self::Documents { rendered, .. } => format!("\n{}\n", rendered.trim_end()),
            Self::LockOut { devices, .. } => list(devices),
            Self::OverQuota { short, .. } => list(&quotas::sentences(short)),
            _ => String::new(),
        }
    }

    /// What to do next.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Server(ClientError::Refused(problem)) => refusal_hint(problem),
            Self::Server(ClientError::Unreachable { server, .. }) => {
                Some(format!("see whether `tegata serve` runs at {server}, and whether --access (TEGATA_ACCESS) is the file it wrote"))
            }
            Self::LockOut { devices, .. } => Some(lock_out_hint(devices.len())),
            Self::OverQuota { short, .. } => Some(over_quota_hint(short.len())),
            Self::Access { .. } | Self::NotAccess { .. } => {
                Some("sign in with `tegata login --server …`, or name the admin.json of `tegata serve` with --access FILE or TEGATA_ACCESS".into())
            }
            Self::NoSuch { what, is_named: true, .. } => Some(format!("see what there is with `tegata get {what}s`")),
            Self::NoSuch { what, is_named: false, .. } => {
                Some(format!("see what there is with `tegata get {what}s`; if another tenant is meant, say -n NAME or set TEGATA_TENANT"))
            }
            Self::NoPassword => Some("run it on a terminal, or say --password-file FILE (`-` is standard input)".into()),
            Self::TakesNoPin { .. } => Some("if the vendor asks for one, write pin: { digits: 4, tries: 3 } into the profile".into()),
            Self::Restore(error) => Some(error.hint().into()),
            Self::NotCovered { .. } => {
                Some("a new record is covered after a second or two; `tegata audit list --last 1` says which is the newest".into())
            }
            Self::Log(Fault::Unwitnessed(_)) | Self::Unwitnessed(_) => {
                Some("see what each witness says with `tegata audit witnesses`; one that has seen another history says nothing to the log".into())
            }
            Self::Log(_) => Some(
                "keep what you have, and ask the operator whether the state was restored from a backup: a record `state.recover` says so then, \
                 and a new --memory folder begins anew from there"
                    .into(),
            ),
            Self::Nameless(_) => Some("narrow them with --clinic".into()),
            Self::NotSealed { .. } => {
                Some("make a key with age-keygen, write its public half into a BackupTarget, and name that under backup".into())
            }
            Self::Clinicless(_) => Some("narrow them with names instead of --clinic".into()),
            Self::NoDocuments(_) => Some("name the folder or the files with -f".into()),
            Self::NoHosts | Self::LimitFitsNothing { .. } => {
                Some("see which there are with `tegata playbook list --hosts`; policy names them (devices: ssh)".into())
            }
            Self::DatabaseFailed => {
                Some("see what the log says, check the disk, then start again: what was acknowledged is durable".into())
            }
            _ => None,
        }
    }
}

/// In the language of the surroundings.
fn said(faults: &[bundle::BundleFault]) -> String {
    let japanese = is_japanese();
    faults.iter().map(|fault| format!("  {}\n", if japanese { &fault.ja } else { &fault.en })).collect()
}

fn refusal(code: Code) -> Exit {
    match code {
        Code::InvalidDocuments => Exit::Documents,
        Code::WouldLockOut => Exit::LockOut,
        Code::OverQuota => Exit::OverQuota,
        Code::Busy => Exit::Unreachable,
        Code::NotFound | Code::Forbidden | Code::NeedsApproval | Code::Unauthorized => Exit::Denied,
        Code::BundleRefused => Exit::Bundle,
        Code::Malformed | Code::CodeRefused | Code::OrderClosed | Code::RequestRefused | Code::Conflict | Code::Internal => Exit::Error,
    }
}

fn refusal_hint(problem: &Problem) -> Option<String> {
    match problem.code {
        Code::WouldLockOut => Some(lock_out_hint(problem.locked_out.len())),
        Code::OverQuota => Some(over_quota_hint(problem.over_quota.len())),
        Code::NotFound => Some(
            "see what there is with `tegata get devices` or `tegata get certificates`; is the tenant right (-n, TEGATA_TENANT)?".into(),
        ),
        Code::Unauthorized => Some(
            "if you had signed in, that is over: sign in anew with `tegata login`; else use the admin.json that the server wrote itself"
                .into(),
        ),
        Code::Busy => problem.retry_after.map(|seconds| format!("again in {seconds} s")),
        _ => None,
    }
}

fn lock_out_hint(count: usize) -> String {
    format!("look at `tegata plan`; if that is what you want, say --allow-lockout {count}")
}

fn over_quota_hint(count: usize) -> String {
    format!("revoke what is not needed (`tegata get quotas` ranks it), or let these wait for a place with --allow-over-quota {count}")
}

fn slots_in_words(count: usize) -> String {
    if count == 1 { "1 slot finds no place".into() } else { format!("{count} slots find no place") }
}

fn account_of(short: &[Short]) -> String {
    match short {
        [first, rest @ ..] if rest.iter().all(|other| other.account == first.account) => format!("account {}", first.account),
        _ => "their accounts".into(),
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

fn in_words(count: usize) -> String {
    if count == 1 { "1 device".into() } else { format!("{count} devices") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn refused(code: Code) -> Failure {
        let problem = Problem {
            status: 409,
            code,
            title: "Applying would lock out devices.".into(),
            detail: Some("They hold no other certificate.".into()),
            retry_after: Some(3),
            findings: Vec::new(),
            faults: Vec::new(),
            locked_out: vec!["sakura/uketsuke-1".into(), "sakura/uketsuke-2".into()],
            over_quota: Vec::new(),
        };
        Failure::Server(ClientError::Refused(Box::new(problem)))
    }

    #[test]
    fn a_refusal_says_what_why_and_what_next() {
        expect![[r#"
            error: Applying would lock out devices.
              why: They hold no other certificate.
              sakura/uketsuke-1
              sakura/uketsuke-2
              try: look at `tegata plan`; if that is what you want, say --allow-lockout 2
        "#]]
        .assert_eq(&refused(Code::WouldLockOut).told());
    }

    #[test]
    fn a_missing_access_file_says_where_it_comes_from() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        let failure = Failure::Access { path: "/home/ito/admin.json".into(), source };
        expect![[r#"
            error: cannot read the access file /home/ito/admin.json
              because: entity not found
              try: sign in with `tegata login --server …`, or name the admin.json of `tegata serve` with --access FILE or TEGATA_ACCESS
        "#]]
        .assert_eq(&failure.told());
    }

    #[test]
    fn what_is_not_there_is_said_with_the_tenant_that_was_asked() {
        let no_such = |is_named| {
            let names = vec!["sakura/pc-9".into(), "\u{1b}[2J".into()];
            Failure::NoSuch { what: "device", names, tenant: "default".parse().unwrap(), is_named }
        };
        expect![[r#"
            error: there is no device 'sakura/pc-9', '\u{1b}[2J' in tenant 'default'
              try: see what there is with `tegata get devices`; if another tenant is meant, say -n NAME or set TEGATA_TENANT
        "#]]
        .assert_eq(&no_such(false).told());
        assert!(!no_such(true).told().contains("TEGATA_TENANT"));
        assert_eq!((no_such(true).exit() as u8, Failure::Nameless("actions").exit() as u8), (6, 2));
    }

    #[test]
    fn number_51_is_named_with_what_frees_a_place() {
        let failure = Failure::OverQuota { short: vec![quotas::test_short()], allowed: 0 };
        expect![[r#"
            error: 1 slot finds no place under the quota of account sakura/reception; at most 0 may wait
              sakura/pc-51/karte would be number 51 of 50 of account sakura/reception; revoking 4f1c0ddee1a2b3c4d5e6f708192a3b4c (sakura/pc-3/karte, duplicate) frees a place
              try: revoke what is not needed (`tegata get quotas` ranks it), or let these wait for a place with --allow-over-quota 1
        "#]]
        .assert_eq(&failure.told());
        assert_eq!(failure.exit() as u8, 7);
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let of = |code| refused(code).exit() as u8;
        assert_eq!([of(Code::InvalidDocuments), of(Code::WouldLockOut), of(Code::Busy)], [3, 4, 5]);
        assert_eq!([of(Code::NotFound), of(Code::Unauthorized), of(Code::Forbidden), of(Code::Internal)], [6, 6, 6, 1]);
    }
}
