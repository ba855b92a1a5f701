//! Files that a program keeps on a PC, sealed together for the keepers of backups.
//!
//! What is sealed is a word and a version, then each file: its name and its bytes, each after its length in four bytes, big-endian.

use std::fmt;

use tegata_core::backup::Keepers;
use zeroize::Zeroizing;

use super::{DeviceKey, SealError, check_keepers, field, opened, seal_bytes_for};

/// What sealed files begin with.
const MAGIC: &[u8] = b"tegata-files\x01";

/// How large all of them together may be, in bytes.
pub const FILES_MAX: usize = 512 * 1024;

/// One file. Its bytes are wiped when dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its name below the folder that it belongs to, parts with `/` between them.
    pub name: String,
    /// What is in it.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All of them in one piece, the same for the same files.
///
/// # Errors
/// [`SealError::TooLarge`].
pub fn pack(files: &[File]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let length = files.iter().map(|file| 8 + file.name.len() + file.bytes.len()).sum::<usize>();
    if length > FILES_MAX {
        return Err(SealError::TooLarge);
    }
    // All the room at once: growing would leave a copy behind in memory.
    let mut packed = Zeroizing::new(Vec::with_capacity(MAGIC.len() + length));
    packed.extend_from_slice(MAGIC);
    for part in files.iter().flat_map(|file| [file.name.as_bytes(), &file.bytes]) {
        packed.extend_from_slice(&u32::try_from(part.len()).map_err(|_| SealError::TooLarge)?.to_be_bytes());
        packed.extend_from_slice(part);
    }
    Ok(packed)
}

/// Seals what [`pack`] made to its keepers.
pub fn seal(packed: &[u8], keepers: &Keepers) -> Result<Vec<u8>, SealError> {
    check_keepers(keepers)?;
    seal_bytes_for(packed, &[], keepers)
}

/// Opens what was sealed. A name that could lead to another place is refused, whoever sealed it.
pub fn unseal(sealed: &[u8], key: &DeviceKey) -> Result<Vec<File>, SealError> {
    let packed = opened(sealed, key)?;
    let mut rest = packed.strip_prefix(MAGIC).ok_or(SealError::Content)?;
    let mut files = Vec::new();
    while !rest.is_empty() {
        let (name, after) = field(rest).ok_or(SealError::Content)?;
        let (bytes, after) = field(after).ok_or(SealError::Content)?;
        let name = str::from_utf8(name).ok().filter(|name| is_plain(name)).ok_or(SealError::Content)?;
        files.push(File { name: name.to_owned(), bytes: Zeroizing::new(bytes.to_vec()) });
        rest = after;
    }
    Ok(files)
}

/// True for a path that stays where it is put, on every operating system.
fn is_plain(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= 255
            && part.chars().all(|c| !c.is_control() && !matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|'))
    };
    name.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> File {
        File { name: name.into(), bytes: Zeroizing::new(bytes.to_vec()) }
    }

    #[test]
    fn files_come_back_to_each_recipient_as_they_were_and_to_nobody_else() {
        let (one, other) = (DeviceKey::generate(), DeviceKey::generate());
        let files = [file("certificates/20260101000000.p12", &[0, 1, 255]), file("a.properties", "設定".as_bytes()), file("empty", b"")];
        let sealed = seal(&pack(&files).unwrap(), &Keepers::each(vec![one.recipient(), other.recipient()])).unwrap();
        for key in [&one, &other] {
            assert_eq!(unseal(&sealed, key).unwrap(), files);
        }
        assert!(unseal(&sealed, &DeviceKey::generate()).is_err());
        assert!(super::super::unseal(&sealed, &one).is_err(), "they are no vendor's file");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused_whoever_sealed_it() {
        let key = DeviceKey::generate();
        for name in ["../x", "/etc/passwd", "a/../../x", "c:\\x", "a//b", "", ".ssh/authorized_keys", "a/\u{0}"] {
            let sealed = seal(&pack(&[file(name, b"x")]).unwrap(), &Keepers::each(vec![key.recipient()])).unwrap();
            assert!(matches!(unseal(&sealed, &key), Err(SealError::Content)), "{name:?}");
        }
    }

    #[test]
    fn what_is_cut_short_is_refused_and_what_is_too_large_is_not_packed() {
        let key = DeviceKey::generate();
        let packed = pack(&[file("a", b"12345")]).unwrap();
        let sealed = seal(&packed[..packed.len() - 1], &Keepers::each(vec![key.recipient()])).unwrap();
        assert!(matches!(unseal(&sealed, &key), Err(SealError::Content)));
        assert!(matches!(pack(&[file("a", &vec![0; FILES_MAX])]), Err(SealError::TooLarge)));
    }
}
