//! Every mistake in `tests/bad-input` is found, at its line, with words of its own.
//!
//! The first line of each file says which lines are wrong. What a person is told lies beside it (`x.yaml`, `x.txt`);
//! `UPDATE_EXPECT=1` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use tegata_api::v1::fleet::File;
use tegata_api::v1::problem::Finding;
use tegata_api::yaml::{check, render};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/bad-input")
}

/// Names without extension of the files that have this one.
fn names(extension: &str) -> BTreeSet<String> {
    let paths = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let wanted = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    wanted.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn corpus() -> Vec<(File, Vec<Finding>)> {
    let found = |name: String| {
        let name = format!("{name}.yaml");
        let text = fs::read_to_string(folder().join(&name)).unwrap();
        let file = File { name, text };
        let tenant = "aozora".parse().unwrap();
        let findings = check(std::slice::from_ref(&file), &tenant, &[]).err().unwrap_or_default();
        (file, findings)
    };
    names("yaml").into_iter().map(found).collect()
}

/// The lines that the file itself says are wrong; 0 for the whole file.
fn wrong_lines(file: &File) -> BTreeSet<u32> {
    let first = file.text.lines().next().unwrap_or("# wrong: the whole file");
    let lines = first.strip_prefix("# wrong: ").unwrap_or_else(|| panic!("{}: its first line does not say what is wrong", file.name));
    match lines.strip_prefix("line ") {
        Some(lines) => lines.split(", ").map(|line| line.parse().unwrap()).collect(),
        None => BTreeSet::from([0]),
    }
}

#[test]
fn there_are_enough_of_them() {
    assert!(names("yaml").len() >= 65);
}

#[test]
fn every_mistake_is_found_at_its_line() {
    let mut missed = Vec::new();
    for (file, findings) in corpus() {
        let lines: BTreeSet<u32> = findings.iter().map(|finding| finding.line).collect();
        if lines != wrong_lines(&file) {
            missed.push(format!("{}: found {lines:?}\n{}", file.name, render(&findings, std::slice::from_ref(&file))));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_mistake_has_words_of_its_own_and_says_what_to_do() {
    let mut said: BTreeMap<Vec<String>, String> = BTreeMap::new();
    for (file, findings) in corpus() {
        assert!(findings.iter().all(|finding| finding.hint.is_some()), "{}: no hint in {findings:#?}", file.name);
        let words = findings.into_iter().map(|finding| finding.message).collect();
        if let Some(other) = said.insert(words, file.name.clone()) {
            panic!("{} and {other} are answered alike", file.name);
        }
    }
}

#[test]
fn what_a_person_is_told_is_kept() {
    for (file, findings) in corpus() {
        let shown = render(&findings, std::slice::from_ref(&file));
        expect_file![folder().join(&file.name).with_extension("txt")].assert_eq(&shown);
    }
    assert_eq!(names("yaml"), names("txt"), "an expectation without its file, or the other way round");
}
