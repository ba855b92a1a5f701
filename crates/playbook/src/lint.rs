//! What is wrong with a playbook and can be told without any host: everything at once, each with its place.

use std::collections::{BTreeMap, BTreeSet};

use tegata_api::hint::{did_you_mean, quote};
use tegata_api::v1::playbook::{Task, is_variable};
use tegata_api::v1::policy::{Kind, Platform};
use tegata_api::v1::problem::Finding;
use tegata_api::yaml::Document;

use crate::host::{Host, Pins};
use crate::playbook::Playbook;
use crate::values::{self, CLINIC, FACTS, HOST, SERVER};

/// The longest script, in bytes: it is read line by line, and by people.
const SCRIPT_MAX: usize = 16 << 10;

/// Looks a playbook through.
pub fn lint(playbook: &Playbook) -> Vec<Finding> {
    let mut lint = Lint { playbook, findings: Vec::new(), knows_facts: false, names: BTreeSet::new() };
    lint.variables();
    for (index, task) in playbook.spec().tasks.iter().enumerate() {
        lint.task(&format!("/spec/tasks/{index}"), task);
    }
    lint.findings
}

/// Hosts that cannot be spoken to, since nobody has said what they are known by; each where its device stands in the documents.
pub fn lint_hosts(hosts: &[Host], documents: &[Document]) -> Vec<Finding> {
    let unknown = hosts.iter().filter(|host| host.pins == Pins::Unknown);
    let finding = |host: &Host| {
        let (document, index) = place(host, documents)?;
        let message = format!("no host key is pinned for {} ({})", host.name(), host.address);
        let hint = "pin it in the device's ssh.hostKeys (ssh-keyscan prints it), name the authority that signs host certificates in the \
                    clinic's ssh.hostAuthorities, or open a window with its ssh.firstUse";
        Some(document.finding(&format!("/spec/devices/{index}/ssh"), message, hint.into()))
    };
    unknown.filter_map(finding).collect()
}

/// Where a host's device is written: the document of its clinic, and which of its devices.
fn place<'a>(host: &Host, documents: &'a [Document]) -> Option<(&'a Document, usize)> {
    let document = documents.iter().find(|document| document.kind == Kind::ClinicNetwork && document.name == host.id.clinic.as_str())?;
    let devices = document.body.pointer("/spec/devices")?.as_array()?;
    Some((document, devices.iter().position(|device| device["name"] == host.id.device.as_str())?))
}

struct Lint<'a> {
    playbook: &'a Playbook,
    findings: Vec<Finding>,
    knows_facts: bool,
    /// Tasks above.
    names: BTreeSet<&'a str>,
}

impl<'a> Lint<'a> {
    fn say(&mut self, at: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.findings.push(self.playbook.document.finding(at, message.into(), hint.into()));
    }

    fn variables(&mut self) {
        for (name, variable) in &self.playbook.spec().variables {
            let at = format!("/spec/variables/{name}");
            if !is_variable(name) {
                self.say(
                    &at,
                    format!("{} is no name of a variable", quote(name)),
                    "begin with a letter; letters, digits and '_' may follow",
                );
            }
            if variable.secret && variable.default.is_some() {
                self.say(&format!("{at}/default"), "a secret stands in the playbook", "delete the default, and give it with --secret");
            }
        }
    }

    fn task(&mut self, at: &str, task: &'a Task) {
        let kinds = kinds(task);
        match kinds[..] {
            [_] => {}
            [] => self.say(at, format!("task {} does nothing", quote(&task.name.0)), format!("give it one of {}", KINDS.join(", "))),
            _ => self.say(at, format!("task {} is several at once: {}", quote(&task.name.0), kinds.join(", ")), "make a task of each"),
        }
        if !self.names.insert(&task.name.0) {
            self.say(&format!("{at}/name"), format!("there are two tasks named {}", quote(&task.name.0)), "each needs a name of its own");
        }
        self.conditions(at, task);
        let texts = texts(at, task);
        for (at, text) in &texts {
            self.text(at, text);
        }
        self.template(at, task);
        self.scripts(at, task);
        self.secrets(at, task);
        self.knows_facts |= task.facts.is_some();
    }

    fn conditions(&mut self, at: &str, task: &'a Task) {
        let asserted = task.assert.iter().flat_map(|assert| assert.that.keys()).map(|fact| (format!("{at}/assert/that/{fact}"), fact));
        for (at, fact) in task.when.keys().map(|fact| (format!("{at}/when/{fact}"), fact)).chain(asserted) {
            self.known(&at, "facts", fact, &FACTS);
        }
        for (index, before) in task.after_change.iter().enumerate() {
            if before.0 == task.name.0 || !self.names.contains(before.0.as_str()) {
                let hint = did_you_mean(&before.0, self.names.iter().copied());
                let hint = hint.unwrap_or_else(|| "name a task that stands above this one".into());
                self.say(&format!("{at}/afterChange/{index}"), format!("there is no task {} before this one", quote(&before.0)), hint);
            }
        }
    }

    fn text(&mut self, at: &str, text: &str) {
        let asked = match values::asked_for(text) {
            Ok(asked) => asked,
            Err(error) => return self.say(at, format!("this is no template: {error}"), "write {{ vars.NAME }}"),
        };
        for name in asked {
            let (group, name) = name.split_once('.').unwrap_or((&name, ""));
            let variables = &self.playbook.spec().variables;
            match group {
                "vars" if variables.get(name).is_some_and(|variable| variable.secret) => self.say(
                    at,
                    format!("the secret {} would become an argument or a part of a file", quote(name)),
                    "name it under secrets of run, or as password of installCertificate: it travels on standard input then",
                ),
                "vars" => {
                    let names: Vec<&str> = variables.keys().map(String::as_str).collect();
                    self.known(at, "vars", name, &names);
                }
                "facts" if names_a_file_here(at) => self.say(
                    at,
                    "a host would choose by what it says of itself which file of this machine it is sent",
                    "write one task for each file, with `when`",
                ),
                "facts" => self.known(at, "facts", name, &FACTS),
                "host" => self.known(at, "host", name, &HOST),
                "clinic" => self.known(at, "clinic", name, &CLINIC),
                "server" => self.known(at, "server", name, &SERVER),
                other => {
                    let hint = did_you_mean(other, ["vars", "facts", "host", "clinic", "server"]);
                    self.say(at, format!("there is no variable {}", quote(other)), hint.unwrap_or_else(|| "write vars.NAME".into()));
                }
            }
        }
    }

    fn known(&mut self, at: &str, group: &str, name: &str, names: &[&str]) {
        if !names.contains(&name) {
            let hint = did_you_mean(name, names.iter().copied());
            let declare = if group == "vars" { "declare it under spec.variables" } else { "choose from those that there are" };
            self.say(at, format!("there is no variable {}", quote(&format!("{group}.{name}"))), hint.unwrap_or_else(|| declare.into()));
        } else if group == "facts" && !self.knows_facts {
            self.say(at, format!("{} is not known yet", quote(&format!("facts.{name}"))), "put a task with facts: {} before this one");
        }
    }

    /// What a template asks for, if it is known already which one it is.
    fn template(&mut self, at: &str, task: &Task) {
        let Some(file) = task.template.as_ref().filter(|file| !file.from.contains("{{")) else { return };
        let at = format!("{at}/template/from");
        match std::fs::read_to_string(self.playbook.path(&file.from)) {
            Ok(text) => self.text(&at, &text),
            Err(error) => {
                self.say(&at, format!("{} cannot be read: {error}", quote(&file.from)), "a template is a file beside the playbook")
            }
        }
    }

    fn scripts(&mut self, at: &str, task: &Task) {
        let Some(run) = &task.run else { return };
        if run.creates.is_none() && run.unless.is_none() {
            let hint = "say with creates or unless when there is nothing to do";
            self.say(&format!("{at}/run"), format!("task {} would run each time", quote(&task.name.0)), hint);
        }
        let scripts = [("script", Some(&run.script)), ("unless", run.unless.as_ref())];
        for (key, named) in scripts.into_iter().filter_map(|(key, named)| Some((key, named?))) {
            let at = format!("{at}/run/{key}");
            let read = std::fs::read_to_string(self.playbook.path(named));
            match read {
                Err(error) => self.say(&at, format!("{} cannot be read: {error}", quote(named)), "a script is a file beside the playbook"),
                Ok(text) if text.len() > SCRIPT_MAX => {
                    self.say(&at, format!("{} has {} bytes; at most {SCRIPT_MAX} are taken", quote(named), text.len()), "make it shorter");
                }
                Ok(text) if text.contains("{{") || text.contains("{%") => {
                    let hint = "give it what differs as values: read_value NAME, or $values.NAME";
                    self.say(&at, format!("{} is a template, but a script never changes", quote(named)), hint);
                }
                Ok(_) => self.language(&at, named),
            }
        }
        for name in run.values.keys().chain(run.secrets.keys()).filter(|name| !is_variable(name)) {
            self.say(
                &format!("{at}/run"),
                format!("{} is no name of a value", quote(name)),
                "begin with a letter; letters, digits and '_' may follow",
            );
        }
        for name in run.secrets.keys().filter(|name| run.values.contains_key(*name)) {
            self.say(&format!("{at}/run/secrets/{name}"), format!("{} is a value too", quote(name)), "each needs a name of its own");
        }
    }

    /// A script is in the one language that all hosts of the playbook have.
    fn language(&mut self, at: &str, named: &str) {
        let platforms = &self.playbook.spec().platforms;
        let (is_sh, is_ps) = (named.ends_with(".sh"), named.ends_with(".ps1"));
        let windows = platforms.iter().filter(|platform| **platform == Platform::Windows).count();
        let fits = (is_sh && windows == 0 && !platforms.is_empty()) || (is_ps && windows == 1 && platforms.len() == 1);
        if !fits {
            let hint = "platforms: [linux, macos] for a script ….sh, platforms: [windows] for one ….ps1";
            self.say(at, format!("{} is not in the language of all hosts of this playbook", quote(named)), hint);
        }
    }

    fn secrets(&mut self, at: &str, task: &Task) {
        let of_run = task.run.iter().flat_map(|run| &run.secrets).map(|(name, secret)| (format!("{at}/run/secrets/{name}"), secret));
        let password = task.install_certificate.as_ref().map(|task| (format!("{at}/installCertificate/password"), &task.password));
        for (at, secret) in of_run.chain(password) {
            if !self.playbook.spec().variables.get(secret).is_some_and(|variable| variable.secret) {
                let hint = "declare it under spec.variables with secret: true";
                self.say(&at, format!("there is no secret variable {}", quote(secret)), hint);
            }
        }
    }
}

/// Every kind of task, as it is written.
pub const KINDS: [&str; 11] = [
    "facts",
    "copy",
    "template",
    "package",
    "service",
    "enroll",
    "installCertificate",
    "removeInstallers",
    "run",
    "assert",
    "rebootBrowser",
];

/// The kinds of a task that are there.
fn kinds(task: &Task) -> Vec<&'static str> {
    let there = [
        task.facts.is_some(),
        task.copy.is_some(),
        task.template.is_some(),
        task.package.is_some(),
        task.service.is_some(),
        task.enroll.is_some(),
        task.install_certificate.is_some(),
        task.remove_installers.is_some(),
        task.run.is_some(),
        task.assert.is_some(),
        task.reboot_browser.is_some(),
    ];
    KINDS.into_iter().zip(there).filter_map(|(kind, there)| there.then_some(kind)).collect()
}

/// True for a text that names a file of the machine on which playbooks are run.
fn names_a_file_here(at: &str) -> bool {
    ["copy/from", "template/from", "package/from", "installCertificate/file"].iter().any(|key| at.ends_with(key))
        || at.contains("/copiesOf/")
}

/// Every text of a task that is filled, and where it stands.
fn texts<'a>(at: &str, task: &'a Task) -> BTreeMap<String, &'a str> {
    let mut texts = BTreeMap::new();
    let mut add = |key: String, text: &'a str| {
        texts.insert(format!("{at}/{key}"), text);
    };
    let optional =
        |texts: [(&'static str, &'a Option<String>); 4]| texts.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?)));
    task.as_user.iter().for_each(|user| add("asUser".into(), user));
    for (kind, file) in [("copy", &task.copy), ("template", &task.template)] {
        file.iter().for_each(|file| {
            [("from", &file.from), ("to", &file.to)].into_iter().for_each(|(key, text)| add(format!("{kind}/{key}"), text))
        });
    }
    if let Some(package) = &task.package {
        [("from", &package.from), ("to", &package.to)].into_iter().for_each(|(key, text)| add(format!("package/{key}"), text));
    }
    task.service.iter().for_each(|service| add("service/program".into(), &service.program));
    if let Some(enroll) = &task.enroll {
        add("enroll/program".into(), &enroll.program);
        let options = [
            ("state", &enroll.state),
            ("home", &enroll.home),
            ("browserPolicies", &enroll.browser_policies),
            ("keystore", &enroll.keystore),
        ];
        optional(options).for_each(|(key, text)| add(format!("enroll/{key}"), text));
    }
    task.install_certificate.iter().for_each(|task| add("installCertificate/file".into(), &task.file));
    if let Some(installers) = &task.remove_installers {
        installers.copies_of.iter().enumerate().for_each(|(index, text)| add(format!("removeInstallers/copiesOf/{index}"), text));
        installers.folders.iter().enumerate().for_each(|(index, text)| add(format!("removeInstallers/folders/{index}"), text));
    }
    if let Some(run) = &task.run {
        run.values.iter().for_each(|(name, text)| add(format!("run/values/{name}"), text));
        run.creates.iter().for_each(|text| add("run/creates".into(), text));
    }
    texts
}
