//! Nothing that is committed waits for "later".

use super::{Finding, Tree, source};

/// Macros that stand for code that is not there, or for somebody's debugging session.
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Marks in comments. Written in two parts, or this file would find itself.
const MARKS: [&str; 3] = [concat!("FIX", "ME"), concat!("XX", "X:"), concat!("TO", "DO")];

/// Neither such a macro nor such a mark is anywhere.
pub fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension("rs") {
        findings.extend(macros(text).into_iter().map(|(line, name)| Finding {
            file: path.to_owned(),
            line,
            message: format!("`{name}!` is left in"),
        }));
        findings.extend(marks(text).map(|(line, mark)| Finding { file: path.to_owned(), line, message: format!("`{mark}` is left in") }));
    }
    findings
}

fn macros(text: &str) -> Vec<(usize, String)> {
    let Ok(tokens) = text.parse() else { return Vec::new() };
    let calls = source::paths(tokens).into_iter().filter(|path| path.called);
    calls.filter_map(|path| Some((path.line, path.parts.last()?.clone()))).filter(|(_, name)| MACROS.contains(&name.as_str())).collect()
}

fn marks(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let (_, comment) = line.split_once("//")?;
        let mark = MARKS.into_iter().find(|mark| comment.contains(mark))?;
        Some((index + 1, mark))
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{shown, tree};
    use super::*;

    #[test]
    fn macros_and_marks_are_found_and_their_names_in_texts_are_not() {
        let bad = format!("fn f() {{\n    todo!()\n}}\n// {} later\nconst A: &str = \"todo!\";\nfn g() {{ std::dbg!(1); }}\n", MARKS[0]);
        assert_eq!(
            shown(&unfinished(&tree(&[("a.rs", &bad)]))),
            ["a.rs:2: `todo!` is left in".to_owned(), "a.rs:6: `dbg!` is left in".to_owned(), format!("a.rs:4: `{}` is left in", MARKS[0]),]
        );
    }
}
