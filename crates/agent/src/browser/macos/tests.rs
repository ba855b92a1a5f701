//! Preferences with elements of others in them. `defaults` and `ps` are stood in for by what their manuals say, argument by argument.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use plist::Dictionary;

use super::*;
use crate::command::CommandError;
use crate::crash::{self, Unplugged};

const CHROME: &str = "com.google.Chrome";

/// A Mac: the preferences of its user by domain, the processes that run, and every call that wrote something.
#[derive(Default)]
struct Mac {
    preferences: RefCell<BTreeMap<String, Dictionary>>,
    processes: RefCell<BTreeMap<u32, &'static str>>,
    written: RefCell<Vec<Vec<String>>>,
    reads: Cell<u32>,
}

impl Mac {
    fn put(&self, domain: &str, key: &str, value: Value) {
        self.preferences.borrow_mut().entry(domain.into()).or_default().insert(key.into(), value);
    }

    fn put_list(&self, texts: &[&str]) {
        self.put(CHROME, SELECT, Value::Array(texts.iter().map(|text| (*text).into()).collect()));
    }

    /// Patterns of ours, texts of others.
    fn list(&self, domain: &str) -> Vec<String> {
        let preferences = self.preferences.borrow();
        let list = preferences.get(domain).and_then(|preferences| preferences.get(SELECT)).and_then(Value::as_array);
        let pattern = |text: &Value| {
            let text = text.as_string().unwrap();
            serde_json::from_str(text).map_or(text.to_owned(), |it: serde_json::Value| it["pattern"].as_str().unwrap().to_owned())
        };
        list.map(|list| list.iter().map(pattern).collect()).unwrap_or_default()
    }

    /// "defaults export domain -": the domain as an XML property list on standard output; one that is not there is empty.
    fn export(&self, domain: &str) -> Vec<u8> {
        self.reads.set(self.reads.get() + 1);
        let preferences = self.preferences.borrow().get(domain).cloned().unwrap_or_default();
        let mut xml = Vec::new();
        Value::Dictionary(preferences).to_writer_xml(&mut xml).unwrap();
        xml
    }

    /// "-array: allows the user to specify an array; the specified array overwrites the value of the key"; "-string" before an element says
    /// that it is a text.
    fn write(&self, domain: &str, key: &str, elements: &[&str]) {
        assert!(!elements.is_empty() && elements.len().is_multiple_of(2));
        let text = |pair: &[&str]| {
            assert_eq!(pair[0], "-string");
            Value::from(pair[1])
        };
        self.put(domain, key, Value::Array(elements.chunks(2).map(text).collect()));
    }
}

fn failed(program: &str, complaint: &str) -> CommandError {
    CommandError::Failed { program: program.into(), complaint: complaint.into() }
}

impl Tools for Mac {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Vec<u8>, CommandError> {
        crash::point();
        let said = match (program, arguments) {
            ("/usr/bin/defaults", ["export", domain, "-"]) => return Ok(self.export(domain)),
            ("/usr/bin/env", ["TZ=UTC0", "/bin/ps", "-p", number, "-o", "lstart=", "-o", "comm="]) => {
                let processes = self.processes.borrow();
                let program = processes.get(&number.parse().unwrap()).ok_or_else(|| failed("env", "exit status: 1"))?;
                return Ok(format!("Fri Nov  7 04:05:06 2025     {program}\n").into_bytes());
            }
            ("/usr/bin/defaults", ["write", domain, key, "-array", elements @ ..]) => {
                self.write(domain, key, elements);
                Ok(Vec::new())
            }
            ("/usr/bin/defaults", ["delete", domain, key]) => {
                let removed = self.preferences.borrow_mut().get_mut(*domain).and_then(|domain| domain.remove(key));
                removed.map(|_| Vec::new()).ok_or_else(|| failed("defaults", "Domain (com.google.Chrome) not found."))
            }
            other => panic!("nobody documents {other:?}"),
        };
        self.written.borrow_mut().push(arguments.iter().map(ToString::to_string).collect());
        crash::point();
        said
    }
}

struct Pc {
    root: tempfile::TempDir,
    state: State,
    mac: Rc<Mac>,
}

impl Pc {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let state = State::make(&root.path().join("agent")).unwrap();
        Self { root, state, mac: Rc::default() }
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("Users/sakura")
    }

    fn managed(&self) -> PathBuf {
        self.root.path().join("Managed Preferences")
    }

    fn browser(&self) -> Preferences {
        Preferences::with(&self.state, &self.home(), &DOMAINS, &self.managed(), Rc::clone(&self.mac) as _)
    }

    /// A configuration profile for Chrome. macOS keeps them in the binary form.
    fn force(&self, below: &str, elements: &[String]) {
        let folder = self.managed().join(below);
        std::fs::create_dir_all(&folder).unwrap();
        let list = Value::Array(elements.iter().cloned().map(Value::from).collect());
        let forced = Dictionary::from_iter([(SELECT, list)]);
        Value::from(forced).to_file_binary(folder.join("com.google.Chrome.plist")).unwrap();
    }

    fn hold_lock(&self, process: u32) {
        let data = self.home().join(USER_DATA[0]);
        std::fs::create_dir_all(&data).unwrap();
        std::os::unix::fs::symlink(format!("sakura-no-mac-{process}"), data.join("SingletonLock")).unwrap();
    }
}

fn rules(patterns: &[&str]) -> BTreeSet<BrowserRule> {
    let rule = |pattern: &&str| BrowserRule {
        pattern: (*pattern).into(),
        issuer_common_name: "Sakura \"CA\" 桜".into(),
        subject_organization: "sakura".into(),
        subject_common_name: None,
    };
    patterns.iter().map(rule).collect()
}

fn element(pattern: &str) -> String {
    rules(&[pattern]).first().unwrap().policy_element()
}

#[test]
fn rules_are_written_as_texts_for_both_browsers_once_and_deleted_when_none_is_left() {
    let pc = Pc::new();
    assert!(!pc.browser().select(&rules(&[])).unwrap());
    assert_eq!(pc.mac.reads.get(), 0, "nothing to say, nothing to ask");
    assert!(pc.browser().select(&rules(&["https://b", "https://a"])).unwrap());
    assert!(!pc.browser().select(&rules(&["https://a", "https://b"])).unwrap());
    assert!(pc.browser().select(&rules(&[])).unwrap());
    let (a, b) = (element("https://a"), element("https://b"));
    let write = |domain: &str| ["write", domain, SELECT, "-array", "-string", &a, "-string", &b].map(str::to_owned).to_vec();
    let delete = |domain: &str| ["delete", domain, SELECT].map(str::to_owned).to_vec();
    let [chrome, edge] = DOMAINS;
    assert_eq!(*pc.mac.written.borrow(), [write(chrome), write(edge), delete(chrome), delete(edge)]);
    assert!(!pc.state.browser_policies().exists() || pc.browser().memory().unwrap().is_empty());
}

#[test]
fn elements_of_others_stay_where_they_are_and_so_do_their_other_preferences() {
    let pc = Pc::new();
    pc.mac.put(CHROME, "LastRunAppBundlePath", "/Applications/Google Chrome.app".into());
    pc.mac.put_list(&["theirs", "theirs too"]);
    for (patterns, expected) in [
        (&["https://a", "https://b"][..], &["theirs", "theirs too", "https://a", "https://b"][..]),
        (&["https://b", "https://c"], &["theirs", "theirs too", "https://b", "https://c"]),
        (&[], &["theirs", "theirs too"]),
    ] {
        assert!(pc.browser().select(&rules(patterns)).unwrap());
        assert_eq!(pc.mac.list(CHROME), expected);
    }
    assert_eq!(pc.mac.preferences.borrow()[CHROME].len(), 2);
}

#[test]
fn what_is_no_list_of_texts_is_left_alone_and_named() {
    for odd in [Value::from("a text"), Value::Array(vec!["a".into(), 7.into()])] {
        let pc = Pc::new();
        pc.mac.put(CHROME, SELECT, odd);
        let problem = pc.browser().select(&rules(&["https://a"])).unwrap_err().to_string();
        assert!(problem.starts_with("AutoSelectCertificateForUrls in the preferences com.google.Chrome is not a list"), "{problem}");
        assert!(pc.mac.written.borrow().is_empty());
    }
}

#[test]
fn a_profile_that_overrules_ours_is_named_and_one_that_says_the_same_is_not() {
    let wanted = || rules(&["https://a"]);
    for below in ["", "sakura"] {
        let pc = Pc::new();
        pc.force(below, &[]);
        let problem = pc.browser().select(&wanted()).unwrap_err();
        assert!(matches!(&problem, BrowserError::Overruled { profile } if profile.ends_with("com.google.Chrome.plist")), "{problem}");
        assert_eq!(pc.mac.list(CHROME), ["https://a"], "should the profile go");
        let element: serde_json::Value = serde_json::from_str(&element("https://a")).unwrap();
        let turned = format!("{{ \"pattern\": {}, \"filter\": {} }}", element["pattern"], element["filter"]);
        pc.force(below, &[turned, "theirs".into()]);
        assert!(!pc.browser().select(&wanted()).unwrap());
        pc.browser().select(&rules(&[])).unwrap();
    }
    // The user's own profile comes before everybody's.
    let pc = Pc::new();
    pc.force("", &[element("https://a")]);
    pc.force("sakura", &[]);
    pc.browser().select(&wanted()).unwrap_err();
}

#[test]
fn a_browser_that_ran_through_a_change_holds_the_old_decision_until_it_ends() {
    let pc = Pc::new();
    pc.hold_lock(311);
    pc.mac.processes.borrow_mut().insert(311, "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    assert!(!pc.browser().holds_old().unwrap(), "nothing has changed yet");
    pc.browser().select(&rules(&["https://a"])).unwrap();
    assert!(pc.browser().holds_old().unwrap(), "even after the agent was restarted");
    pc.mac.processes.borrow_mut().clear();
    assert!(!pc.browser().holds_old().unwrap());
}

#[test]
fn a_lock_that_is_left_over_means_nothing() {
    let pc = Pc::new();
    pc.hold_lock(311);
    pc.browser().certificates_changed().unwrap();
    pc.mac.processes.borrow_mut().insert(311, "/usr/sbin/cfprefsd");
    pc.browser().certificates_changed().unwrap();
    assert!(!pc.browser().holds_old().unwrap());
}

#[test]
fn a_crash_between_any_two_writes_heals_with_whatever_is_wanted_next() {
    let states: [&[&str]; 3] = [&[], &["https://a", "https://b"], &["https://b", "https://c"]];
    let mut points = 0;
    for (before, during, after) in [(0, 1, 0), (0, 1, 2), (1, 2, 1), (1, 2, 0), (1, 0, 2), (2, 1, 1)] {
        for n in 0.. {
            let pc = Pc::new();
            pc.mac.put_list(&["theirs"]);
            pc.browser().select(&rules(states[before])).unwrap();
            crash::after(Some(n));
            let outcome = catch_unwind(AssertUnwindSafe(|| pc.browser().select(&rules(states[during]))));
            crash::after(None);
            match outcome {
                Ok(result) => {
                    result.unwrap();
                    break;
                }
                Err(panic) => assert!(panic.is::<Unplugged>()),
            }
            points += 1;
            pc.browser().select(&rules(states[after])).unwrap();
            let expected: Vec<&str> = ["theirs"].into_iter().chain(states[after].iter().copied()).collect();
            assert_eq!(
                (pc.mac.list(CHROME), pc.mac.list(DOMAINS[1])),
                (expected.iter().map(ToString::to_string).collect(), states[after].iter().map(ToString::to_string).collect()),
                "{n}"
            );
            pc.browser().select(&rules(&[])).unwrap();
            assert_eq!((pc.mac.list(CHROME).as_slice(), pc.mac.list(DOMAINS[1]).len()), (["theirs".to_owned()].as_slice(), 0), "{n}");
            assert!(pc.browser().memory().unwrap().is_empty());
        }
    }
    assert!(points > 40, "the plug was pulled {points} times only");
}
