//! The kinds of tasks. Each looks first, and does something only if there is something to do and it may.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tegata_api::v1::playbook::{
    AssertTask, CertificateTask, CopyTask, EnrollTask, HostTrouble, InstallersTask, Mode, PackageTask, RunTask, ServiceState, ServiceTask,
    Task,
};
use tegata_core::policy::Platform;
use zeroize::Zeroizing;

use crate::content::{Content, Contents};
use crate::host::Host;
use crate::playbook::Playbook;
use crate::quote;
use crate::remote::{Answer, Call, Failed, RemoteShell};
use crate::run::{Options, Server, Word};
use crate::values::Values;

mod diff;

/// How long a task may take, unless it says otherwise.
const WITHIN: Duration = Duration::from_secs(300);
/// The rights of a file, unless its task says otherwise.
const MODE: &str = "0644";
const PROGRAM_MODE: &str = "0755";

/// A script of our own, in both languages.
struct Own {
    sh: &'static str,
    ps: Option<&'static str>,
}

macro_rules! own {
    ($name:literal) => {
        Own { sh: include_str!(concat!("sh/", $name, ".sh")), ps: Some(include_str!(concat!("ps/", $name, ".ps1"))) }
    };
}

const FACTS: Own = own!("facts");
const COPY: Own = own!("copy");
const READ: Own = own!("read");
const SERVICE: Own = own!("service");
const ENROLL: Own = own!("enroll");
const CERTIFICATE: Own = own!("certificate");
const INSTALLERS: Own = own!("installers");
const GUARD: Own = own!("guard");
const PACKAGE: Own = Own { sh: include_str!("sh/package.sh"), ps: None };
/// A session of SSH sees no windows of another session of Windows.
const BROWSER: Own = Own { sh: include_str!("sh/browser.sh"), ps: None };

/// The values of a script.
type Given<'a> = Vec<(&'a str, Zeroizing<String>)>;
/// What came of a task, and how a file differs.
type Done = (Word, Option<String>);

/// One host while its tasks are carried out.
pub(crate) struct Work<'a> {
    pub host: &'a Host,
    pub shell: &'a dyn RemoteShell,
    pub values: Values,
    pub playbook: &'a Playbook,
    pub options: &'a Options,
    pub server: &'a dyn Server,
    pub contents: &'a Contents,
    /// Tasks that have changed something, or would.
    pub changed: BTreeSet<&'a str>,
}

/// What every call of a task shares.
#[derive(Clone, Copy)]
struct Manner<'a> {
    as_user: Option<&'a str>,
    within: Duration,
}

impl Work<'_> {
    /// Looks at a task, and does it if it may.
    pub fn carry_out(&mut self, task: &Task) -> Result<Done, Failed> {
        let is_wanted = task.after_change.is_empty() || task.after_change.iter().any(|before| self.changed.contains(before.0.as_str()));
        if !is_wanted || !self.holds(&task.when)? {
            return Ok((Word::Skipped, None));
        }
        let as_user = task.as_user.as_deref().map(|user| self.text(user)).transpose()?.filter(|user| !user.is_empty());
        if as_user.is_some() && self.host.platform == Platform::Windows {
            return Err(Failed::new(HostTrouble::ToolMissing, "asUser needs sudo, which Windows has not: sign in as that user"));
        }
        let within = task.seconds_max.map_or(WITHIN, |seconds| Duration::from_secs(seconds.into()));
        let manner = Manner { as_user: as_user.as_deref(), within };
        let plain = |word: Result<Word, Failed>| word.map(|word| (word, None));
        match task {
            Task { facts: Some(_), .. } => plain(self.facts(manner)),
            Task { assert: Some(assert), .. } => plain(self.assert(assert)),
            Task { copy: Some(file), .. } => self.copy(file, manner),
            Task { template: Some(file), .. } => self.template(file, manner),
            Task { package: Some(package), .. } => plain(self.package(package, manner)),
            Task { service: Some(service), .. } => plain(self.service(service, manner)),
            Task { enroll: Some(enroll), .. } => plain(self.enroll(enroll, manner)),
            Task { install_certificate: Some(certificate), .. } => plain(self.certificate(certificate, manner)),
            Task { remove_installers: Some(installers), .. } => plain(self.installers(installers, manner)),
            Task { run: Some(run), .. } => plain(self.run(run, manner)),
            Task { reboot_browser: Some(_), .. } => plain(self.settle(&BROWSER, manner, vec![], || Ok((vec![], None)))),
            _ => Err(Failed::new(HostTrouble::Broken, "the task does nothing")),
        }
    }

    fn holds(&self, conditions: &BTreeMap<String, Vec<String>>) -> Result<bool, Failed> {
        for (name, allowed) in conditions {
            let fact = self.values.fact(name);
            let fact = fact.ok_or_else(|| Failed::new(HostTrouble::Broken, format!("the host did not say what its {name} is")))?;
            if !allowed.iter().any(|value| value == fact) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn facts(&mut self, manner: Manner<'_>) -> Result<Word, Failed> {
        let answer = self.call(self.own(&FACTS)?, manner, vec![], &[])?;
        self.values.learn(&answer.facts);
        Ok(Word::Unchanged)
    }

    fn assert(&self, assert: &AssertTask) -> Result<Word, Failed> {
        if self.holds(&assert.that)? { Ok(Word::Unchanged) } else { Err(Failed::new(HostTrouble::AssertionFailed, assert.hint.clone())) }
    }

    fn copy(&self, file: &CopyTask, manner: Manner<'_>) -> Result<Done, Failed> {
        let content = self.content(&file.from)?;
        self.place(&content, &self.text(&file.to)?, file.mode.as_deref().unwrap_or(MODE), manner)
    }

    fn template(&self, file: &CopyTask, manner: Manner<'_>) -> Result<Done, Failed> {
        let template = self.content(&file.from)?;
        let template = String::from_utf8_lossy(&template.bytes);
        let filled =
            self.values.file(&template).map_err(|error| Failed::new(HostTrouble::InputMissing, format!("{}: {error}", file.from)))?;
        self.place(&Content::of(filled.into_bytes()), &self.text(&file.to)?, file.mode.as_deref().unwrap_or(MODE), manner)
    }

    /// Has a file there, whole or not at all.
    fn place(&self, content: &Content, to: &str, mode: &str, manner: Manner<'_>) -> Result<Done, Failed> {
        let given = vec![plain("to", to), plain("sha256", content.sha256.to_string()), plain("mode", mode)];
        let diff = if self.options.diff { self.difference(content, to, manner)? } else { None };
        let word = self.settle(&COPY, manner, given, || Ok((vec![], Some(&content.bytes))))?;
        Ok((word, diff.filter(|_| word != Word::Unchanged)))
    }

    fn difference(&self, content: &Content, to: &str, manner: Manner<'_>) -> Result<Option<String>, Failed> {
        if content.bytes.len() > diff::MAX {
            return Ok(None);
        }
        let there = self.call(self.own(&READ)?, manner, vec![plain("to", to)], &[])?;
        Ok(std::str::from_utf8(&content.bytes).ok().map(|text| diff::lines(&there.printed, text)))
    }

    fn package(&self, package: &PackageTask, manner: Manner<'_>) -> Result<Word, Failed> {
        let (content, to) = (self.content(&package.from)?, self.text(&package.to)?);
        if !self.text(&package.from)?.ends_with(".deb") {
            return Ok(self.place(&content, &to, PROGRAM_MODE, manner)?.0);
        }
        let (copied, _) = self.place(&content, &to, MODE, manner)?;
        if copied == Word::WouldChange {
            return Ok(copied);
        }
        let installed = self.settle(&PACKAGE, manner, vec![plain("file", to)], || Ok((vec![], None)))?;
        Ok(if copied == Word::Changed { copied } else { installed })
    }

    fn service(&self, service: &ServiceTask, manner: Manner<'_>) -> Result<Word, Failed> {
        let state = match service.state {
            ServiceState::Started => "started",
            ServiceState::Absent => "absent",
        };
        let given = vec![plain("program", self.text(&service.program)?), plain("state", state)];
        self.settle(&SERVICE, manner, given, || Ok((vec![], None)))
    }

    /// The code is made only for a host that needs one, and is good once.
    fn enroll(&self, enroll: &EnrollTask, manner: Manner<'_>) -> Result<Word, Failed> {
        let (server, device) = (self.options.server_url.clone(), self.host.name());
        let options = [
            ("state", "--state", &enroll.state),
            ("home", "--home", &enroll.home),
            ("browserPolicies", "--browser-policies", &enroll.browser_policies),
            ("keystore", "--keystore", &enroll.keystore),
        ];
        let mut given = vec![plain("program", self.text(&enroll.program)?), plain("server", &*server), plain("device", &*device)];
        let mut arguments = ["enroll", "--server", &server, "--device", &device, "--code", "-"].map(str::to_owned).to_vec();
        let mut asking = ["status", "-o", "json"].map(str::to_owned).to_vec();
        for (name, flag, text) in options.into_iter().filter_map(|(name, flag, text)| Some((name, flag, text.as_deref()?))) {
            let text = self.text(text)?;
            if text.is_empty() {
                continue;
            }
            arguments.extend([flag.to_owned(), text.clone()]);
            if name == "state" {
                asking.extend([flag.to_owned(), text.clone()]);
            }
            given.push(plain(name, text));
        }
        if self.host.platform == Platform::Windows {
            for (name, words) in [("enrollArguments", arguments), ("statusArguments", asking)] {
                given.push(plain(name, quote::windows(&words.iter().map(String::as_str).collect::<Vec<_>>())?));
            }
        }
        self.settle(&ENROLL, manner, given, || {
            let code = self.server.code(&self.host.id).map_err(|told| Failed::new(HostTrouble::NoCode, told))?;
            Ok((vec![("code", code)], None))
        })
    }

    fn certificate(&self, task: &CertificateTask, manner: Manner<'_>) -> Result<Word, Failed> {
        let (content, password) = (self.content(&task.file)?, self.secret(&task.password)?);
        let opened = tegata_pki::pkcs12::read(&content.bytes, &password);
        let bundle = opened.map_err(|error| Failed::new(HostTrouble::InputMissing, format!("{}: {error}", task.file)))?;
        let own = bundle.chain.first().ok_or_else(|| Failed::new(HostTrouble::InputMissing, "there is no certificate in the file"))?;
        let given = vec![plain("fingerprint", tegata_pki::key::sha256(own).to_string())];
        self.settle(&CERTIFICATE, manner, given, || Ok((vec![("password", password)], Some(&content.bytes))))
    }

    fn installers(&self, task: &InstallersTask, manner: Manner<'_>) -> Result<Word, Failed> {
        let hashes: Vec<String> =
            task.copies_of.iter().map(|file| Ok(self.content(file)?.sha256.to_string())).collect::<Result<_, Failed>>()?;
        let names: Vec<String> = (0..task.folders.len()).map(|number| format!("folder.{number}")).collect();
        let mut given = vec![plain("hashes", hashes.join(" "))];
        for (name, folder) in names.iter().zip(&task.folders) {
            given.push(plain(name, self.text(folder)?));
        }
        self.settle(&INSTALLERS, manner, given, || Ok((vec![], None)))
    }

    fn run(&self, run: &RunTask, manner: Manner<'_>) -> Result<Word, Failed> {
        let given = || -> Result<Given<'_>, Failed> {
            let values = run.values.iter().map(|(name, text)| Ok(plain(name, self.text(text)?)));
            let secrets = run.secrets.iter().map(|(name, secret)| Ok((name.as_str(), self.secret(secret)?)));
            values.chain(secrets).collect()
        };
        if let Some(path) = &run.creates {
            let guard = self.call(self.own(&GUARD)?, manner, vec![plain("creates", self.text(path)?)], &[])?;
            if guard.changed == Some(false) {
                return Ok(Word::Unchanged);
            }
        }
        if let Some(unless) = &run.unless {
            let script = self.script(unless)?;
            match self.call(&script, manner, given()?, &[]) {
                Ok(_) => return Ok(Word::Unchanged),
                Err(Failed { trouble: HostTrouble::TaskFailed, .. }) => {}
                Err(failed) => return Err(failed),
            }
        }
        if self.options.mode == Mode::Check {
            return Ok(Word::WouldChange);
        }
        self.call(&self.script(&run.script)?, manner, given()?, &[])?;
        Ok(Word::Changed)
    }

    /// Looks; if there is something to do and it may be done, does it, with what is fetched only then.
    fn settle<'b>(
        &self,
        own: &Own,
        manner: Manner<'_>,
        given: Given<'b>,
        late: impl FnOnce() -> Result<(Given<'b>, Option<&'b Vec<u8>>), Failed>,
    ) -> Result<Word, Failed> {
        let script = self.own(own)?;
        let unclear = || Failed::new(HostTrouble::Broken, "the host did not say whether there is something to do");
        let looked = with(&given, vec![plain("step", "check")]);
        match self.call(script, manner, looked, &[])?.changed.ok_or_else(unclear)? {
            false => return Ok(Word::Unchanged),
            true if self.options.mode == Mode::Check => return Ok(Word::WouldChange),
            true => {}
        }
        let (more, content) = late()?;
        let mut all = with(&given, more);
        all.push(plain("step", "apply"));
        self.call(script, manner, all, content.map_or(&[], Vec::as_slice))?.changed.ok_or_else(unclear)?;
        Ok(Word::Changed)
    }

    fn call(&self, script: &str, manner: Manner<'_>, values: Given<'_>, content: &[u8]) -> Result<Answer, Failed> {
        Call { script, as_user: manner.as_user, values, content, within: manner.within }.run(self.shell, self.host.platform)
    }

    fn own(&self, own: &Own) -> Result<&'static str, Failed> {
        match self.host.platform {
            Platform::Linux | Platform::Macos => Ok(own.sh),
            Platform::Windows => own.ps.ok_or_else(|| Failed::new(HostTrouble::ToolMissing, "this cannot be done on Windows over SSH")),
        }
    }

    fn script(&self, named: &str) -> Result<String, Failed> {
        let content = self.contents.read(&self.playbook.path(named));
        let content = content.map_err(|error| Failed::new(HostTrouble::InputMissing, format!("{named}: {error}")))?;
        Ok(String::from_utf8_lossy(&content.bytes).into_owned())
    }

    fn content(&self, named: &str) -> Result<Arc<Content>, Failed> {
        let path = self.playbook.path(Path::new(&self.text(named)?).to_str().unwrap_or_default());
        self.contents.read(&path).map_err(|error| Failed::new(HostTrouble::InputMissing, format!("{}: {error}", path.display())))
    }

    fn secret(&self, name: &str) -> Result<Zeroizing<String>, Failed> {
        let secret = self.options.secrets.get(name).cloned();
        secret.ok_or_else(|| {
            Failed::new(HostTrouble::InputMissing, format!("nobody has given the secret {name}: give it with --secret {name}=…"))
        })
    }

    fn text(&self, template: &str) -> Result<String, Failed> {
        // Nothing but the names of what is missing: values are not shown.
        self.values.text(template).map_err(|error| Failed::new(HostTrouble::InputMissing, format!("{template}: {error}")))
    }
}

fn plain(name: &str, value: impl Into<String>) -> (&str, Zeroizing<String>) {
    (name, Zeroizing::new(value.into()))
}

fn with<'a>(given: &Given<'a>, more: Given<'a>) -> Given<'a> {
    given.iter().cloned().chain(more).collect()
}
