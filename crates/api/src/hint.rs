//! "Did you mean": the nearest known word, and how a stranger's text is quoted.

use std::borrow::Cow;

/// Longer words are not compared with anything: nobody mistypes one of them.
const WORD_MAX: usize = 64;
/// No more known words than these are looked at.
const KNOWN_MAX: usize = 1000;
/// The most characters of a text that are quoted.
const QUOTED_MAX: usize = 48;
/// The most words that are listed when none is near.
const LISTED_MAX: usize = 16;

/// The known word that `word` was most likely meant to be: at most a third of its characters differ.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > WORD_MAX {
        return None;
    }
    let word = word.to_lowercase();
    known
        .into_iter()
        .take(KNOWN_MAX)
        .filter(|candidate| candidate.len() <= 2 * WORD_MAX)
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= length.max(candidate.chars().count()).div_ceil(3).min(length.saturating_sub(1)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean 'x'?", or what there is if nothing is near; `None` if there is nothing at all or too much to list.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => Some(format!("did you mean {}?", quote(near))),
        None if known.is_empty() || known.len() > LISTED_MAX => None,
        None => Some(format!("choose from {}", known.iter().map(|word| quote(word)).collect::<Vec<_>>().join(", "))),
    }
}

/// A stranger's text as it can be shown in one line of a terminal: what moves the cursor, changes colours or the direction of text, or
/// cannot be seen is spelled out.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return text.into();
    }
    let spelled = |c: char| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(spelled).collect()
}

/// Control characters, and formats that are no letters: direction marks, joiners, line separators, byte order marks, tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Puts a text in quotes so that it fits into one line and hides nothing: long ones are cut, what cannot be seen is spelled out.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    for (count, c) in text.chars().enumerate() {
        if count == QUOTED_MAX {
            quoted.push('…');
            break;
        }
        match c {
            '\'' | '"' | '\\' => quoted.push(c),
            _ => quoted.extend(c.escape_debug()),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        let known = ["displayName", "devices", "facilitySlug"];
        assert_eq!(nearest("devcies", known), Some("devices"));
        assert_eq!(nearest("DisplayNmae", known), Some("displayName"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", ["y"]), None, "one letter is like any other");
        assert_eq!(nearest(&"devices".repeat(1000), known), None);
    }

    #[test]
    fn lists_what_there_is_if_nothing_is_near() {
        assert_eq!(did_you_mean("colour", ["a", "b"]).unwrap(), "choose from 'a', 'b'");
        assert_eq!(did_you_mean("devcies", ["devices"]).unwrap(), "did you mean 'devices'?");
        assert_eq!(did_you_mean("colour", []), None);
    }

    #[test]
    fn quotes_without_hiding_anything() {
        assert_eq!(quote("受付1番"), "'受付1番'");
        assert_eq!(quote("a\n\u{202e}\u{1b}[31m"), "'a\\n\\u{202e}\\u{1b}[31m'");
        assert_eq!(quote(&"x".repeat(1000)).chars().count(), QUOTED_MAX + 3);
    }

    #[test]
    fn a8_no_text_moves_a_cursor_or_breaks_a_line() {
        assert_eq!(visible("受付1番 (1階) 👩‍⚕".replace('\u{200d}', "").as_str()), "受付1番 (1階) 👩⚕");
        assert_eq!(visible("\u{1b}[2Jx\n\u{202e}y\u{9b}31m"), "\\u{1b}[2Jx\\u{a}\\u{202e}y\\u{9b}31m");
    }
}
