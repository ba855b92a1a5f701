//! Chromium and Chrome on Linux: one policy file of ours beside those of others, and the locks of running browsers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tegata_api::v1::device::BrowserRule;

use super::{Browser, policy_element};
use crate::disk::{self, DiskError, Readers};
use crate::state::State;

/// Our file. Browsers read the files of the folder in the order of their names.
const FILE: &str = "tegata.json";
/// The policy that selects certificates.
const SELECT: &str = "AutoSelectCertificateForUrls";
/// The policy that names the policies whose lists are joined over all files; without it the last file replaces the others' lists.
const MERGE: &str = "PolicyListMultipleSourceMergeList";

/// Where Chromium and Chrome look for policies (`policy_paths.cc`).
const POLICY_FOLDERS: [&str; 2] = ["/etc/chromium/policies/managed", "/etc/opt/chrome/policies/managed"];
/// Where browsers keep their users' data, below the home folder; a link `SingletonLock` in it names the running process.
const USER_DATA: [&str; 6] = [
    ".config/chromium",
    ".config/google-chrome",
    ".config/google-chrome-beta",
    ".config/google-chrome-unstable",
    ".config/microsoft-edge",
    "snap/chromium/common/chromium",
];

/// The browsers of one user.
pub(super) struct Chromium {
    home: PathBuf,
    folders: Vec<PathBuf>,
    memory: PathBuf,
}

/// The folders that Chromium and Chrome read.
pub(super) fn policy_folders() -> Vec<PathBuf> {
    POLICY_FOLDERS.iter().map(PathBuf::from).collect()
}

/// A running browser: the same number may later belong to another process, the start time does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    process: u32,
    started: u64,
}

impl Chromium {
    /// For the user of `home`, with policies in `folders`.
    pub(super) fn new(state: &State, home: &Path, folders: Vec<PathBuf>) -> Self {
        Self { home: home.to_owned(), folders, memory: state.browsers() }
    }

    /// Those that were running at a change and still are.
    fn remembered(&self) -> Result<BTreeSet<Running>, DiskError> {
        let known: BTreeSet<Running> = disk::read_json(&self.memory)?.unwrap_or_default();
        Ok(known.into_iter().filter(|browser| started(browser.process) == Some(browser.started)).collect())
    }

    fn running(&self) -> BTreeSet<Running> {
        USER_DATA.iter().filter_map(|folder| running_in(&self.home.join(folder))).collect()
    }
}

impl Browser for Chromium {
    fn select(&mut self, rules: &BTreeSet<BrowserRule>) -> Result<bool, DiskError> {
        let mut changed = false;
        for folder in self.folders.clone() {
            let path = folder.join(FILE);
            let wanted = if rules.is_empty() { None } else { Some(policy(rules, &folder)?) };
            if disk::read_text(&path)? == wanted {
                continue;
            }
            self.certificates_changed()?;
            changed = true;
            match wanted {
                Some(text) => {
                    make_public_folder(&folder)?;
                    disk::write(&path, text.as_bytes(), Readers::Everyone)?;
                }
                None => drop(disk::remove(&path)?),
            }
        }
        Ok(changed)
    }

    fn certificates_changed(&mut self) -> Result<(), DiskError> {
        let known = self.remembered()?;
        let all: BTreeSet<Running> = known.union(&self.running()).cloned().collect();
        if all == known { Ok(()) } else { disk::write_json(&self.memory, &all) }
    }

    fn holds_old(&self) -> Result<bool, DiskError> {
        Ok(!self.remembered()?.is_empty())
    }
}

/// Our file as it should be. What others want merged stays merged, since of this list too only one file's counts.
fn policy(rules: &BTreeSet<BrowserRule>, folder: &Path) -> Result<String, DiskError> {
    let mut merged = BTreeSet::from([SELECT.to_owned()]);
    for path in disk::files(folder)?.into_iter().filter(|path| is_policy(path) && !path.ends_with(FILE)) {
        merged.extend(merge_list(&path)?);
    }
    let elements: Vec<String> = rules.iter().map(policy_element).collect();
    let text = serde_json::to_string_pretty(&json!({ SELECT: elements, MERGE: merged }));
    Ok(text.map_err(std::io::Error::from).map_err(disk::failing("write", folder))? + "\n")
}

/// What another file wants merged; nothing from a file that browsers cannot read either.
fn merge_list(path: &Path) -> Result<Vec<String>, DiskError> {
    let text = disk::read(path)?.unwrap_or_default();
    let document: Value = serde_json::from_slice(&text).unwrap_or_default();
    let list = document[MERGE].as_array().cloned().unwrap_or_default();
    let list: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let overrules = path.file_name() > Some(FILE.as_ref()) && document.get(MERGE).is_some();
    if overrules && !list.iter().any(|name| name == SELECT || name == "*") {
        tracing::warn!(file = %path.display(), "this policy file comes later and its {MERGE} does not name {SELECT}: certificates may have to be chosen by hand");
    }
    Ok(list)
}

fn is_policy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// Browsers run as other users, so the folder has to be open to them.
fn make_public_folder(folder: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(folder).map_err(disk::failing("make the folder (only an administrator may, for browser policies)", folder))
}

/// The browser that uses this folder: its lock is a link to `host-process`, and may be left over from a crash.
fn running_in(user_data: &Path) -> Option<Running> {
    let lock = fs::read_link(user_data.join("SingletonLock")).ok()?;
    let (host, process) = lock.to_str()?.rsplit_once('-')?;
    let process = process.parse().ok()?;
    (host == crate::facts::hostname() && is_browser(process)).then_some(())?;
    Some(Running { process, started: started(process)? })
}

fn is_browser(process: u32) -> bool {
    let program = fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ["chrom", "edge"].iter().any(|part| name.contains(part))
}

/// When a process started, in clock ticks since the PC did: field 22 of `/proc/<pid>/stat`, counted behind the name's bracket.
fn started(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::{Child, Command};

    use super::*;

    struct Pc {
        root: tempfile::TempDir,
        state: State,
    }

    impl Pc {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let state = State::make(&root.path().join("agent")).unwrap();
            Self { root, state }
        }

        fn policies(&self) -> PathBuf {
            self.root.path().join("policies/managed")
        }

        fn browser(&self) -> Chromium {
            Chromium::new(&self.state, self.root.path(), vec![self.policies()])
        }

        fn read(&self) -> Value {
            serde_json::from_slice(&disk::read(&self.policies().join(FILE)).unwrap().unwrap()).unwrap()
        }

        /// A process that is called like a browser, and its lock.
        fn start_browser(&self) -> Child {
            let program = self.root.path().join("chromium");
            fs::copy(crate::command::find("sleep").unwrap(), &program).unwrap();
            let child = Command::new(program).arg("1000").spawn().unwrap();
            let data = self.root.path().join(".config/chromium");
            fs::create_dir_all(&data).unwrap();
            symlink(format!("{}-{}", crate::facts::hostname(), child.id()), data.join("SingletonLock")).unwrap();
            child
        }
    }

    fn rules(patterns: &[&str]) -> BTreeSet<BrowserRule> {
        let rule = |pattern: &&str| BrowserRule {
            pattern: (*pattern).into(),
            issuer_common_name: "Sakura \"CA\"".into(),
            subject_organization: "sakura".into(),
        };
        patterns.iter().map(rule).collect()
    }

    #[test]
    fn rules_become_texts_of_json_in_a_list_that_is_merged() {
        let pc = Pc::new();
        assert!(pc.browser().select(&rules(&["https://karte.example.jp"])).unwrap());
        let written = pc.read();
        let element: Value = serde_json::from_str(written[SELECT][0].as_str().unwrap()).unwrap();
        assert_eq!(
            element,
            json!({"pattern": "https://karte.example.jp", "filter": {"ISSUER": {"CN": "Sakura \"CA\""}, "SUBJECT": {"O": "sakura"}}})
        );
        assert_eq!(written[MERGE], json!([SELECT]));
    }

    #[test]
    fn the_file_is_written_only_when_it_differs_and_removed_when_it_is_empty() {
        let pc = Pc::new();
        assert!(!pc.browser().select(&rules(&[])).unwrap(), "nothing to say, nothing to make");
        assert!(pc.browser().select(&rules(&["https://b", "https://a"])).unwrap());
        let before = fs::metadata(pc.policies().join(FILE)).unwrap().modified().unwrap();
        assert!(!pc.browser().select(&rules(&["https://a", "https://b"])).unwrap());
        assert_eq!(fs::metadata(pc.policies().join(FILE)).unwrap().modified().unwrap(), before);
        assert!(pc.browser().select(&rules(&[])).unwrap());
        assert!(!pc.policies().join(FILE).exists());
    }

    #[test]
    fn what_others_want_merged_stays_merged_and_their_files_stay_as_they_are() {
        let pc = Pc::new();
        let foreign = [
            ("00-vendor.json", r#"{"AutoSelectCertificateForUrls": ["x"], "PolicyListMultipleSourceMergeList": ["URLBlocklist", 7]}"#),
            ("zz-broken.json", "{ not json"),
            ("zz-other.json", r#"{"HomepageLocation": "https://x"}"#),
            ("notes.txt", r#"{"PolicyListMultipleSourceMergeList": ["Never"]}"#),
        ];
        fs::create_dir_all(pc.policies()).unwrap();
        for (name, text) in foreign {
            fs::write(pc.policies().join(name), text).unwrap();
        }
        pc.browser().select(&rules(&["https://a"])).unwrap();
        assert_eq!(pc.read()[MERGE], json!([SELECT, "URLBlocklist"]));
        pc.browser().select(&rules(&[])).unwrap();
        for (name, text) in foreign {
            assert_eq!(fs::read_to_string(pc.policies().join(name)).unwrap(), text);
        }
    }

    #[test]
    fn a_browser_that_ran_through_a_change_holds_the_old_decision_until_it_ends() {
        let pc = Pc::new();
        let mut child = pc.start_browser();
        assert!(!pc.browser().holds_old().unwrap(), "nothing has changed yet");
        pc.browser().select(&rules(&["https://a"])).unwrap();
        assert!(pc.browser().holds_old().unwrap(), "even after the agent was restarted");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!pc.browser().holds_old().unwrap());
    }

    #[test]
    fn a_lock_that_is_left_over_means_nothing() {
        let pc = Pc::new();
        let mut child = pc.start_browser();
        child.kill().unwrap();
        child.wait().unwrap();
        pc.browser().certificates_changed().unwrap();
        assert!(!pc.browser().holds_old().unwrap());
        // The number now belongs to something that is no browser.
        let data = pc.root.path().join(".config/google-chrome");
        fs::create_dir_all(&data).unwrap();
        symlink(format!("{}-{}", crate::facts::hostname(), std::process::id()), data.join("SingletonLock")).unwrap();
        pc.browser().certificates_changed().unwrap();
        assert!(!pc.browser().holds_old().unwrap());
    }
}
