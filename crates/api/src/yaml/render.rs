//! Shows findings as a compiler would.

use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

use crate::hint::visible;
use crate::v1::fleet::File;
use crate::v1::problem::Finding;

/// The most characters of a line that are shown on each side of the place.
const AROUND: usize = 60;

/// Shows findings as a compiler would: what is wrong, where, the line itself, and what to do. No colours.
///
/// ```text
/// error: spec.devices[0] has no place for a key 'platfrom'
///  --> clinic.yaml:8:27
///   |
/// 8 |     - { name: uketsuke-1, platfrom: windows }
///   |                           ^
///   = help: did you mean 'platform'?
/// ```
pub fn render(findings: &[Finding], files: &[File]) -> String {
    let mut text = String::new();
    for (index, finding) in findings.iter().enumerate() {
        text.push_str(if index > 0 { "\n" } else { "" });
        let line = files.iter().find(|file| file.name == finding.file).and_then(|file| line(&file.text, finding.line));
        show(&mut text, finding, line).expect("writing to a string cannot fail");
    }
    text
}

fn show(text: &mut String, finding: &Finding, line: Option<&str>) -> std::fmt::Result {
    writeln!(text, "error: {}", visible(&finding.message))?;
    let number = finding.line.to_string();
    let margin = " ".repeat(number.len());
    match finding.line {
        0 => writeln!(text, "{margin}--> {}", visible(&finding.file))?,
        _ => writeln!(text, "{margin}--> {}:{number}:{}", visible(&finding.file), finding.column)?,
    }
    if let Some(line) = line {
        let (shown, caret) = excerpt(line, finding.column);
        writeln!(text, "{margin} |\n{number} | {shown}")?;
        writeln!(text, "{margin} | {caret}^")?;
    }
    if let Some(hint) = &finding.hint {
        writeln!(text, "{margin} = help: {}", visible(hint))?;
    }
    Ok(())
}

/// The line with this number, from 1.
fn line(text: &str, number: u32) -> Option<&str> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').nth(index)
}

/// The part of a line around a column, and blanks as wide as what comes before it. Nothing in it can move a terminal's cursor.
fn excerpt(line: &str, column: u32) -> (String, String) {
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
    let start = column.saturating_sub(AROUND);
    let (mut shown, mut caret) = (String::new(), String::new());
    if start > 0 {
        shown.push('…');
        caret.push(' ');
    }
    let mut rest = line.trim_end_matches('\r').chars().enumerate().skip(start);
    for (index, c) in rest.by_ref().take(2 * AROUND) {
        let c = match c {
            '\t' => ' ',
            c if c.width().unwrap_or(0) == 0 => '\u{fffd}',
            c => c,
        };
        shown.push(c);
        if index < column {
            caret.push_str(if c.width() == Some(2) { "\u{3000}" } else { " " });
        }
    }
    if rest.next().is_some() {
        shown.push('…');
    }
    (shown.trim_end().to_owned(), caret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place_also_after_wide_characters() {
        assert_eq!(excerpt("memo: 受付 x", 10), ("memo: 受付 x".into(), format!("      {} ", "\u{3000}".repeat(2))));
    }

    #[test]
    fn long_lines_are_cut_on_both_sides() {
        let (shown, caret) = excerpt(&"x".repeat(1_000_000), 500_000);
        assert_eq!((shown.chars().count(), caret.len()), (2 * AROUND + 2, AROUND + 1));
    }

    #[test]
    fn nothing_shown_can_move_the_cursor() {
        assert_eq!(excerpt("a\u{1b}[2J\u{202e}b\r", 1).0, "a\u{fffd}[2J\u{fffd}b");
    }

    #[test]
    fn a8_whatever_was_quoted_stays_in_its_line() {
        let finding = Finding {
            file: "a\nb.yaml".into(),
            line: 0,
            column: 0,
            path: String::new(),
            message: "this\t\u{1b}[2J".into(),
            hint: Some("write [\r]".into()),
        };
        assert_eq!(render(&[finding], &[]), "error: this\\u{9}\\u{1b}[2J\n --> a\\u{a}b.yaml\n  = help: write [\\u{d}]\n");
    }
}
