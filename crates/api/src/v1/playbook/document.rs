//! A playbook as it is written: what is to be so on machines that are reached by SSH.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1::policy::{Name, Platform, Text};

/// What is to be so on machines that are reached by SSH, task by task. Texts may hold `{{ vars.NAME }}`, `{{ facts.NAME }}`,
/// `{{ host.NAME }}`, `{{ clinic.NAME }}` and `{{ server.NAME }}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlaybookSpec {
    /// What it does, in one line.
    pub description: String,
    /// The systems that it is for; other devices are left out. Left out: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// How many hosts are worked on in the first wave, the second, and so on; the last counts for all that follow. Left out: all at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub serial: Vec<u32>,
    /// How many hosts may fail before no further wave is begun. Left out: none.
    #[serde(default)]
    pub max_fail: u32,
    /// What has to be known of a host, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Variable>,
    /// What is done, in this order. A task that fails ends the work on its host.
    #[schemars(length(min = 1, max = 100))]
    pub tasks: Vec<Task>,
}

/// Something that has to be known of a host. Policy says it for a clinic or a device, or `--var` for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    /// What it means.
    pub description: String,
    /// What it is unless somebody says otherwise. Left out: somebody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether nobody may see it. It is given by `--secret` alone, and goes nowhere but into standard input.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// One thing that is to be so. Exactly one of the kinds of task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Task {
    /// What it is, for people. No two tasks may share one.
    pub name: Text,
    /// Words that `--tags` selects by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub tags: Vec<Name>,
    /// What must be the case: for each fact, the values that it may have. Otherwise the task is skipped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, Vec<String>>,
    /// Tasks before it of which at least one has changed something. Otherwise the task is skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub after_change: Vec<Text>,
    /// The user as whom it is done, by sudo, on Linux and macOS. Left out or empty: whoever signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_user: Option<String>,
    /// How long it may take, in seconds. Left out: 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub seconds_max: Option<u32>,
    /// Finds out what the host is. Tasks that use facts come after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<FactsTask>,
    /// Has a file of this machine on the host: compared by hash, put there whole or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyTask>,
    /// Has a file on the host that is made from a template, in which every value is quoted: `{{ x | json }}`, `| sh`, `| ps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<CopyTask>,
    /// Has the agent's program or Debian package on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageTask>,
    /// Has the agent start by itself and run; or, with `state: absent`, neither it nor its program there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTask>,
    /// Makes the host the device that policy says it is, with a code that is made for it and used once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enroll: Option<EnrollTask>,
    /// Hands a PKCS#12 file to the browser's store of whoever signed in, on a host without an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_certificate: Option<CertificateTask>,
    /// Removes every copy of files from folders, by what they contain, on a host without an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_installers: Option<InstallersTask>,
    /// Runs a script that never changes with its values: they come as JSON on its standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunTask>,
    /// Ends the work on a host that is not what it must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assert: Option<AssertTask>,
    /// Asks the browser of whoever signed in to end, so that it reads its policies when it starts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot_browser: Option<BrowserTask>,
}

/// Finds out what the host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FactsTask {}

/// A file on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CopyTask {
    /// The file here; a path that is not absolute begins where the playbook lies.
    pub from: String,
    /// The file there, an absolute path. Folders above it are made.
    pub to: String,
    /// Its rights there, in octal, such as `"0644"`; Windows takes those of the folder. Left out: `"0644"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^0[0-7]{3}$"))]
    pub mode: Option<String>,
}

/// The agent's program or package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageTask {
    /// The program, or a package `….deb`, here.
    pub from: String,
    /// Where it lies there, an absolute path. A package is kept there, to compare it the next time.
    pub to: String,
}

/// Whether the agent starts by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceTask {
    /// The agent's program there.
    pub program: String,
    /// How it is to be.
    pub state: ServiceState,
}

/// How the agent is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// It runs, and starts by itself.
    Started,
    /// It does not start by itself any more, and its program is gone.
    Absent,
}

/// Makes the host a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnrollTask {
    /// The agent's program there.
    pub program: String,
    /// The agent's own folder. Left out or empty: its usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The home folder of the user whose browser gets the certificates. Left out or empty: that of whoever it is done as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// The folder for browser policies. Left out or empty: the browsers' usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_policies: Option<String>,
    /// What `browser` means in a profile: `auto`, `nss` or `file`. Left out: `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystore: Option<String>,
}

/// Hands over a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateTask {
    /// The PKCS#12 file here.
    pub file: String,
    /// The secret variable that opens it.
    pub password: String,
}

/// Removes installer files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstallersTask {
    /// The files here whose copies go there.
    #[schemars(length(min = 1, max = 100))]
    pub copies_of: Vec<String>,
    /// The folders there, each by itself, without those in it.
    #[schemars(length(min = 1, max = 20))]
    pub folders: Vec<String>,
}

/// Runs a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunTask {
    /// The script here: `….sh` or `….ps1`. It gets a value by `read_value NAME` (then it is in `$value`), or as `$values.NAME`.
    pub script: String,
    /// What it is given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// What else it is given: for each name the secret variable. It must not hand them on as arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// A path there. The script is not run if something is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<String>,
    /// A script here that changes nothing. The other is not run if this one ends well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
}

/// What a host must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssertTask {
    /// For each fact, the values that it may have.
    pub that: BTreeMap<String, Vec<String>>,
    /// What to do if it is not so.
    pub hint: String,
}

/// Asks the browser to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BrowserTask {}
