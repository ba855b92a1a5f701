//! PowerShell cannot be had where the tests run. That its scripts can be read at all is held by a parser of its language, tree-sitter's.

use std::fs;
use std::path::{Path, PathBuf};

use tree_sitter::{Node, Parser, Tree};

/// How each begins: what is not there is an error, and an error ends the script.
const HEAD: &str = "Set-StrictMode -Version Latest\n$ErrorActionPreference = 'Stop'\n";

/// Every script, with its name.
fn scripts() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ps");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())).collect()
}

fn parsed(script: &str) -> Tree {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
    parser.parse(script, None).unwrap()
}

/// Everything of a script that fits, from the whole to its words.
fn find<'a>(node: Node<'a>, fits: &dyn Fn(&Node<'a>) -> bool, found: &mut Vec<Node<'a>>) {
    if fits(&node) {
        found.push(node);
    }
    (0..node.child_count()).filter_map(|index| node.child(index)).for_each(|child| find(child, fits, found));
}

/// Where a script is not of the language, as lines.
fn faults(script: &str) -> Vec<usize> {
    let (tree, mut found) = (parsed(script), Vec::new());
    find(tree.root_node(), &|node| node.is_error() || node.is_missing(), &mut found);
    found.iter().map(|node| node.start_position().row + 1).collect()
}

#[test]
fn every_script_of_powershell_can_be_read() {
    let scripts = scripts();
    assert!(scripts.len() >= 8, "{} scripts", scripts.len());
    for (name, script) in scripts {
        assert_eq!(faults(&script), Vec::<usize>::new(), "{name}");
        assert!(script.starts_with(HEAD), "{name} does not begin as all do");
        assert!(script.is_ascii(), "{name}: Windows PowerShell reads a script without a mark as another code page");
    }
}

/// What the parser has to see: each script without one of its braces or parentheses, and other slips.
#[test]
fn a_script_that_is_broken_is_seen() {
    let mut tried = 0;
    for (name, script) in scripts() {
        let (tree, mut marks) = (parsed(&script), Vec::new());
        find(tree.root_node(), &|node| matches!(node.kind(), "{" | "}" | "(" | ")"), &mut marks);
        for mark in marks.iter().map(Node::byte_range) {
            let broken = format!("{}{}", &script[..mark.start], &script[mark.end..]);
            assert!(!faults(&broken).is_empty(), "{name} without the mark at {}:\n{broken}", mark.start);
            tried += 1;
        }
        for (of, instead) in [("'Stop'", "'Stop"), ("if (", "if ")] {
            if script.contains(of) {
                assert!(!faults(&script.replacen(of, instead, 1)).is_empty(), "{name} with {instead}");
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

/// What Windows PowerShell 5.1 has of itself, as far as it is used.
const CMDLETS: [&str; 12] = [
    "Add-Type",
    "ConvertFrom-Json",
    "ForEach-Object",
    "Get-Acl",
    "Get-ChildItem",
    "Get-FileHash",
    "Get-Service",
    "Join-Path",
    "Remove-Item",
    "Set-StrictMode",
    "Test-Path",
    "Where-Object",
];

/// The texts of all nodes of a kind.
fn texts(script: &str, kind: &str) -> Vec<String> {
    let (tree, mut found) = (parsed(script), Vec::new());
    find(tree.root_node(), &|node| node.kind() == kind, &mut found);
    found.iter().map(|node| script[node.byte_range()].to_owned()).collect()
}

#[test]
fn every_command_is_known_and_no_variable_is_used_that_nobody_sets() {
    let scripts = scripts();
    let boot = &scripts.iter().find(|(name, _)| name == "boot.ps1").unwrap().1;
    for (name, script) in &scripts {
        // Each runs within what begins it.
        let whole = if name == "boot.ps1" { script.clone() } else { format!("{boot}{script}") };
        let functions = texts(&whole, "function_name");
        let mut commands = texts(script, "command_name");
        commands.retain(|command| !CMDLETS.contains(&command.as_str()) && !functions.contains(command));
        assert_eq!(commands, Vec::<String>::new(), "{name} calls what is not there");
        let variables = texts(&whole, "variable");
        let own = |variable: &&String| {
            !variable.contains(':')
                && !["$_", "$true", "$false", "$null", "$ErrorActionPreference", "$ProgressPreference"].contains(&variable.as_str())
        };
        for variable in variables.iter().filter(own) {
            assert!(variables.iter().filter(|other| *other == variable).count() > 1, "{name}: {variable} stands there once");
        }
    }
}
