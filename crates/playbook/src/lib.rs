//! Playbooks: from a machine that can be reached by SSH to an enrolled device, or to a certificate on a machine that never has an agent.
//!
//! ```text
//! policy ─hosts→ Host ┐
//! file   ─read→  Playbook ─lint→ ┴─run→ for each host: reach → task, task, … → HostResult
//! ```
//!
//! **No command is ever made from data.** Every host is given the same two command lines ([`remote`]): one for `sh`, one for PowerShell. The
//! script of a task, which never changes, and its values come on standard input, as JSON. Templates fill texts, and texts are values.
//!
//! Every task looks first and says whether there is something to do; only then, and not in check mode, it does it, whole or not at all. So
//! everything can be repeated, and the second run is quiet.
//!
//! **Not another Ansible.** Out of scope, and to stay so: other kinds of tasks, loops, roles, includes, handlers with names, expressions in
//! conditions, facts that scripts make up, inventories other than policy, plug-ins, an agent-less renewal, running without a server. What a
//! clinic's PC needs beyond the agent and its certificates belongs to whatever manages the PC.
//!
//! Hosts are known by keys that policy pins, by certificates of authorities that it pins, or by a key that was believed once within a window
//! that policy has opened.

mod content;
mod host;
mod lint;
mod playbook;
pub mod quote;
mod reach;
pub mod remote;
mod run;
mod task;
mod values;

pub use content::Contents;
pub use host::{Host, Pins, hosts};
pub use lint::{lint, lint_hosts};
pub use playbook::Playbook;
pub use reach::Credentials;
pub use run::{Event, Options, Report, Server, Word, run};

#[cfg(test)]
mod tests;
