//! Quoting, for the few places where a text has to become part of another language: templates, and the one string that Windows takes for all
//! arguments of a program.

/// Why a text cannot be quoted: it holds a NUL, which ends a text for every operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text holds a NUL, which no program can be given")]
pub struct Nul;

/// A word of a POSIX shell (XCU, 2.2.2): nothing means anything within single quotes, and they themselves are written outside.
///
/// # Errors
/// [`Nul`].
pub fn sh(text: &str) -> Result<String, Nul> {
    without_nul(text)?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// A verbatim string of PowerShell (about_Quoting_Rules): a quotation mark is written twice, the typographic ones too, which mean the same.
///
/// # Errors
/// [`Nul`].
pub fn powershell(text: &str) -> Result<String, Nul> {
    without_nul(text)?;
    let mut quoted = String::from("'");
    for character in text.chars() {
        quoted.push(character);
        if matches!(character, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            quoted.push(character);
        }
    }
    quoted.push('\'');
    Ok(quoted)
}

/// What follows the program on a command line of Windows, so that `CommandLineToArgvW` gives these arguments again: backslashes count only
/// before a quotation mark, where each is written twice.
///
/// # Errors
/// [`Nul`].
pub fn windows(arguments: &[&str]) -> Result<String, Nul> {
    let mut line = String::new();
    for argument in arguments {
        without_nul(argument)?;
        line.push_str(if line.is_empty() { "\"" } else { " \"" });
        let mut backslashes = 0;
        for character in argument.chars() {
            if character == '"' {
                line.extend(std::iter::repeat_n('\\', backslashes + 1));
            }
            backslashes = if character == '\\' { backslashes + 1 } else { 0 };
            line.push(character);
        }
        line.extend(std::iter::repeat_n('\\', backslashes));
        line.push('"');
    }
    Ok(line)
}

fn without_nul(text: &str) -> Result<(), Nul> {
    if text.contains('\0') { Err(Nul) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_own_way() {
        assert_eq!(sh("it's $(id)").unwrap(), r"'it'\''s $(id)'");
        assert_eq!(powershell("it's ‘$x’").unwrap(), "'it''s ‘‘$x’’'");
        assert_eq!(windows(&["a b", r#"say "x""#, r"C:\dir\", ""]).unwrap(), r#""a b" "say \"x\"" "C:\dir\\" """#);
        for quote in [sh, powershell, |text: &str| windows(&[text])] {
            assert_eq!(quote("a\0b"), Err(Nul));
        }
    }
}
