//! What can go wrong only where a folder may be another one than it was.

use std::fs;

use tegata_core::backup::Trouble;
use tegata_core::policy::BackupPlace;
use tegata_server::backup::target::{Part, Use, open};

use super::{access, files, object, trouble};

#[test]
fn a_mount_point_without_its_mount_is_written_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("nas");
    fs::create_dir(&root).unwrap();
    let (place, access) = (BackupPlace::Directory { path: root.display().to_string(), marker: None }, access(None));
    open(&place, &access, Use::First).unwrap().put(&object("aozora", 1, Part::Sealed), b"x").unwrap();
    open(&place, &access, Use::Again).expect("it is marked");
    fs::rename(&root, folder.path().join("away")).unwrap();
    fs::create_dir(&root).unwrap();
    assert_eq!(trouble(open(&place, &access, Use::Again)), Trouble::Unmarked);
    assert!(files(&root).is_empty(), "and nothing that would hide it");
    assert!(open(&place, &access, Use::Reading).is_ok_and(|_| files(&root).is_empty()), "whoever reads marks nothing");
}

#[test]
fn a_mark_that_policy_names_is_peoples_own_and_is_never_made() {
    let folder = tempfile::tempdir().unwrap();
    let place = BackupPlace::Directory { path: folder.path().display().to_string(), marker: Some("here".into()) };
    for before in [Use::First, Use::Again] {
        assert_eq!(trouble(open(&place, &access(None), before)), Trouble::Unmarked);
        assert!(files(folder.path()).is_empty());
    }
    fs::write(folder.path().join("here"), "").unwrap();
    open(&place, &access(None), Use::First).expect("it is there");
    assert_eq!(files(folder.path()), [folder.path().join("here")]);
}
