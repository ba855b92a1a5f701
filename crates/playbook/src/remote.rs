//! How a script and its values reach a host: one of two command lines that never change, everything else on standard input.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::Value;
use tegata_api::v1::playbook::HostTrouble;
use tegata_core::policy::Platform;
use tegata_ssh::{Output, Session, SshError, Trouble};
use zeroize::Zeroizing;

use crate::quote::{self, Nul};

const BOOT_SH: &str = include_str!("sh/boot.sh");
const BOOT_PS: &str = include_str!("ps/boot.ps1");

/// What a line begins with by which a script answers.
const ANSWER: &str = "tegata: ";
/// The most that is shown of what a script printed, in bytes.
const SHOWN_MAX: usize = 2000;

/// Somewhere to run a command: the one thing that is asked of a session.
pub trait RemoteShell {
    /// Runs a command, hands it `input` and waits for its end.
    ///
    /// # Errors
    /// [`SshError`], if it was not run to its end. A command that fails is no error.
    fn run(&self, command: &str, input: &[&[u8]], within: Duration) -> Result<Output, SshError>;
}

impl RemoteShell for Session {
    fn run(&self, command: &str, input: &[&[u8]], within: Duration) -> Result<Output, SshError> {
        Session::run(self, command, input, within)
    }
}

/// A script with everything that it is given.
pub struct Call<'a> {
    /// The script.
    pub script: &'a str,
    /// As whom, if not as whoever signed in.
    pub as_user: Option<&'a str>,
    /// Its values. Names that begin with `tegata.` are ours.
    pub values: Vec<(&'a str, Zeroizing<String>)>,
    /// What follows them: the content of a file.
    pub content: &'a [u8],
    /// How long it may take.
    pub within: Duration,
}

/// What a script said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether there was something to do; `None` if it did not say.
    pub changed: Option<bool>,
    /// What it found out.
    pub facts: BTreeMap<String, String>,
    /// What else it printed.
    pub printed: String,
}

/// A task that was not done: in one word, and what people are told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{told}")]
pub struct Failed {
    /// In one word.
    pub trouble: HostTrouble,
    /// In many.
    pub told: String,
}

impl Failed {
    /// A failure.
    pub fn new(trouble: HostTrouble, told: impl Into<String>) -> Self {
        Self { trouble, told: told.into() }
    }
}

impl From<Nul> for Failed {
    fn from(nul: Nul) -> Self {
        Self::new(HostTrouble::InputMissing, nul.to_string())
    }
}

impl From<SshError> for Failed {
    fn from(error: SshError) -> Self {
        let trouble = match error.trouble {
            Trouble::Unreachable => HostTrouble::Unreachable,
            Trouble::Slow => HostTrouble::Slow,
            Trouble::WrongHostKey => HostTrouble::WrongHostKey,
            Trouble::NoCredentials => HostTrouble::NoCredentials,
            Trouble::SignIn => HostTrouble::SignInRefused,
            Trouble::Forbidden => HostTrouble::Forbidden,
            Trouble::Full => HostTrouble::DiskFull,
            Trouble::Missing | Trouble::Broken => HostTrouble::Broken,
        };
        let why = error.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
        Self::new(trouble, format!("{error}{why}"))
    }
}

/// The command line for every host of a platform. Whoever signs in has a POSIX shell, or on Windows whatever OpenSSH starts.
pub fn command(platform: Platform) -> &'static str {
    static SH: LazyLock<String> = LazyLock::new(|| {
        let boot = quote::sh(BOOT_SH).expect("our own script holds no NUL");
        format!("exec sh -c {boot} tegata {boot}")
    });
    static PS: LazyLock<String> = LazyLock::new(|| {
        let utf16: Vec<u8> = BOOT_PS.encode_utf16().flat_map(u16::to_le_bytes).collect();
        format!("powershell -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand {}", BASE64.encode(&utf16))
    });
    match platform {
        Platform::Linux | Platform::Macos => &SH,
        Platform::Windows => &PS,
    }
}

impl Call<'_> {
    /// Runs the script on a host of this platform.
    ///
    /// # Errors
    /// [`Failed`], if it was not run to its end, or said that it could not do its work.
    pub fn run(&self, shell: &dyn RemoteShell, platform: Platform) -> Result<Answer, Failed> {
        let line = self.line()?;
        let output = shell.run(command(platform), &[line.as_bytes(), self.content], self.within)?;
        understood(&output)
    }

    /// The first line of standard input.
    fn line(&self) -> Result<Zeroizing<String>, Nul> {
        let own = [("tegata.as", self.as_user.unwrap_or_default()), ("tegata.script", self.script)];
        let given = self.values.iter().map(|(name, value)| (*name, value.as_str()));
        let mut line = Zeroizing::new(String::from("{"));
        for (name, value) in own.into_iter().chain(given) {
            if value.contains('\0') || name.contains('\0') {
                return Err(Nul);
            }
            let comma = if line.len() > 1 { "," } else { "" };
            let value = Zeroizing::new(Value::from(value).to_string());
            line.push_str(&format!("{comma}{}:", Value::from(name)));
            line.push_str(&value);
        }
        line.push_str("}\n");
        Ok(line)
    }
}

/// Reads what a script said.
fn understood(output: &Output) -> Result<Answer, Failed> {
    let (mut answer, mut refused) = (Answer::default(), None);
    for line in output.text().lines() {
        let Some(words) = line.strip_prefix(ANSWER) else {
            answer.printed.push_str(line);
            answer.printed.push('\n');
            continue;
        };
        match words.trim_end().splitn(3, ' ').collect::<Vec<_>>()[..] {
            ["changed"] => answer.changed = Some(true),
            ["unchanged"] => answer.changed = Some(false),
            ["refused", word] => refused = serde_json::from_value(Value::from(word)).ok(),
            ["fact", name, value] => drop(answer.facts.insert(name.into(), value.into())),
            ["fact", name] => drop(answer.facts.insert(name.into(), String::new())),
            _ => {}
        }
    }
    let told = |fallback: &str| {
        let printed = answer.printed.trim();
        let from = printed.ceil_char_boundary(printed.len().saturating_sub(SHOWN_MAX));
        if printed.is_empty() { fallback.to_owned() } else { printed[from..].to_owned() }
    };
    match (refused, output.status) {
        (Some(trouble), _) => Err(Failed::new(trouble, told("the host could not do it"))),
        (None, Some(0)) => Ok(answer),
        (None, Some(code)) => Err(Failed::new(HostTrouble::TaskFailed, told(&format!("the script ended with exit code {code}")))),
        (None, None) => Err(Failed::new(HostTrouble::TaskFailed, told("the script was ended by a signal"))),
    }
}
