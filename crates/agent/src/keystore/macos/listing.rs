//! What `security` prints, read strictly: whatever is not as expected is an error, never less than there is.
//!
//! Formats: `print_buffer`, `do_keychain_find_certificate`, `printIdentity` and `display_list` of Apple's SecurityTool.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use data_encoding::{HEXLOWER_PERMISSIVE, HEXUPPER};
use tegata_core::name::Sha256;

/// Something that `security` does not print, as far as is known.
#[derive(Debug, thiserror::Error)]
#[error("security prints {0:?} where {1} was expected; its format may have changed with a new macOS")]
pub(super) struct Strange(String, &'static str);

/// A certificate of a keychain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its other name, by which identities are listed: SHA-1, in capitals.
    pub(super) sha1: String,
}

/// Reads `find-certificate -a -Z`: for each certificate two lines of hashes, then where it is, then what is known of it.
pub(super) fn certificates(printed: &[u8], keychain: &Path) -> Result<BTreeMap<Sha256, Listed>, Strange> {
    let text = text(printed)?;
    let mut lines = text.lines();
    let mut found = BTreeMap::new();
    let mut next = lines.next();
    while let Some(first) = next {
        let sha256 = hash(first, "SHA-256 hash: ", 64)?;
        let sha1 = hash(lines.next().unwrap_or_default(), "SHA-1 hash: ", 40)?;
        let place = lines.next().unwrap_or_default();
        let named = place.strip_prefix("keychain: ").and_then(unprinted);
        if named.as_deref() != Some(keychain.as_os_str().as_bytes()) {
            return Err(Strange(place.to_owned(), "the agent's own keychain"));
        }
        let sha256 = sha256.parse().map_err(|_| Strange(first.to_owned(), "a SHA-256 hash"))?;
        found.insert(sha256, Listed { sha1: sha1.to_owned() });
        next = lines.find(|line| !is_detail(line));
    }
    Ok(found)
}

fn is_detail(line: &str) -> bool {
    ["version: ", "class: ", "attributes:", "    "].iter().any(|start| line.starts_with(start))
}

fn hash<'a>(line: &'a str, name: &'static str, length: usize) -> Result<&'a str, Strange> {
    let hash = line.strip_prefix(name).map(str::trim_end).filter(|hash| is_hex(hash, length));
    hash.ok_or_else(|| Strange(line.to_owned(), name))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && HEXUPPER.decode(text.as_bytes()).is_ok()
}

/// Reads `find-identity`: those that match, however little they are trusted. Those that are valid are listed again below.
pub(super) fn identities(printed: &[u8]) -> Result<BTreeSet<String>, Strange> {
    let text = text(printed)?;
    let mut lines = text.lines().skip_while(|line| line.trim() != "Matching identities").skip(1);
    let mut found = Vec::new();
    loop {
        let line = lines.next().ok_or_else(|| Strange(text.to_owned(), "a list of identities"))?;
        let strange = || Strange(line.to_owned(), "an identity or their number");
        if let Some(number) = line.trim().strip_suffix(" identities found") {
            // A key that two certificates belong to makes no line twice; one that is missing would be a line that was passed over.
            return if number.parse() == Ok(found.len()) { Ok(found.into_iter().collect()) } else { Err(strange()) };
        }
        let (ordinal, rest) = line.trim_start().split_once(") ").ok_or_else(strange)?;
        let (sha1, label) = rest.split_once(' ').ok_or_else(strange)?;
        if ordinal.parse() != Ok(found.len() + 1) || !is_hex(sha1, 40) || !label.starts_with('"') {
            return Err(strange());
        }
        found.push(sha1.to_owned());
    }
}

/// Reads `list-keychains`: one path a line.
pub(super) fn search_list(printed: &[u8]) -> Result<Vec<PathBuf>, Strange> {
    let path = |line: &str| {
        let bytes = unprinted(line.trim_start()).filter(|bytes| bytes.starts_with(b"/"));
        bytes.map(|bytes| std::ffi::OsString::from_vec(bytes).into()).ok_or_else(|| Strange(line.to_owned(), "the path of a keychain"))
    };
    text(printed)?.lines().map(path).collect()
}

/// Reads bytes as they are printed: `"…"` if they are plain ASCII, else in hexadecimal, and after two blanks what can be read of them.
fn unprinted(printed: &str) -> Option<Vec<u8>> {
    if let Some(rest) = printed.strip_prefix("0x") {
        let hex = rest.split(' ').next()?;
        return HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok();
    }
    printed.trim_end().strip_prefix('"')?.strip_suffix('"').map(|plain| plain.as_bytes().to_vec())
}

fn text(printed: &[u8]) -> Result<&str, Strange> {
    std::str::from_utf8(printed).map_err(|_| Strange(String::from_utf8_lossy(printed).into_owned(), "UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYCHAIN: &str = "/Users/uketsuke/Library/Application Support/Tegata/tegata.keychain-db";

    /// As `security find-certificate -a -Z` prints it.
    fn one(sha256: &str, sha1: &str, keychain: &str) -> String {
        format!(
            "SHA-256 hash: {sha256}\nSHA-1 hash: {sha1}\nkeychain: \"{keychain}\"\nversion: 512\nclass: 0x80001000 \nattributes:\n    \
             \"alis\"<blob>=\"client1210\"\n    \"cenc\"<uint32>=0x00000003 \n    \"hpky\"<blob>=0x94F68CE4  \"\\224\\366\\214\\344\"\n    \
             \"labl\"<blob>=\"SHA-256 hash: 00\"\n    \"subj\"<blob>=<NULL>\n"
        )
    }

    #[test]
    fn certificates_are_read_by_their_hashes_and_their_place() {
        let (first, second) = ("AB".repeat(32), "0C".repeat(32));
        let printed = one(&first, &"1D".repeat(20), KEYCHAIN) + &one(&second, &"2E".repeat(20), KEYCHAIN);
        let found = certificates(printed.as_bytes(), Path::new(KEYCHAIN)).unwrap();
        let hashes: Vec<_> = found.iter().map(|(sha256, one)| (sha256.to_string().to_uppercase(), one.sha1.clone())).collect();
        assert_eq!(hashes, [(second, "2E".repeat(20)), (first, "1D".repeat(20))]);
        assert!(certificates(b"", Path::new(KEYCHAIN)).unwrap().is_empty());
    }

    #[test]
    fn a_certificate_of_another_keychain_and_whatever_is_not_known_are_errors() {
        let (sha256, sha1) = ("AB".repeat(32), "1D".repeat(20));
        let whole = one(&sha256, &sha1, KEYCHAIN);
        for strange in [
            one(&sha256, &sha1, "/Users/uketsuke/Library/Keychains/login.keychain-db"),
            one("AB", &sha1, KEYCHAIN),
            whole.replace("SHA-256", "SHA-512"),
            format!("{whole}Some new line\n"),
            // Before macOS 10.13 there was no SHA-256.
            whole.lines().skip(1).map(|line| format!("{line}\n")).collect(),
        ] {
            certificates(strange.as_bytes(), Path::new(KEYCHAIN)).unwrap_err();
        }
    }

    #[test]
    fn identities_are_read_whether_or_not_they_are_trusted() {
        let printed = "\nPolicy: X.509 Basic\n  Matching identities\n  1) 86890D67F234745572B7EF153C72DEA7CF522EDE \"受付 1) 番\" \
                       (CSSMERR_TP_NOT_TRUSTED)\n  2) 13F9C39BE0072902F6A60AF738F51BE53E3A8B23 \"client1210\"\n     2 identities found\n\n  \
                       Valid identities only\n  1) 13F9C39BE0072902F6A60AF738F51BE53E3A8B23 \"client1210\"\n     1 valid identities found\n";
        let found = identities(printed.as_bytes()).unwrap();
        let expected = ["13F9C39BE0072902F6A60AF738F51BE53E3A8B23", "86890D67F234745572B7EF153C72DEA7CF522EDE"];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
        let none = "\nPolicy: X.509 Basic\n  Matching identities\n     0 identities found\n\n  Valid identities only\n     0 valid identities found\n";
        assert!(identities(none.as_bytes()).unwrap().is_empty());
        for strange in
            ["", &printed.replace("2 identities", "3 identities"), &printed.replace("86890D", "86890?"), &printed.replace("  2) ", "")]
        {
            identities(strange.as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn the_list_of_keychains_is_read_whatever_the_name_of_the_user() {
        let printed = "    \"/Users/uketsuke/Library/Keychains/login.keychain-db\"\n    \
                       0x2F55736572732FE58F97E4BB982F612E6B6579636861696E2D6462  \"/Users/\\345\\217\\227\\344\\273\\230/a.keychain-db\"\n";
        let list = search_list(printed.as_bytes()).unwrap();
        assert_eq!(list, ["/Users/uketsuke/Library/Keychains/login.keychain-db", "/Users/受付/a.keychain-db"].map(PathBuf::from));
        for strange in ["<NULL>\n", "    \"relative\"\n", "\n", "    \"/Users/a\n"] {
            search_list(strange.as_bytes()).unwrap_err();
        }
    }
}
