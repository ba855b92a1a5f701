//! A dependency that nobody uses is compiled, audited and updated for nothing.

use std::collections::BTreeSet;

use super::{Finding, Member, Tree, source};

/// Every dependency of the workspace is named by a package, and every one that a package names is used in its sources.
pub fn dependencies(tree: &Tree) -> Vec<Finding> {
    let named: BTreeSet<&str> =
        tree.members().flat_map(|member| member.dependencies().map(|dependency| dependency.key()).collect::<Vec<_>>()).collect();
    let unnamed = of_workspace(tree).into_iter().filter(|(_, key)| !named.contains(key.as_str()));
    let mut findings: Vec<Finding> =
        unnamed.map(|(line, key)| Finding { file: "Cargo.toml".into(), line, message: format!("no package names `{key}`") }).collect();
    findings.extend(tree.members().flat_map(|member| unused_by(tree, &member)));
    findings
}

/// Keys of `[workspace.dependencies]` with their lines. By convention each stands at the start of its own line.
fn of_workspace(tree: &Tree) -> Vec<(usize, String)> {
    let text = tree.files.get("Cargo.toml").map_or("", String::as_str);
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != "[workspace.dependencies]").skip(1);
    let section = lines.take_while(|(_, line)| !line.starts_with('['));
    section.filter_map(|(index, line)| Some((index + 1, key(line)?.to_owned()))).collect()
}

/// The key that stands at the start of a line, before `=` or `.`.
fn key(line: &str) -> Option<&str> {
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')?;
    let rest = line[end..].trim_start();
    (end > 0 && rest.starts_with(['=', '.'])).then(|| &line[..end])
}

fn unused_by(tree: &Tree, member: &Member<'_>) -> Vec<Finding> {
    let folder = member.folder();
    let sources = tree.with_extension("rs").filter(|(path, _)| path.starts_with(&folder));
    let used: BTreeSet<String> = sources
        .flat_map(|(_, text)| text.parse().map(source::paths).unwrap_or_default())
        .filter_map(|path| path.parts.into_iter().next())
        .collect();
    let unused = member.dependencies().filter(|dependency| !used.contains(&dependency.key().replace('-', "_")));
    let finding = |name: &str| {
        let line = tree.line_where(&member.manifest(), |line| key(line) == Some(name));
        Finding { file: member.manifest(), line, message: format!("`{name}` is not used in {folder}") }
    };
    unused.map(|dependency| finding(dependency.key())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{package, shown, tree};
    use super::*;

    #[test]
    fn what_no_package_names_and_what_no_source_uses_is_found() {
        let bad = tree(&[
            ("Cargo.toml", "[workspace.dependencies]\n# why\nserde-json = \"1\"\nhyper = { version = \"1\" }\nrand = \"1\"\n[profile.dev]\ndebug = 1\n"),
            ("crates/a/Cargo.toml", "[dependencies]\nserde-json.workspace = true\nhyper.workspace = true\n"),
            ("crates/a/src/lib.rs", "use serde_json::Value;\nfn f(hyperbole: Value) {}"),
        ])
        .with(package("a", &["serde-json", "hyper"]));
        assert_eq!(
            shown(&dependencies(&bad)),
            ["Cargo.toml:5: no package names `rand`", "crates/a/Cargo.toml:3: `hyper` is not used in crates/a/"]
        );
    }
}
