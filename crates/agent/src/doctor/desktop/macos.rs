//! What macOS keeps: `.webloc` files on the desktop, and which program opens what (Launch Services). Both are property lists.

use std::io::Cursor;
use std::path::Path;

use plist::Value;
use reqwest::Url;

use super::SIZE_MAX;
use super::links::Shortcut;
use crate::home::Home;

/// How files end that open a page.
#[cfg(target_os = "macos")]
pub(super) const ENDINGS: [&str; 1] = ["webloc"];

/// What the user has chosen.
const CHOICES: &str = "Library/Preferences/com.apple.LaunchServices/com.apple.launchservices.secure.plist";
/// Who opens links for those who have chosen nobody.
const UNCHOSEN: &str = "com.apple.safari";

/// Reads one. The file's own name is the one that is shown. Which program opens it is left to macOS.
pub(super) fn shortcut(stem: &str, bytes: &[u8]) -> Option<Shortcut> {
    let read = Value::from_reader(Cursor::new(bytes)).ok()?;
    let linked = read.as_dictionary()?.get("URL")?.as_string()?;
    Some(Shortcut::new(stem, Url::parse(linked).ok()?, None))
}

/// The identifier of the program that opens links, such as `com.google.chrome`. Nothing is said without the user's list of choices.
pub(super) fn default_program(home: &Home) -> Option<String> {
    let choices = Value::from_reader(Cursor::new(home.read(Path::new(CHOICES), SIZE_MAX).ok()??)).ok()?;
    let handlers = choices.as_dictionary()?.get("LSHandlers")?.as_array()?;
    let of_links = |handler: &&plist::Dictionary| handler.get("LSHandlerURLScheme").and_then(Value::as_string) == Some("https");
    let chosen = handlers.iter().filter_map(Value::as_dictionary).find(of_links);
    let program = chosen.map_or(Some(UNCHOSEN), |handler| handler.get("LSHandlerRoleAll")?.as_string());
    program.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use plist::Dictionary;

    use super::*;

    #[test]
    fn a_shortcut_is_read_in_both_forms() {
        let written = Value::from(Dictionary::from_iter([("URL", Value::from("https://karte.test/d/signin"))]));
        let (mut xml, mut binary) = (Vec::new(), Vec::new());
        written.to_writer_xml(&mut xml).unwrap();
        written.to_writer_binary(&mut binary).unwrap();
        for form in [xml, binary] {
            assert_eq!(shortcut("カルテ", &form).unwrap().url.as_str(), "https://karte.test/d/signin");
        }
        for nothing in [&b""[..], b"[InternetShortcut]", b"<plist><dict><key>URL</key><integer>7</integer></dict></plist>"] {
            assert!(shortcut("カルテ", nothing).is_none());
        }
    }

    #[test]
    fn the_default_program_is_the_chosen_one_or_safari() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        assert_eq!(default_program(&home), None, "nothing was seen");
        let path = folder.path().join(CHOICES);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let handler = |kind: &str, what: &str, program: &str| {
            Value::from(Dictionary::from_iter([(kind, Value::from(what)), ("LSHandlerRoleAll", program.into())]))
        };
        let write = |handlers: Vec<Value>| {
            Value::from(Dictionary::from_iter([("LSHandlers", Value::Array(handlers))])).to_file_binary(&path).unwrap();
        };
        let pages = || handler("LSHandlerContentType", "public.html", "org.mozilla.firefox");
        write(vec![pages(), handler("LSHandlerURLScheme", "https", "com.google.chrome")]);
        assert_eq!(default_program(&home).as_deref(), Some("com.google.chrome"));
        write(vec![pages()]);
        assert_eq!(default_program(&home).as_deref(), Some("com.apple.safari"));
        std::fs::write(&path, "half").unwrap();
        assert_eq!(default_program(&home), None, "what cannot be read says nothing");
    }
}
