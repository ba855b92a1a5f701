//! `core` decides and nothing else: no files, no network, no clock, no dice, no async, no serialisation.

use quote::ToTokens;

use super::source::{self, Path};
use super::{Finding, Tree};

/// What `core` may build on.
const DEPENDENCIES: [&str; 1] = ["jiff"];

/// Paths that reach into the world, and what each of them would bring in.
const FORBIDDEN: [(&str, &str); 23] = [
    ("std::fs", "files"),
    ("std::io", "input and output"),
    ("std::net", "the network"),
    ("std::env", "the environment"),
    ("std::process", "other programs"),
    ("std::thread", "threads"),
    ("std::sync::Mutex", "shared state"),
    ("std::sync::RwLock", "shared state"),
    ("std::sync::atomic", "shared state"),
    ("std::time::SystemTime", "the clock"),
    ("std::time::Instant", "the clock"),
    ("SystemTime::now", "the clock"),
    ("Instant::now", "the clock"),
    ("Timestamp::now", "the clock"),
    ("Zoned::now", "the clock"),
    ("TimeZone::system", "the machine's settings"),
    ("std::collections::HashMap", "an order that changes from run to run; use BTreeMap"),
    ("std::collections::HashSet", "an order that changes from run to run; use BTreeSet"),
    ("std::hash::RandomState", "dice"),
    ("rand", "dice"),
    ("tokio", "async"),
    ("serde", "serialisation"),
    ("tracing", "logging"),
];

/// Words and macros that do the same.
const FORBIDDEN_WORDS: [(&str, &str); 3] = [("async", "async"), ("await", "async"), ("unsafe", "unchecked memory")];
const FORBIDDEN_MACROS: [&str; 4] = ["print", "println", "eprint", "eprintln"];

const SOURCES: &str = "crates/core/src/";

/// Looks at what `core` names and at what it is built on.
pub fn core(tree: &Tree) -> Vec<Finding> {
    let mut findings = dependencies(tree);
    for (path, text) in tree.with_extension("rs").filter(|(path, _)| path.starts_with(SOURCES)) {
        let Some(file) = source::parse(text) else { continue };
        let used = source::shipped(file).flat_map(|item| source::paths(item.to_token_stream()));
        let worldly = used.filter_map(|used| Some((used.line, brings(&used)?)));
        findings.extend(worldly.map(|(line, what)| Finding {
            file: path.to_owned(),
            line,
            message: format!("core must stay free of {what}"),
        }));
    }
    findings
}

fn dependencies(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in tree.members().filter(|member| member.name() == "tegata-core") {
        for dependency in member.dependencies().filter(|dependency| !dependency.for_tests && !DEPENDENCIES.contains(&dependency.name)) {
            let line = tree.line_where(&member.manifest(), |line| line.starts_with(dependency.key()));
            let message = format!("core may build on {} only, not on {}", DEPENDENCIES.join(", "), dependency.name);
            findings.push(Finding { file: member.manifest(), line, message });
        }
    }
    findings
}

/// What of the world this path brings in.
fn brings(path: &Path) -> Option<String> {
    let word = path.parts.join("::");
    if path.called && FORBIDDEN_MACROS.contains(&word.as_str()) {
        return Some(format!("input and output ({word}!)"));
    }
    if let Some((_, what)) = FORBIDDEN_WORDS.iter().find(|(forbidden, _)| path.parts.iter().any(|part| part == forbidden)) {
        return Some((*what).to_owned());
    }
    let holds = |forbidden: &str| {
        let forbidden: Vec<&str> = forbidden.split("::").collect();
        match forbidden.len() {
            1 => path.parts.len() > 1 && path.parts[0] == forbidden[0],
            length => path.parts.windows(length).any(|window| window == forbidden),
        }
    };
    FORBIDDEN.iter().find(|(forbidden, _)| holds(forbidden)).map(|(_, what)| format!("{what} ({word})"))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{package, shown, tree};
    use super::*;

    fn check(line: &str) -> Vec<String> {
        shown(&core(&tree(&[("crates/core/src/plan.rs", line)])))
    }

    #[test]
    fn the_clock_is_found_in_every_spelling() {
        assert_eq!(
            check("\nuse std::{fmt, time::SystemTime};"),
            ["crates/core/src/plan.rs:2: core must stay free of the clock (std::time::SystemTime)"]
        );
        assert_eq!(
            check("fn f() { jiff::Timestamp::now(); }"),
            ["crates/core/src/plan.rs:1: core must stay free of the clock (jiff::Timestamp::now)"]
        );
        assert_eq!(check("fn f() -> String { format!(\"{:?}\", std::time::Instant::now()) }").len(), 1);
    }

    #[test]
    fn files_dice_async_and_printing_are_found() {
        for line in [
            "fn f() { std::fs::read(\"x\"); }",
            "use rand::Rng;",
            "async fn f() {}",
            "fn f() { println!(\"x\") }",
            "#[derive(serde::Serialize)] struct S;",
            "use std::collections::HashMap;",
        ] {
            assert_eq!(check(line).len(), 1, "{line}");
        }
    }

    #[test]
    fn tests_may_do_what_they_need_and_time_as_an_argument_is_fine() {
        assert_eq!(check("#[cfg(test)] mod tests { use std::fs; }\nfn plan(now: Timestamp) -> Timestamp { now }"), [""; 0]);
    }

    #[test]
    fn a_worldly_dependency_is_found() {
        let bad = tree(&[("crates/tegata-core/Cargo.toml", "[dependencies]\njiff = \"1\"\nserde = \"1\"\n")])
            .with(package("tegata-core", &["jiff", "serde"]));
        assert_eq!(shown(&core(&bad)), ["crates/tegata-core/Cargo.toml:3: core may build on jiff only, not on serde"]);
    }
}
