//! `cargo xtask tidy`: what keeps the house in order and no compiler checks.
//!
//! Each rule is a function from the [`Tree`] to [`Finding`]s, so that its tests can hand it a bad sample and see it fail.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::workspace;

mod arrows;
mod links;
mod orphans;
mod pure;
mod size;
mod source;
mod unfinished;
mod unused;

/// What rules look at.
pub struct Tree {
    /// Every text file of the repository: its path from the root, and its text.
    files: BTreeMap<String, String>,
    /// What `cargo metadata` says.
    metadata: Value,
    /// What is built for any platform, by whom: `cargo tree`, each line beginning with its depth.
    graph: String,
}

/// Something that is not as it should be, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    file: String,
    /// From 1.
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule, and what it guards.
const RULES: [(&str, Rule); 11] = [
    ("crates point only where the plan lets them", arrows::between_crates),
    ("what one crate fences off appears in no other", arrows::fences),
    ("ring, OpenSSL and the like are nowhere", arrows::banned),
    ("core knows no world", pure::core),
    ("functions fit on a screen", size::functions),
    ("files stay readable", size::files),
    ("every source file is reached by a mod", orphans::orphans),
    ("every module says what it is for", orphans::headers),
    ("nothing is left unfinished", unfinished::unfinished),
    ("every dependency is used", unused::dependencies),
    ("no link is dead", links::links),
];

/// Applies every rule; fails with all findings at once.
pub fn run() -> Result<()> {
    let tree = Tree::read()?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|(_, rule)| rule(&tree)).collect();
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("one thing is untidy"),
        count => bail!("{count} things are untidy"),
    }
}

impl Tree {
    fn read() -> Result<Self> {
        let text = |path: String| {
            let text = std::fs::read_to_string(workspace::root().join(&path)).ok()?;
            Some((path, text))
        };
        Ok(Self {
            files: workspace::files()?.into_iter().filter_map(text).collect(),
            metadata: workspace::metadata()?,
            graph: workspace::graph()?,
        })
    }

    /// Files whose names end in `.{extension}`.
    fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let matches = move |path: &str| path.rsplit_once('.').is_some_and(|(_, end)| end == extension);
        self.files.iter().filter(move |(path, _)| matches(path)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The workspace's own packages.
    fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let ids: Vec<&Value> = self.metadata["workspace_members"].as_array().map(|ids| ids.iter().collect()).unwrap_or_default();
        let packages = self.metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let root = self.metadata["workspace_root"].as_str().unwrap_or_default();
        packages.iter().filter(move |package| ids.contains(&&package["id"])).map(move |package| Member { package, root })
    }

    /// The line of `file` on which something that `is_it` stands; 1 if there is none.
    fn line_where(&self, file: &str, is_it: impl Fn(&str) -> bool) -> usize {
        self.files.get(file).and_then(|text| text.lines().position(is_it)).map_or(1, |index| index + 1)
    }
}

/// One of the workspace's own packages.
struct Member<'a> {
    package: &'a Value,
    root: &'a str,
}

impl<'a> Member<'a> {
    fn name(&self) -> &'a str {
        self.package["name"].as_str().unwrap_or_default()
    }

    /// Its `Cargo.toml`, from the root.
    fn manifest(&self) -> String {
        relative(self.root, self.package["manifest_path"].as_str().unwrap_or_default())
    }

    /// Its folder, from the root, ending in `/`.
    fn folder(&self) -> String {
        self.manifest().trim_end_matches("Cargo.toml").to_owned()
    }

    /// The file of each of its targets, from the root.
    fn targets(&self) -> Vec<String> {
        let targets = self.package["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        targets.iter().filter_map(|target| target["src_path"].as_str()).map(|path| relative(self.root, path)).collect()
    }

    /// What it names as dependencies.
    fn dependencies(&self) -> impl Iterator<Item = Dependency<'a>> {
        self.package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(|entry| Dependency {
            name: entry["name"].as_str().unwrap_or_default(),
            alias: entry["rename"].as_str(),
            for_tests: entry["kind"] == "dev",
        })
    }
}

/// One dependency of a package.
struct Dependency<'a> {
    /// The crate's own name.
    name: &'a str,
    /// What the package calls it, if it calls it otherwise.
    alias: Option<&'a str>,
    for_tests: bool,
}

impl<'a> Dependency<'a> {
    /// The name in `Cargo.toml`.
    fn key(&self) -> &'a str {
        self.alias.unwrap_or(self.name)
    }
}

fn relative(root: &str, path: &str) -> String {
    path.strip_prefix(root).unwrap_or(path).trim_start_matches(['/', '\\']).replace('\\', "/")
}

/// Bad samples for the rules' tests.
#[cfg(test)]
mod samples {
    use serde_json::json;

    use super::*;

    /// A tree with these files and no packages.
    pub fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Tree { files, metadata: json!({"workspace_root": "/r", "workspace_members": [], "packages": []}), graph: String::new() }
    }

    /// A package in `crates/{name}` with a library, and these dependencies.
    pub fn package(name: &str, dependencies: &[&str]) -> Value {
        let dependencies: Vec<Value> = dependencies.iter().map(|name| json!({"name": name, "rename": null, "kind": null})).collect();
        json!({
            "id": name, "name": name, "manifest_path": format!("/r/crates/{name}/Cargo.toml"), "dependencies": dependencies,
            "targets": [{"src_path": format!("/r/crates/{name}/src/lib.rs")}],
        })
    }

    impl Tree {
        /// Adds a package to the workspace.
        pub fn with(mut self, package: Value) -> Self {
            let id = package["id"].clone();
            self.metadata["workspace_members"].as_array_mut().unwrap().push(id);
            self.metadata["packages"].as_array_mut().unwrap().push(package);
            self
        }
    }

    /// Findings as people see them.
    pub fn shown(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }
}
