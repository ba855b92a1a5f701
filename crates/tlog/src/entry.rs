//! Entries: what stands for a record in the tree, and how many of them travel together (C2SP tlog-tiles, "Log entries").

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

/// The longest entry: each is behind a length of 16 bits.
const ENTRY_MAX: usize = u16::MAX as usize;

/// The bytes of a record; where they are too many for an entry, `sha256:` and their hash in hexadecimal.
pub fn of(record: &str) -> Cow<'_, [u8]> {
    if record.len() <= ENTRY_MAX {
        return Cow::Borrowed(record.as_bytes());
    }
    Cow::Owned(format!("sha256:{}", HEXLOWER.encode(digest(&SHA256, record.as_bytes()).as_ref())).into_bytes())
}

/// Entries, each behind its length.
pub fn bundle<'a>(entries: impl IntoIterator<Item = Cow<'a, [u8]>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).expect("an entry fits its length");
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(&entry);
    }
    bytes
}

/// The entries of a bundle; none if it is cut off.
pub fn unbundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_read_as_it_was_written_and_never_in_part() {
        let records = ["{}".to_owned(), String::new(), "あ".repeat(30_000)];
        let bytes = bundle(records.iter().map(|record| of(record)));
        let entries = unbundle(&bytes).unwrap();
        assert_eq!(entries[..2], [b"{}".as_slice(), b""]);
        assert!(entries[2].starts_with(b"sha256:") && entries[2].len() == 71, "90,000 bytes are no entry");
        for cut in (1..bytes.len()).filter(|cut| ![4, 6].contains(cut)) {
            assert_eq!(unbundle(&bytes[..cut]), None, "{cut}");
        }
    }
}
