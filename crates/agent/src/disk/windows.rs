//! What Windows does its own way: access lists instead of permission bits, and folders that need no syncing.

use std::fs::{self, File};
use std::io;
use std::path::Path;

pub(super) fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub(super) fn close_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn close(_path: &Path, _there: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

pub(super) fn is_own(_there: &fs::Metadata) -> bool {
    true
}

pub(super) fn open_to_everyone(_file: &File) -> io::Result<()> {
    Ok(())
}

/// NTFS journals renames itself.
pub(super) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn point_to(link: &Path, target: &str, prefix: &str) -> io::Result<()> {
    let fresh = super::folder_of(link).join(format!("{prefix}{}", crate::chance::name()));
    fs::write(&fresh, target)?;
    fs::rename(&fresh, link)
}

pub(super) fn pointed_at(link: &Path) -> io::Result<String> {
    fs::read_to_string(link)
}
