//! From the text of a file to its documents: bounds first, then syntax.
//!
//! A file is cut at its `---` lines before it is parsed, so that a syntax error in one document hides nothing in the others.
//! (In YAML a line that begins with `---` always begins a document, even inside a quoted text: YAML 1.2.2, section 9.1.2.)

use std::collections::BTreeMap;

use serde_yaml::budget::BudgetBreach;
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Error, MessageFormatter, Options, UserMessageFormatter};

use super::gather::At;
use super::tree::{KEY_MAX, Key, MERGE_KEY, Place, Tree};
use super::{FILE_MAX, FINDINGS_MAX, clipped};
use crate::hint::quote;
use crate::v1::fleet::File;
use crate::v1::problem::Finding;

/// The most documents in one file.
const DOCUMENTS_MAX: usize = 1000;
/// The most values and keys in one file: as many as fit into a file of reasonable lines.
const NODES_MAX: usize = 50_000;
/// How deep values may be nested.
const DEPTH_MAX: usize = 32;

/// Findings of one file: one more than are shown, so that it can be said that there are more.
struct Bounded<'a> {
    findings: &'a mut Vec<Finding>,
    first: usize,
}

impl<'a> Bounded<'a> {
    /// Those of the file whose findings begin at `first`.
    fn new(findings: &'a mut Vec<Finding>, first: usize) -> Self {
        Self { findings, first }
    }

    fn is_full(&self) -> bool {
        self.findings.len() > self.first + FINDINGS_MAX
    }

    fn push(&mut self, finding: Finding) {
        if !self.is_full() {
            self.findings.push(finding);
        }
    }
}

/// What could be read of a file.
#[derive(Default)]
pub(super) struct Read {
    /// Its documents.
    pub trees: Vec<Tree>,
    /// True if there is more in the file, which could not be read.
    pub is_broken: bool,
}

/// Reads the documents of one file. What cannot be read becomes findings.
pub(super) fn read(file: &File, findings: &mut Vec<Finding>) -> Read {
    let first = findings.len();
    let mut read = Read { trees: Vec::new(), is_broken: true };
    if file.text.len() > FILE_MAX {
        findings.push(about_file(&file.name, too_long(file.text.len()), "split it into several files"));
        return read;
    }
    let text = without_deceptions(file, findings);
    let pieces = pieces(text.strip_prefix('\u{feff}').unwrap_or(&text));
    if pieces.len() > DOCUMENTS_MAX {
        let message = format!("the file has more than {DOCUMENTS_MAX} documents");
        findings.push(about_file(&file.name, message, "split it into several files"));
        return read;
    }
    read.is_broken = false;
    let mut nodes_left = NODES_MAX;
    for (lines_above, piece) in pieces.into_iter().filter(|(_, piece)| !is_prologue(piece)) {
        let trees = parse(piece, nodes_left).unwrap_or_else(|error| {
            findings.push(not_yaml(file, lines_above, piece, &error));
            read.is_broken = true;
            Vec::new()
        });
        for mut tree in trees {
            nodes_left = nodes_left.saturating_sub(tree.size());
            tree.move_down(lines_above);
            read.is_broken |= check_document(file, &tree, &mut Bounded::new(findings, first));
            read.trees.push(tree);
        }
    }
    if read.trees.is_empty() && !read.is_broken {
        let what = if file.text.trim().is_empty() { "the file is empty" } else { "the file has nothing but comments in it" };
        findings.push(about_file(&file.name, what.into(), "write at least apiVersion, kind, metadata and spec"));
    }
    read
}

/// What is said of a file that is too long.
pub(super) fn too_long(bytes: usize) -> String {
    format!("the file has {bytes} bytes; at most {FILE_MAX} are read")
}

/// A finding about a file as a whole.
pub(super) fn about_file(file: &str, message: String, hint: &str) -> Finding {
    Finding { file: file.to_owned(), line: 0, column: 0, path: String::new(), message, hint: Some(hint.to_owned()) }
}

fn about_place(file: &File, at: Place, message: String, hint: &str) -> Finding {
    Finding { line: at.line, column: at.column, ..about_file(&file.name, message, hint) }
}

/// Reports characters that cannot be seen or change the direction of text, and leaves them out, so that they are no reason for further findings.
fn without_deceptions(file: &File, findings: &mut Vec<Finding>) -> String {
    let mut text = String::with_capacity(file.text.len());
    let (mut at, mut count) = (Place { line: 1, column: 0 }, 0);
    let mut rest = file.text.chars().peekable();
    while let Some(c) = rest.next() {
        at.column += 1;
        let is_first = (at.line, at.column) == (1, 1);
        // A carriage return alone would be a line end for YAML, but not for most programs that show text.
        let is_alone = c == '\r' && rest.peek() != Some(&'\n');
        if is_alone || (is_deceptive(c) && !(c == '\u{feff}' && is_first)) {
            // A file full of them is not to become a memory full of findings.
            if count <= FINDINGS_MAX {
                let message = format!("the invisible character U+{:04X} cannot stand in a policy", c as u32);
                findings.push(about_place(file, at, message, "delete it; it was most likely pasted in with other text"));
            }
            count += 1;
            text.push_str(if is_alone { " " } else { "" });
        } else {
            text.push(c);
        }
        if c == '\n' {
            at = Place { line: at.line + 1, column: 0 };
        }
    }
    text
}

/// Control characters, direction marks and overrides, byte order marks, and line separators that only some programs see.
fn is_deceptive(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Cuts a text before each line that begins a document. Each piece comes with the number of lines above it.
fn pieces(text: &str) -> Vec<(u32, &str)> {
    let (mut pieces, mut start, mut line, mut offset) = (Vec::new(), (0, 0), 0, 0);
    for content in text.split_inclusive('\n') {
        let begins = content.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if begins && offset > 0 {
            pieces.push((start.0, &text[start.1..offset]));
            start = (line, offset);
        }
        line += 1;
        offset += content.len();
    }
    pieces.push((start.0, &text[start.1..]));
    pieces
}

/// True for what may stand above a document and is none: directives, such as `%YAML 1.2`, and comments.
fn is_prologue(piece: &str) -> bool {
    piece.lines().all(|line| line.trim().is_empty() || line.starts_with(['%', '#']))
}

fn parse(piece: &str, nodes_left: usize) -> Result<Vec<Tree>, Error> {
    serde_yaml::from_multiple_with_options(piece, options(nodes_left))
}

fn not_yaml(file: &File, lines_above: u32, piece: &str, error: &Error) -> Finding {
    let at: Place = error.location().map(Place::from).unwrap_or_default();
    let before = before(piece, at);
    let (message, hint) = in_words(error, &before);
    about_place(file, Place { line: lines_above + at.line.max(1), ..at }, message, hint)
}

/// What stands before a place on its line.
fn before(text: &str, at: Place) -> String {
    let count = |number: u32| usize::try_from(number.saturating_sub(1)).unwrap_or(0);
    text.split('\n').nth(count(at.line)).unwrap_or_default().chars().take(count(at.column)).collect()
}

fn options(nodes_left: usize) -> Options {
    serde_yaml::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        with_snippet: false,
        // Both are reported by check_keys, all of them at once.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        budget: serde_yaml::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: nodes_left,
            max_events: 4 * NODES_MAX,
            max_documents: DOCUMENTS_MAX,
            max_aliases: 0,
            max_anchors: 0,
            max_total_scalar_bytes: FILE_MAX,
        },
    }
}

/// Says what a YAML error means, and what to do, by what stands before it on its line.
fn in_words(error: &Error, before: &str) -> (String, &'static str) {
    let no_anchors = "anchors (&) and aliases (*) are not allowed in policies";
    match error.without_snippet() {
        Error::Budget { breach, .. } => match breach {
            BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. } | BudgetBreach::AliasAnchorRatio { .. } => {
                (no_anchors.into(), "write the value out where it is used; a text that begins with & needs quotes")
            }
            BudgetBreach::Depth { .. } => {
                (format!("values are nested more than {DEPTH_MAX} deep"), "policies need far less; look for brackets that are not closed")
            }
            _ => (format!("the file has more than {NODES_MAX} values"), "split it into several files"),
        },
        Error::UnknownAnchor { .. } => {
            ("a value begins with '*', and there are no aliases in policies".into(), "put a text that begins with * in quotes")
        }
        other => {
            let words = UserMessageFormatter.format_message(other);
            if words.contains("mapping values are not allowed") && before.contains(": ") {
                return ("a ':' stands in a text without quotes".into(), "put the text in quotes");
            }
            if let Some(tag) = words.strip_prefix("unsupported tag ") {
                return (
                    format!("tags such as {tag} are not allowed in policies"),
                    "delete the tag; a text that begins with ! needs quotes",
                );
            }
            let known = SYNTAX.iter().find(|(part, _, _)| words.contains(part));
            known.map_or_else(
                || (format!("this is not YAML: {words}"), "look at this line and the one above it"),
                |(_, message, hint)| ((*message).to_owned(), hint),
            )
        }
    }
}

/// What the parser says (a part of it), what that means, and what to do.
const SYNTAX: [(&str, &str, &str); 18] = [
    (
        "mapping values are not allowed",
        "a ':' stands where none can be",
        "look at the line above: it lacks its ':', or it is indented differently",
    ),
    ("unclosed quote", "a text in quotes does not end", "close the quotes that are opened here"),
    (
        "expected ',' or '}'",
        "a mapping in braces goes on where a ',' or a '}' is expected",
        "close the '{' that was opened above, or write the ','",
    ),
    (
        "expected ',' or ']'",
        "a list in brackets goes on where a ',' or a ']' is expected",
        "close the '[' that was opened above, or write the ','",
    ),
    ("unexpected EOF", "the document ends in the middle of something", "look for a bracket, a quote or a value that is missing"),
    ("placement of ':'", "a ':' stands inside brackets that are still open", "close the '[' or '{' that was opened above"),
    ("multiline quoted scalar", "a text in quotes does not end", "close the quotes that were opened above"),
    ("tabs disallowed", "a tab stands where only spaces can", "indent with spaces"),
    ("expected key", "this line is indented differently from those it belongs to", "give the keys of one mapping the same indentation"),
    (
        "expected '-'",
        "a key stands where the next item of a list is expected",
        "begin the line with '- ', or indent the list below its key",
    ),
    ("invalid !!", "tags (!) are not allowed in policies, and this value does not fit its tag", "delete the tag"),
    ("unexpected character", "a value begins with a character that has a meaning of its own in YAML", "put the value in quotes"),
    ("unclosed bracket", "a bracket is opened and not closed", "close it"),
    ("misplaced bracket", "a bracket is closed that was not opened", "delete it, or put the text in quotes"),
    (
        "unknown escape character",
        "a backslash in double quotes begins something unknown",
        "write \\\\ for one backslash, or use single quotes",
    ),
    ("null is not allowed", "a key is empty", "write a name before the ':'"),
    ("expected string scalar", "a key is a list or a mapping", "keys are simple texts; look for a bracket too many"),
    ("block sequence entries", "a '-' stands where no list item can begin", "put '- ' on a line of its own, or the text in quotes"),
];

/// Where a second document begins although no line says so, that is all that is wrong with its keys: each of them is there twice. True if
/// there is such a document: nothing is known of it.
fn check_document(file: &File, tree: &Tree, findings: &mut Bounded<'_>) -> bool {
    let Some(second) = second_beginning(tree) else {
        check_keys(file, tree, &At::ROOT, findings);
        return false;
    };
    let message = "a second document begins here, and nothing parts it from the first".into();
    findings.push(about_place(file, second.at, message, "write --- on a line of its own above it"));
    true
}

/// The key with which a document begins, once more after what a document is made of.
fn second_beginning(tree: &Tree) -> Option<&Key> {
    let keys: Vec<&Key> = tree.entries().iter().map(|(key, _)| key).collect();
    let body = keys.iter().position(|key| matches!(&key.text[..], "metadata" | "spec"))?;
    let (first, rest) = keys.split_at(body);
    let begins = |key: &&&Key| matches!(&key.text[..], "apiVersion" | "kind") && first.iter().any(|known| known.text == key.text);
    rest.iter().find(begins).copied()
}

/// Reports keys that are there twice, are too long, or merge other mappings; stops when more would not be shown.
fn check_keys(file: &File, tree: &Tree, at: &At<'_>, findings: &mut Bounded<'_>) {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for (key, value) in tree.entries() {
        if findings.is_full() {
            return;
        }
        let at = at.key(&key.text);
        if let Some((message, hint)) = wrong_key(key, seen.get(key.text.as_str())) {
            findings.push(Finding { path: clipped(at.pointer()), ..about_place(file, key.at, message, &hint) });
        }
        seen.entry(&key.text).or_insert(key.at.line);
        check_keys(file, value, &at, findings);
    }
    for (index, item) in tree.items().iter().enumerate() {
        check_keys(file, item, &at.item(index), findings);
    }
}

/// What is wrong with a key, and what to do. `first` is the line on which the same key stands already.
fn wrong_key(key: &Key, first: Option<&u32>) -> Option<(String, String)> {
    if key.text == MERGE_KEY {
        Some(("merge keys (<<) are not allowed in policies".into(), "write the keys out where they belong".into()))
    } else if key.text.len() > KEY_MAX {
        let message = format!("a key has {} bytes; at most {KEY_MAX} are allowed", key.text.len());
        Some((message, "look for a missing ':' or quotes that are not closed".into()))
    } else {
        let line = first?;
        Some((format!("the key {} is there twice", quote(&key.text)), format!("keep one of them; the other is on line {line}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u32, u32)> {
        let file = File { name: "f".into(), text: text.into() };
        let mut findings = Vec::new();
        read(&file, &mut findings);
        findings.iter().map(|finding| (finding.line, finding.column)).collect()
    }

    #[test]
    fn cuts_at_lines_that_begin_a_document() {
        assert_eq!(pieces("a\n---\nb\n--- c\n----\n").len(), 3);
        assert_eq!(pieces("---\na\n---\r\nb").iter().map(|(line, _)| *line).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(pieces(""), [(0, "")]);
    }

    #[test]
    fn one_broken_document_hides_nothing_in_the_next() {
        assert_eq!(lines("a: [\n---\na: 1\na: 2\n---\nb: }\n"), [(1, 4), (4, 1), (6, 4)]);
    }

    #[test]
    fn line_ends_and_a_byte_order_mark_from_windows_are_welcome() {
        assert_eq!(lines("\u{feff}a: 1\r\nb:\r\n  - c: 2\r\n"), []);
        assert_eq!(lines("a: 1\r\na: 2\r\n"), [(2, 1)]);
    }

    #[test]
    fn a_directive_is_welcome_above_a_document_and_nowhere_else() {
        assert_eq!(lines("%YAML 1.2\n# why\n---\na: 1\na: 2\n"), [(5, 1)]);
        assert_eq!(lines("a: 1\n%YAML 1.2\n---\nb: 1\n").len(), 1);
    }

    #[test]
    fn places_count_characters() {
        assert_eq!(lines("受付: {番: 1, 番: 2}\n"), [(1, 12)]);
        assert_eq!(lines("a: 1 # \u{202e}\n"), [(1, 8)]);
    }
}
