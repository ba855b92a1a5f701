//! The policy file beside those of others, folders that are closed, and browsers that hold an old decision.

use std::os::unix::fs::symlink;
use std::process::Child;

use serde_json::{Value, json};
use tegata_api::v1::device::BrowserRule;

use super::policy::{FILE, MERGE, SELECT};
use super::*;
use crate::disk;

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
        Chromium::new(&self.state, self.root.path(), vec![PolicyFolder::named(self.policies())])
    }

    fn read(&self) -> Value {
        serde_json::from_slice(&disk::read(&self.policies().join(FILE)).unwrap().unwrap()).unwrap()
    }

    fn start_browser(&self) -> Child {
        crate::pretend::start_browser(self.root.path())
    }
}

fn rules(patterns: &[&str]) -> BTreeSet<BrowserRule> {
    let rule = |pattern: &&str| BrowserRule {
        pattern: (*pattern).into(),
        issuer_common_name: "Sakura \"CA\"".into(),
        subject_organization: "sakura".into(),
        subject_common_name: None,
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
        ("05-commented.json", "{ // by hand\n\"PolicyListMultipleSourceMergeList\": [\"Commented\",],\n}"),
        ("zz-broken.json", "{ not json"),
        ("zz-other.json", r#"{"HomepageLocation": "https://x"}"#),
        // Chromium reads every file of the folder.
        ("notes.txt", r#"{"PolicyListMultipleSourceMergeList": ["Unnamed"]}"#),
        (".hidden", r#"{"PolicyListMultipleSourceMergeList": ["Hidden"]}"#),
        ("list", r#"["PolicyListMultipleSourceMergeList"]"#),
    ];
    fs::create_dir_all(pc.policies().join("folder")).unwrap();
    for (name, text) in foreign {
        fs::write(pc.policies().join(name), text).unwrap();
    }
    symlink("nowhere", pc.policies().join("dangling")).unwrap();
    pc.browser().select(&rules(&["https://a"])).unwrap();
    assert_eq!(pc.read()[MERGE], json!([SELECT, "Commented", "Hidden", "URLBlocklist", "Unnamed"]));
    pc.browser().select(&rules(&[])).unwrap();
    for (name, text) in foreign {
        assert_eq!(fs::read_to_string(pc.policies().join(name)).unwrap(), text);
    }
}

/// Browsers would read it as a policy file.
#[test]
fn what_a_crash_left_half_written_does_not_stay_in_the_folder() {
    let pc = Pc::new();
    pc.browser().select(&rules(&["https://a"])).unwrap();
    fs::write(pc.policies().join(".tegata-x1"), "{}").unwrap();
    assert!(!pc.browser().select(&rules(&["https://a"])).unwrap());
    assert_eq!(disk::entries(&pc.policies()).unwrap(), [pc.policies().join(FILE)]);
}

#[test]
fn only_folders_that_a_browser_reads_are_made_and_the_others_as_soon_as_one_does() {
    let pc = Pc::new();
    let sign = pc.root.path().join("etc/chrome");
    let mut browser = Chromium::new(&pc.state, pc.root.path(), vec![PolicyFolder::shown_by(pc.policies(), sign.clone())]);
    assert!(!browser.select(&rules(&["https://a"])).unwrap());
    assert!(!pc.policies().exists());
    fs::create_dir_all(&sign).unwrap();
    assert!(browser.select(&rules(&["https://a"])).unwrap());
    assert!(pc.policies().join(FILE).exists());
}

/// Nobody can make a folder in /sys, not even root: as a clinic's user cannot in /etc.
#[test]
fn a_closed_folder_names_the_command_that_opens_it_and_stops_no_other() {
    let pc = Pc::new();
    let mut child = pc.start_browser();
    let closed = ["/sys/tegata/chromium", "/sys/tegata/chrome"].map(|path| PolicyFolder::named(path.into()));
    let told = |folders: &[PolicyFolder]| {
        let mut browser = Chromium::new(&pc.state, pc.root.path(), folders.to_vec());
        let refused = browser.select(&rules(&["https://a"])).unwrap_err();
        (crate::told(&refused), browser.holds_old().unwrap())
    };
    let (problem, holds_old) = told(&closed);
    let owner = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    let command = format!(
        "sudo install -d -o {} -m 0755 /sys/tegata/chromium /sys/tegata/chrome: cannot make the folder",
        String::from_utf8(owner).unwrap().trim()
    );
    assert!(problem.contains(&command), "{problem}");
    assert!(!holds_old, "nothing has changed, so browsers have nothing to forget");
    let [first, last] = closed;
    told(&[first, PolicyFolder::named(pc.policies()), last]);
    assert!(pc.policies().join(FILE).exists());
    child.kill().unwrap();
    child.wait().unwrap();
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
