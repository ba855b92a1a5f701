//! Opens what lies below a folder one name at a time, where the kernel cannot be told to stay below it (macOS).
//!
//! Each name is looked up in the folder that was opened for the one before, whatever that is called by now, and none may be a link.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

pub(super) fn beneath(folder: &OwnedFd, path: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let name = |part| match part {
        Component::Normal(name) => Ok(name),
        Component::CurDir => Ok(OsStr::new(".")),
        // As openat2 answers who wants to leave the folder.
        _ => Err(Errno::XDEV),
    };
    let names = Path::new(path).components().map(name).collect::<Result<Vec<_>, _>>()?;
    let (last, above) = names.split_last().ok_or(Errno::NOENT)?;
    let (folders, always) = (OFlags::RDONLY | OFlags::DIRECTORY, OFlags::NOFOLLOW | OFlags::CLOEXEC);
    let mut place = folder.try_clone()?;
    for name in above {
        place = openat(&place, *name, folders | always, Mode::empty())?;
    }
    Ok(openat(&place, *last, flags | always, Mode::empty())?)
}

#[cfg(test)]
thread_local!(static TRIED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });

/// From now on this test opens files as macOS does.
#[cfg(test)]
pub(crate) fn try_them() {
    TRIED.set(true);
}

#[cfg(test)]
pub(super) fn are_tried() -> bool {
    TRIED.get()
}
