//! Scripts as tests, transcripts as truth: every `scripts/NAME.txt` is run, and must tell exactly what `scripts/NAME.out` says.
//!
//! After a change of behaviour that is meant, `UPDATE_EXPECT=1 cargo test -p tegata-core --test scripts` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use tegata_core::simulate::{ScriptError, run};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// The names of all files with this extension, without it.
fn names(extension: &str) -> BTreeSet<PathBuf> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|found| found == extension)).map(|path| path.with_extension("")).collect()
}

#[test]
fn every_script_tells_what_its_transcript_says_and_breaks_no_promise() {
    let scripts = names("txt");
    assert!(!scripts.is_empty());
    for script in scripts {
        let text = fs::read_to_string(script.with_extension("txt")).unwrap();
        let transcript = run(&text).unwrap_or_else(|error| panic!("{}: {error}", script.display()));
        assert_eq!(transcript.violations, [""; 0], "{}", script.display());
        expect_file![script.with_extension("out")].assert_eq(&transcript.text);
    }
}

#[test]
fn no_file_is_an_orphan() {
    assert_eq!(names("out"), names("txt"), "each script needs its transcript, and each transcript its script");
    let others = fs::read_dir(folder()).unwrap().count() - names("out").len() - names("txt").len();
    assert_eq!(others, 0, "only .txt and .out files belong here");
}

const STEPS: [&str; 5] = ["make-key", "request", "install", "prove", "retire-old"];

/// A first certificate and its replacement, each hit by a crash on one side of one step: both must end proven and alone.
#[test]
fn a_crash_on_either_side_of_any_step_only_delays() {
    for when in ["before", "after"] {
        for step in STEPS {
            let crash = format!("crash pc {when} {step}\n");
            let script = format!(
                "clinic sakura\nprofile karte\nassign karte\ndevice pc\nenrol pc\n{crash}run\nrun\n\
                 {crash}renew pc/karte\nrun\nrun\nshow slots\nshow devices\n"
            );
            let transcript = run(&script).unwrap();
            let told = format!("{crash}{}", transcript.text);
            assert_eq!(transcript.violations, [""; 0], "{told}");
            assert_eq!(transcript.text.matches("CRASHES").count(), 2, "{told}");
            assert!(transcript.text.contains("sakura/pc/karte: right; c2 proven"), "{told}");
            assert!(transcript.text.ends_with("sakura/pc: online, can use c2\n"), "{told}");
        }
    }
}

#[test]
fn a_line_that_means_nothing_is_named() {
    let problem = |script: &str| run(script).map_err(|ScriptError { line, problem }| format!("{line}: {problem}")).unwrap_err();
    assert_eq!(problem("clinic sakura\n\n  dance"), "3: 'dance' is no command");
    assert_eq!(problem("device pc"), "1: no clinic was named yet");
    assert_eq!(problem("clinic sakura\nenrol pc\noffline other"), "3: sakura/other has not enrolled");
    assert_eq!(problem("clinic sakura colour=red"), "1: 'colour' means nothing here");
    assert_eq!(problem("advance 3 weeks"), "1: 'advance' is no command");
    assert_eq!(problem("advance 3w"), "1: '3w' should look like 90s, 10m, 12h, 30d or 10y");
    assert_eq!(problem("clinic Sakura").split_once(" must be").unwrap().0, "1: 'Sakura': a clinic name");
}

/// What a line of the transcript of the forty months says: when, and what.
fn lines() -> Vec<(i64, String)> {
    let text = fs::read_to_string(folder().join("forty-months.txt")).unwrap();
    let transcript = run(&text).unwrap();
    let events = transcript.text.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("Z  "));
    let moment = |text: &str| format!("{text}Z").parse::<jiff::Timestamp>().unwrap().as_second();
    events.map(|(at, what)| (moment(at), what.to_owned())).collect()
}

const DAY: i64 = 86_400;

/// Remaining time is not carried over, so that every day too early is a day that was paid for and lost.
#[test]
fn eligibility_is_renewed_in_the_last_third_of_its_window() {
    let (life, window) = (1185 * DAY, 90 * DAY);
    let brought: Vec<_> =
        lines().into_iter().filter(|(_, what)| what.starts_with("somebody brings") && what.contains("/eligibility")).collect();
    assert_eq!(brought.len(), 6, "three terminals, twice");
    for (at, what) in &brought[3..] {
        let slot = what.split(':').next().unwrap();
        let first = brought.iter().find(|(_, what)| what.starts_with(slot)).unwrap().0;
        let left = first + life - at;
        assert!(left > 0 && left <= window / 3, "{what}: {} days were left", left / DAY);
    }
}

/// Each rung is told once, in the order of the ladder, and no later than it says.
#[test]
fn notices_are_exactly_on_their_ladder() {
    let ladder = [90, 60, 30, 15, 14, 7, 6, 5, 4, 3, 2, 1];
    let mut told: std::collections::BTreeMap<String, Vec<i64>> = std::collections::BTreeMap::new();
    for (_, what) in lines() {
        let Some((about, days)) = what.strip_prefix("tells ").and_then(|rest| rest.split_once(": ")) else { continue };
        let days = days.strip_suffix(" days").unwrap_or_else(|| panic!("{what}: nothing expires in these months")).parse().unwrap();
        told.entry(about.to_owned()).or_default().push(days);
    }
    assert!(told.len() > 12, "{told:?}");
    for (about, days) in told {
        assert!(days.is_sorted_by(|before, after| before > after), "{about}: {days:?}");
        assert!(days.iter().all(|days| ladder.contains(days)), "{about}: {days:?}");
    }
}
