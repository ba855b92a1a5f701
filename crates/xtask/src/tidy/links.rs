//! Links between the documents of the repository lead somewhere.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// Every relative link in Markdown names a file or folder that is there, and a heading that is in it.
pub fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.with_extension("md") {
        for (line, target) in targets(text) {
            if let Err(message) = check(tree, file, target) {
                findings.push(Finding { file: file.to_owned(), line, message });
            }
        }
    }
    findings
}

/// What the links of a text point to, with their lines; code is not looked at, and neither are other sites.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (line, prose) in prose(text) {
        for part in prose.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") && !target.is_empty() {
                found.push((line, target));
            }
        }
    }
    found
}

/// Lines outside fenced code, from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        (!in_code && !fence).then_some((index + 1, line))
    })
}

fn check(tree: &Tree, file: &str, target: &str) -> Result<(), String> {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let full = if path.is_empty() { file.to_owned() } else { resolve(file, path) };
    let is_folder = tree.files.keys().any(|other| other.starts_with(&format!("{full}/"))) || full.is_empty();
    match tree.files.get(&full) {
        None if !is_folder => Err(format!("the link to `{path}` is dead")),
        Some(text) if !heading.is_empty() && full.ends_with(".md") && !headings(text).contains(heading) => {
            Err(format!("`{full}` has no heading `#{heading}`"))
        }
        _ => Ok(()),
    }
}

/// `path` as seen from the folder of `file`.
fn resolve(file: &str, path: &str) -> String {
    let mut parts: Vec<&str> =
        if path.starts_with('/') { Vec::new() } else { file.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect() };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a text: its headings as forges write them into links.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter(|(_, line)| line.starts_with('#')).map(|(_, line)| line.trim_start_matches('#').trim());
    let anchor = |title: &str| {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    titles.map(anchor).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{shown, tree};
    use super::*;

    #[test]
    fn dead_links_and_missing_headings_are_found() {
        let bad = tree(&[
            ("README.md", "[plan](docs/plan.md#the-nine-words) [core](crates/core) [web](https://example.org/x)\n[gone](docs/gone.md)\n"),
            (
                "docs/plan.md",
                "# The nine words\n[up](../README.md) [here](#the-nine-words)\n[no](#ten-words)\n```\n[code](nowhere.md)\n```\n",
            ),
            ("crates/core/src/lib.rs", ""),
        ]);
        assert_eq!(
            shown(&links(&bad)),
            ["README.md:2: the link to `docs/gone.md` is dead", "docs/plan.md:3: `docs/plan.md` has no heading `#ten-words`"]
        );
    }

    #[test]
    fn japanese_headings_have_anchors_too() {
        let good = tree(&[("README.ja.md", "[始め方](#1-始め方)\n## 1. 始め方\n")]);
        assert_eq!(links(&good), []);
    }
}
