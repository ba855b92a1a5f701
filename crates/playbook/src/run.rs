//! A run: hosts in waves, in each wave several at a time, on each host task after task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tegata_api::v1::playbook::{HostResult, HostState, HostTrouble, Mode, Task};
use tegata_core::name::DeviceId;
use tegata_ssh::HostKey;
use zeroize::Zeroizing;

use crate::content::Contents;
use crate::host::Host;
use crate::playbook::Playbook;
use crate::reach::{Credentials, reach};
use crate::remote::{Failed, RemoteShell};
use crate::task;
use crate::values::Values;

/// What a run asks of the Tegata server. Errors are told to people.
pub trait Server: Sync {
    /// Makes a code by which this device enrols, once.
    ///
    /// # Errors
    /// Why there is none.
    fn code(&self, device: &DeviceId) -> Result<Zeroizing<String>, String>;

    /// Puts on record that this key was believed.
    ///
    /// # Errors
    /// Why it may not be.
    fn trust(&self, device: &DeviceId, key: &HostKey) -> Result<(), String>;
}

/// What a run is told.
pub struct Options {
    /// Whether anything may be changed.
    pub mode: Mode,
    /// Whether it is told how files differ.
    pub diff: bool,
    /// Only tasks with one of these; none: all.
    pub tags: BTreeSet<String>,
    /// How many hosts are worked on at the same time.
    pub parallel: usize,
    /// The longest silence while a session begins.
    pub patience: Duration,
    /// What somebody signs in with.
    pub credentials: Credentials,
    /// Variables for this run.
    pub variables: BTreeMap<String, String>,
    /// Secrets for this run.
    pub secrets: BTreeMap<String, Zeroizing<String>>,
    /// The address of the server, as devices reach it.
    pub server_url: String,
}

/// What came of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Its conditions do not hold.
    Skipped,
    /// It was so already.
    Unchanged,
    /// It is so now.
    Changed,
    /// It is not so; it was only looked.
    WouldChange,
}

/// Something that people see while a run goes on.
pub enum Event<'a> {
    /// A key was seen for the first time, and is on record.
    Trusted {
        /// Whose.
        host: &'a Host,
        /// What people compare.
        fingerprint: &'a str,
    },
    /// A task was looked at.
    Task {
        /// Where.
        host: &'a Host,
        /// Which.
        task: &'a str,
        /// What came of it.
        word: Word,
        /// How a file differs, if it was asked for.
        diff: Option<&'a str>,
    },
    /// A host is done.
    Host {
        /// What came of it.
        result: &'a HostResult,
        /// Why it failed.
        told: Option<&'a str>,
    },
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Each host, in the order of their names.
    pub hosts: Vec<HostResult>,
}

impl Report {
    /// How many hosts ended in this state.
    pub fn count(&self, state: HostState) -> usize {
        self.hosts.iter().filter(|host| host.state == state).count()
    }
}

/// Carries a playbook out on hosts. Blocking. Once `interrupted` is set, no further task is begun.
pub fn run(
    playbook: &Playbook,
    hosts: &[Host],
    options: &Options,
    server: &dyn Server,
    interrupted: &AtomicBool,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Report {
    let job = Job { playbook, options, server, interrupted, tell, contents: Contents::default() };
    let (mut results, mut rest) = (Vec::new(), hosts);
    for size in waves(&playbook.spec().serial, hosts.len()) {
        let (wave, after) = rest.split_at(size);
        rest = after;
        let failed = results.iter().filter(|result: &&HostResult| result.state == HostState::Failed).count();
        let is_over = interrupted.load(Ordering::Relaxed);
        if is_over || (!results.is_empty() && failed > playbook.spec().max_fail as usize) {
            let trouble = if is_over { HostTrouble::Interrupted } else { HostTrouble::TooManyFailures };
            results.extend(wave.iter().map(|host| not_begun(host, trouble)));
        } else {
            results.extend(job.wave(wave));
        }
    }
    results.sort_by(|one, other| one.host.cmp(&other.host));
    Report { hosts: results }
}

fn not_begun(host: &Host, trouble: HostTrouble) -> HostResult {
    HostResult { host: host.name(), state: HostState::NotBegun, trouble: Some(trouble), task: None, changed: 0 }
}

/// The sizes of the waves of so many hosts.
fn waves(serial: &[u32], hosts: usize) -> Vec<usize> {
    let (mut sizes, mut left, mut index) = (Vec::new(), hosts, 0);
    while left > 0 {
        let written = serial.get(index).or(serial.last()).map_or(left, |size| *size as usize);
        let size = written.clamp(1, left);
        sizes.push(size);
        left -= size;
        index += 1;
    }
    sizes
}

struct Job<'a> {
    playbook: &'a Playbook,
    options: &'a Options,
    server: &'a dyn Server,
    interrupted: &'a AtomicBool,
    tell: &'a (dyn Fn(Event<'_>) + Sync),
    contents: Contents,
}

/// How far a host came.
#[derive(Default)]
struct Progress<'a> {
    changed: u32,
    would_change: bool,
    /// The task that is under way.
    task: Option<&'a str>,
}

impl<'a> Job<'a> {
    /// Works on some hosts, several at a time.
    fn wave(&self, hosts: &[Host]) -> Vec<HostResult> {
        let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..self.options.parallel.clamp(1, hosts.len().max(1)) {
                scope.spawn(|| {
                    while let Some(host) = hosts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = self.host(host);
                        // Whoever panicked has put nothing half into the list.
                        results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                    }
                });
            }
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, host: &Host) -> HostResult {
        if self.interrupted.load(Ordering::Relaxed) {
            return not_begun(host, HostTrouble::Interrupted);
        }
        let mut progress = Progress::default();
        let ended = self.tasks(host, &mut progress);
        let state = match (&ended, progress.changed) {
            (Err(_), _) => HostState::Failed,
            (Ok(()), 0) => HostState::Unchanged,
            (Ok(()), _) if progress.would_change => HostState::WouldChange,
            (Ok(()), _) => HostState::Changed,
        };
        let failed = ended.err();
        let result = HostResult {
            host: host.name(),
            state,
            trouble: failed.as_ref().map(|failed| failed.trouble),
            task: failed.as_ref().and(progress.task).map(str::to_owned),
            changed: progress.changed,
        };
        (self.tell)(Event::Host { result: &result, told: failed.as_ref().map(|failed| failed.told.as_str()) });
        result
    }

    fn tasks(&self, host: &Host, progress: &mut Progress<'a>) -> Result<(), Failed> {
        let variables = self.variables(host)?;
        let shell = reach(host, &self.options.credentials, self.options.patience, self.server, self.tell)?;
        let values = Values::of(host, &self.options.server_url, &variables);
        self.all(host, &shell, values, progress)
    }

    fn all(&self, host: &Host, shell: &dyn RemoteShell, values: Values, progress: &mut Progress<'a>) -> Result<(), Failed> {
        let Self { playbook, options, server, contents, .. } = self;
        let mut work = task::Work { host, shell, values, playbook, options, server: *server, contents, changed: BTreeSet::new() };
        for task in self.playbook.spec().tasks.iter().filter(|task| self.is_chosen(task)) {
            progress.task = Some(&task.name.0);
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Failed::new(HostTrouble::Interrupted, "the run was ended before this task"));
            }
            let (word, diff) = work.carry_out(task)?;
            if matches!(word, Word::Changed | Word::WouldChange) {
                work.changed.insert(&task.name.0);
                progress.changed += 1;
                progress.would_change |= word == Word::WouldChange;
            }
            (self.tell)(Event::Task { host, task: &task.name.0, word, diff: diff.as_deref() });
        }
        Ok(())
    }

    /// Facts and assertions are looked at whatever was chosen: the others rely on them.
    fn is_chosen(&self, task: &Task) -> bool {
        let tags = &self.options.tags;
        tags.is_empty() || task.facts.is_some() || task.assert.is_some() || task.tags.iter().any(|tag| tags.contains(&tag.0))
    }

    /// What is known of a host: the playbook's own word, then the clinic's, the device's, and that of whoever started the run.
    fn variables(&self, host: &Host) -> Result<BTreeMap<String, String>, Failed> {
        let mut variables = BTreeMap::new();
        for (name, declared) in self.playbook.spec().variables.iter().filter(|(_, declared)| !declared.secret) {
            let known = self.options.variables.get(name).or(host.variables.get(name)).or(declared.default.as_ref());
            let missing = || {
                let told = format!("nobody has said what {name} is ({}): say it in policy, or with --var {name}=…", declared.description);
                Failed::new(HostTrouble::InputMissing, told)
            };
            variables.insert(name.clone(), known.ok_or_else(missing)?.clone());
        }
        Ok(variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_grow_as_they_are_told_and_the_last_counts_for_the_rest() {
        assert_eq!(waves(&[], 30), [30]);
        assert_eq!(waves(&[1, 5, 10], 30), [1, 5, 10, 10, 4]);
        assert_eq!(waves(&[50], 30), [30]);
        assert_eq!(waves(&[0], 2), [1, 1]);
        assert!(waves(&[3], 0).is_empty());
    }
}
