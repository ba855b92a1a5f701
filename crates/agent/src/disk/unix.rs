//! What Unix does its own way: permission bits, links, and folders that must be synced themselves.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

pub(super) fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn close_folder(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

pub(super) fn close(path: &Path, there: &fs::Metadata) -> io::Result<()> {
    let mode = there.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { fs::set_permissions(path, Permissions::from_mode(mode & 0o700)) }
}

pub(super) fn is_own(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.uid() == rustix::process::geteuid().as_raw())
}

pub(super) fn open_to_everyone(file: &File, _path: &Path) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o644))
}

/// A new name is durable only after its folder was synced.
pub(super) fn sync_name(path: &Path) -> io::Result<()> {
    sync_removal(super::folder_of(path))
}

/// So is that a name is gone.
pub(super) fn sync_removal(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

pub(super) fn point_to(link: &Path, target: &str, prefix: &str) -> io::Result<()> {
    let folder = super::folder_of(link);
    let fresh = folder.join(format!("{prefix}{}", crate::chance::name()));
    std::os::unix::fs::symlink(target, &fresh)?;
    fs::rename(&fresh, link)?;
    sync_name(link)
}

pub(super) fn pointed_at(link: &Path) -> io::Result<String> {
    Ok(fs::read_link(link)?.to_string_lossy().into_owned())
}
