//! JSON as Chromium reads policy files (`JSON_PARSE_CHROMIUM_EXTENSIONS | JSON_ALLOW_TRAILING_COMMAS`): with comments, with a comma
//! before a closing bracket, with line breaks within texts.

use serde_json::Value;

/// Reads a policy file; `None` if Chromium could not read it either.
pub(super) fn read(bytes: &[u8]) -> Option<Value> {
    serde_json::from_str(&strict(&String::from_utf8_lossy(bytes))).ok()
}

/// The same as plain JSON.
fn strict(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.trim_start_matches('\u{feff}');
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' => copy_text(rest, &mut plain),
            '/' if rest.starts_with("//") => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |end| end + 4),
            _ => {
                if matches!(next, ']' | '}') {
                    drop_comma(&mut plain);
                }
                plain.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    plain
}

/// Copies the text at the beginning of `from`, quotes included, and gives its length there.
fn copy_text(from: &str, to: &mut String) -> usize {
    to.push('"');
    let mut is_escaped = false;
    for (at, c) in from.char_indices().skip(1) {
        match (is_escaped, c) {
            (true, 'x') => to.push_str("u00"),
            (true, 'v') => to.push_str("u000b"),
            (false, '\n') => to.push_str("\\n"),
            (false, '\r') => to.push_str("\\r"),
            _ => to.push(c),
        }
        if !is_escaped && c == '"' {
            return at + 1;
        }
        is_escaped = !is_escaped && c == '\\';
    }
    from.len()
}

fn drop_comma(plain: &mut String) {
    if let Some(kept) = plain.trim_end().strip_suffix(',') {
        plain.truncate(kept.len());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_chromium_takes_beyond_json_is_read() {
        for (text, value) in [
            ("\u{feff}{\"a\": 1, // why\n \"b\": [1, 2, ], /* a, } \" */ }", json!({"a": 1, "b": [1, 2]})),
            ("/*/ one */[\"x\",\n// last\n]", json!(["x"])),
            ("// only the last line has no end", Value::Null),
            ("{\"a\": \"line\nbreak\", \"b\": \"\\x41\\v\"}", json!({"a": "line\nbreak", "b": "A\u{b}"})),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_or_default(), value, "{text}");
        }
    }

    #[test]
    fn texts_are_left_as_they_are() {
        for text in [r#"["https://x/*", "//", ",]", "\\", "\",}", "受付"]"#, r#"{"a": "\\\" // \u0041 ,]"}"#, "[]", "17"] {
            assert_eq!(read(text.as_bytes()), serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_nothing() {
        for text in ["", "{ not json", "[1", "\"open", "/* open", "{\"a\" 1}"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
