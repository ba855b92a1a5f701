//! By name, for those who only read: what is swapped between a look and a read is read all the same.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// The user's home.
pub(crate) struct Home {
    path: PathBuf,
}

impl Home {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() { Ok(Self { path: path.to_owned() }) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// The names in a folder below the home, sorted; none if it is not there.
    pub(crate) fn list(&self, place: &Path) -> io::Result<Vec<OsString>> {
        let Some((folder, _)) = self.look(place)? else { return Ok(Vec::new()) };
        let mut found = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        found.sort();
        Ok(found)
    }

    /// What a file below the home contains; `None` if it is not there.
    pub(crate) fn read(&self, path: &Path, size_max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((path, there)) = self.look(path)? else { return Ok(None) };
        if !there.is_file() || there.len() > size_max {
            return Err(io::Error::other("it is not a file, or a very large one"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(size_max).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// What is at a path below the home, no part of which is a link; `None` if it is not there. Links are on Windows whatever leads to another
    /// name; a folder that OneDrive keeps is none.
    fn look(&self, below: &Path) -> io::Result<Option<(PathBuf, Metadata)>> {
        let mut path = self.path.clone();
        let mut found = fs::metadata(&path)?;
        for part in below.components() {
            let Component::Normal(part) = part else { return Err(io::Error::other("it is not below the home")) };
            path.push(part);
            found = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => return Err(io::Error::other("a link is in the way")),
                Ok(found) => found,
                Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(problem) => return Err(problem),
            };
        }
        Ok(Some((path, found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_below_the_home_are_read_and_what_is_missing_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/plain"), "12345").unwrap();
        let home = Home::open(folder.path()).unwrap();
        let read = |path: &str, most| home.read(Path::new(path), most);
        assert_eq!(read("in/plain", 5).unwrap().as_deref(), Some(b"12345".as_slice()));
        assert_eq!([read("in/missing", 5).unwrap(), read("missing/plain", 5).unwrap()], [None, None]);
        for refused in [read("in/plain", 4), read("in", 9), read("../in/plain", 9), read("in/../in/plain", 9)] {
            refused.unwrap_err();
        }
        assert_eq!(home.list(Path::new("in")).unwrap(), ["plain"]);
        assert!(home.list(Path::new("missing")).unwrap().is_empty());
        assert!(Home::open(&folder.path().join("in/plain")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_followed() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("secret"), folder.path().join("soft")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("out")).unwrap();
        let home = Home::open(folder.path()).unwrap();
        for path in ["soft", "out/secret"] {
            home.read(Path::new(path), 9).unwrap_err();
        }
        home.list(Path::new("out")).unwrap_err();
    }
}
