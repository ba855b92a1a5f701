//! The real registry, in keys of the test's own, with elements of others in it; and real processes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE};

use super::policies::SELECT;
use super::*;
use crate::crash::{self, Unplugged};

mod locked;

/// Keys that no browser reads, gone at the end.
struct Pc {
    folder: tempfile::TempDir,
    state: State,
    path: String,
}

impl Pc {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(&folder.path().join("agent")).unwrap();
        Self { path: format!(r"SOFTWARE\Tegata test {}\Chrome", crate::chance::name()), state, folder }
    }

    fn browser(&self) -> Registered {
        Registered::at(&self.state, &[&self.path])
    }

    /// Another agent, which knows nothing of the first.
    fn other(&self) -> Registered {
        Registered::at(&State::make(&self.folder.path().join("other")).unwrap(), &[&self.path])
    }

    fn list(&self) -> String {
        format!(r"{}\{SELECT}", self.path)
    }

    fn put(&self, root: &Key, name: &str, text: &str) {
        root.create(self.list()).unwrap().set_string(name, text).unwrap();
    }

    /// Every value of the list, the patterns of ours only.
    fn read(&self, root: &Key) -> Vec<(String, String)> {
        let Ok(key) = root.open(self.list()) else { return Vec::new() };
        let pattern = |text: String| match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(element) => element["pattern"].as_str().unwrap().to_owned(),
            Err(_) => text,
        };
        let mut found: Vec<_> = key.values().unwrap().map(|(name, value)| (name, pattern(String::try_from(value).unwrap()))).collect();
        found.sort();
        found
    }

    fn background(&self) -> [Option<u32>; 2] {
        [LOCAL_MACHINE, CURRENT_USER].map(|root| root.open(&self.path).and_then(|key| key.get_u32("BackgroundModeEnabled")).ok())
    }

    fn is_list_there(&self, root: &Key) -> bool {
        root.open(self.list()).is_ok()
    }
}

impl Drop for Pc {
    fn drop(&mut self) {
        let (above, _) = self.path.rsplit_once('\\').unwrap();
        let _ = LOCAL_MACHINE.remove_tree(above);
        let _ = CURRENT_USER.remove_tree(above);
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

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn rules_become_numbered_texts_that_read_back_as_they_were_meant() {
    let pc = Pc::new();
    assert!(pc.browser().select(&rules(&["https://karte.example.jp"])).unwrap());
    let text = LOCAL_MACHINE.open(pc.list()).unwrap().get_string("1").unwrap();
    assert_eq!(text, rules(&["https://karte.example.jp"]).first().unwrap().policy_element());
    assert!(!pc.browser().select(&rules(&["https://karte.example.jp"])).unwrap(), "a second time nothing is done");
    assert!(pc.browser().select(&rules(&[])).unwrap());
    assert!(!pc.is_list_there(LOCAL_MACHINE) && !pc.is_list_there(CURRENT_USER));
    assert!(!pc.browser().select(&rules(&[])).unwrap());
}

#[test]
fn elements_of_others_keep_their_numbers_while_ours_come_change_and_go() {
    let pc = Pc::new();
    pc.put(LOCAL_MACHINE, "1", "theirs");
    pc.put(LOCAL_MACHINE, "3", "theirs too");
    LOCAL_MACHINE.open(pc.list()).and_then(|_| LOCAL_MACHINE.create(pc.list())).unwrap().set_u32("4", 7).unwrap();
    let numbers = |pc: &Pc| LOCAL_MACHINE.open(pc.list()).unwrap().get_u32("4").unwrap();
    for (patterns, expected) in [
        (&["https://a", "https://b"][..], &[("1", "theirs"), ("2", "https://a"), ("3", "theirs too"), ("5", "https://b")][..]),
        (&["https://b", "https://c"], &[("1", "theirs"), ("2", "https://c"), ("3", "theirs too"), ("5", "https://b")]),
        (&["https://c"], &[("1", "theirs"), ("2", "https://c"), ("3", "theirs too")]),
        (&[], &[("1", "theirs"), ("3", "theirs too")]),
    ] {
        assert!(pc.browser().select(&rules(patterns)).unwrap());
        let key = LOCAL_MACHINE.open(pc.list()).unwrap();
        let texts: Vec<String> = key.values().unwrap().filter(|(name, _)| name != "4").map(|(name, _)| name).collect();
        assert_eq!((texts.len(), numbers(&pc)), (expected.len(), 7));
        let found: Vec<_> = expected.iter().map(|(name, _)| key.get_string(name).unwrap()).collect();
        for ((_, meant), found) in expected.iter().zip(found) {
            assert!(found.contains(meant), "{meant} / {found}");
        }
    }
    assert!(pc.is_list_there(LOCAL_MACHINE));
}

#[test]
fn the_user_s_own_list_is_used_where_one_for_everybody_would_overrule_it() {
    let pc = Pc::new();
    pc.put(CURRENT_USER, "1", "theirs");
    pc.browser().select(&rules(&["https://a"])).unwrap();
    assert_eq!(pc.read(CURRENT_USER), pairs(&[("1", "theirs"), ("2", "https://a")]));
    assert!(!pc.is_list_there(LOCAL_MACHINE));
    // Now somebody else overrules the user: ours have to be there too.
    pc.put(LOCAL_MACHINE, "1", "an administrator's");
    pc.browser().select(&rules(&["https://a"])).unwrap();
    assert_eq!(pc.read(LOCAL_MACHINE), pairs(&[("1", "an administrator's"), ("2", "https://a")]));
    assert_eq!(pc.read(CURRENT_USER), pairs(&[("1", "theirs")]));
}

#[test]
fn two_agents_leave_each_other_alone_and_come_to_rest() {
    let pc = Pc::new();
    let (mut one, mut other) = (pc.browser(), pc.other());
    one.select(&rules(&["https://a", "https://both"])).unwrap();
    other.select(&rules(&["https://b", "https://both"])).unwrap();
    let settled = pc.read(LOCAL_MACHINE);
    assert_eq!(settled.len(), 4);
    assert!(!one.select(&rules(&["https://a", "https://both"])).unwrap());
    assert!(!other.select(&rules(&["https://b", "https://both"])).unwrap());
    assert_eq!((pc.read(LOCAL_MACHINE), pc.background()), (settled, [Some(0), None]));
    one.select(&rules(&[])).unwrap();
    let left: Vec<String> = pc.read(LOCAL_MACHINE).into_iter().map(|(_, pattern)| pattern).collect();
    assert_eq!(left, ["https://b", "https://both"]);
    other.select(&rules(&["https://b", "https://both"])).unwrap();
    assert_eq!(pc.background(), [Some(0), None], "the first has taken back its own");
    other.select(&rules(&[])).unwrap();
    assert!(!pc.is_list_there(LOCAL_MACHINE) && pc.background() == [None, None]);
}

#[test]
fn whether_browsers_go_on_in_the_background_is_ours_only_if_nobody_else_says_it() {
    for (root, value) in [(LOCAL_MACHINE, 1), (CURRENT_USER, 0)] {
        let pc = Pc::new();
        root.create(&pc.path).unwrap().set_u32("BackgroundModeEnabled", value).unwrap();
        let before = pc.background();
        pc.browser().select(&rules(&["https://a"])).unwrap();
        assert_eq!(pc.background(), before);
        pc.browser().select(&rules(&[])).unwrap();
        assert_eq!(pc.background(), before);
    }
    let pc = Pc::new();
    pc.browser().select(&rules(&["https://a"])).unwrap();
    assert_eq!(pc.background(), [Some(0), None]);
    // Somebody else says something else after us.
    LOCAL_MACHINE.create(&pc.path).unwrap().set_u32("BackgroundModeEnabled", 1).unwrap();
    pc.browser().select(&rules(&["https://b"])).unwrap();
    pc.browser().select(&rules(&[])).unwrap();
    assert_eq!(pc.background(), [Some(1), None]);
}

/// Selects, and pulls the plug at the `n`-th point. False if there were not that many.
fn is_unplugged(browser: &mut Registered, rules: &BTreeSet<BrowserRule>, n: u32) -> bool {
    crash::after(Some(n));
    let outcome = catch_unwind(AssertUnwindSafe(|| browser.select(rules)));
    crash::after(None);
    match outcome {
        Err(panic) => panic.is::<Unplugged>() || std::panic::resume_unwind(panic),
        Ok(result) => !result.unwrap(),
    }
}

#[test]
fn a_crash_between_any_two_writes_heals_with_whatever_is_wanted_next() {
    let states: [&[&str]; 3] = [&[], &["https://a", "https://b"], &["https://b", "https://c", "https://d"]];
    let mut points = 0;
    for (before, during, after) in [(0, 1, 0), (0, 1, 2), (1, 2, 1), (1, 2, 0), (1, 0, 2), (2, 1, 1)] {
        for n in 0.. {
            let pc = Pc::new();
            pc.put(LOCAL_MACHINE, "2", "theirs");
            pc.browser().select(&rules(states[before])).unwrap();
            if !is_unplugged(&mut pc.browser(), &rules(states[during]), n) {
                break;
            }
            points += 1;
            pc.browser().select(&rules(states[after])).unwrap();
            let found: Vec<String> = pc.read(LOCAL_MACHINE).into_iter().map(|(_, text)| text).collect();
            let expected: BTreeSet<&str> = states[after].iter().copied().chain(["theirs"]).collect();
            assert_eq!((found.len(), found.iter().map(String::as_str).collect()), (expected.len(), expected), "{n}");
            assert_eq!(LOCAL_MACHINE.open(pc.list()).unwrap().get_string("2").unwrap(), "theirs");
            pc.browser().select(&rules(&[])).unwrap();
            assert_eq!((pc.read(LOCAL_MACHINE), pc.background()), (pairs(&[("2", "theirs")]), [None, None]), "{n}");
            assert!(disk::read_json::<BTreeMap<String, Ours>>(&pc.state.browser_policies()).unwrap().unwrap_or_default().is_empty());
        }
    }
    assert!(points > 40, "the plug was pulled {points} times only");
}

#[test]
fn a_closed_list_names_the_command_that_opens_it_and_stops_no_other_browser() {
    let (pc, open) = (Pc::new(), Pc::new());
    pc.put(LOCAL_MACHINE, "1", "theirs");
    let mut browsers = Registered::at(&pc.state, &[&pc.path, &open.path]);
    locked::against_writing(LOCAL_MACHINE, &pc.list());
    let BrowserError::Closed { command, source } = browsers.select(&rules(&["https://a"])).unwrap_err() else { panic!("it is not closed") };
    assert!(command.contains(&format!(r#""Registry::HKEY_LOCAL_MACHINE\{}""#, pc.list())), "{command}");
    assert!(!command.contains(&open.path), "{command}");
    assert_eq!(source.path, std::path::Path::new(&format!(r"HKEY_LOCAL_MACHINE\{}", pc.list())));
    assert_eq!(pc.read(LOCAL_MACHINE), pairs(&[("1", "theirs")]));
    assert!(!pc.is_list_there(CURRENT_USER), "where it would be overruled it is of no use");
    assert_eq!(open.read(LOCAL_MACHINE), pairs(&[("1", "https://a")]));
    locked::no_more(LOCAL_MACHINE, &pc.list());
}

#[test]
fn who_may_not_write_for_everybody_writes_for_the_user() {
    let pc = Pc::new();
    LOCAL_MACHINE.create(&pc.path).unwrap();
    locked::against_writing(LOCAL_MACHINE, &pc.path);
    assert!(pc.browser().select(&rules(&["https://a"])).unwrap());
    assert!(!pc.browser().select(&rules(&["https://a"])).unwrap());
    assert_eq!((pc.read(CURRENT_USER), pc.background()), (pairs(&[("1", "https://a")]), [None, Some(0)]));
    locked::no_more(LOCAL_MACHINE, &pc.path);
    // Rights that came later are used, and nothing is left behind.
    assert!(pc.browser().select(&rules(&["https://a"])).unwrap());
    assert_eq!((pc.read(LOCAL_MACHINE), pc.background()), (pairs(&[("1", "https://a")]), [Some(0), None]));
    assert!(!pc.is_list_there(CURRENT_USER));
}

/// Not a test: what the tests below start under a browser's name. It lives until its input ends.
#[test]
#[ignore = "started by other tests"]
fn pretends_to_be_a_browser() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

impl Pc {
    fn start(&self, image: &str) -> std::process::Child {
        let program = self.folder.path().join(image);
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let named = ["--exact", "--ignored", "browser::windows::tests::pretends_to_be_a_browser"];
        std::process::Command::new(program)
            .args(named)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    }
}

#[test]
fn a_browser_that_ran_through_a_change_holds_the_old_decision_until_it_ends() {
    let pc = Pc::new();
    let (mut browser, mut other) = (pc.start("Chrome.exe"), pc.start("notchrome.exe"));
    assert!(!pc.browser().holds_old().unwrap(), "nothing has changed yet");
    pc.browser().select(&rules(&["https://a"])).unwrap();
    let noted: BTreeSet<Running> = disk::read_json(&pc.state.browsers()).unwrap().unwrap();
    assert!(noted.iter().any(|noted| noted.process == browser.id()) && noted.iter().all(|noted| noted.process != other.id()));
    assert!(pc.browser().holds_old().unwrap(), "even after the agent was restarted");
    browser.kill().unwrap();
    browser.wait().unwrap();
    assert!(!pc.browser().holds_old().unwrap(), "although this process has it open still");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_browser_is_one_process_of_the_user_s_own_session() {
    let process = |id, parent, image: &str, session| Process { id, parent, image: image.into(), session: Some(session) };
    let all = [
        process(10, 1, "explorer.exe", 1),
        process(11, 10, "chrome.exe", 1),
        process(12, 11, "chrome.exe", 1),
        process(13, 11, "CHROME.EXE", 1),
        process(14, 11, "msedge.exe", 1),
        process(15, 14, "msedge.exe", 1),
        process(16, 10, "notchrome.exe", 1),
        process(20, 2, "chrome.exe", 2),
    ];
    assert_eq!(browsers(&all, Some(1)), [11, 14].into());
    assert_eq!(browsers(&all, Some(2)), [20].into());
    assert_eq!(browsers(&all, Some(processes::SERVICES)), [11, 14, 20].into());
}
