//! Functions of Windows, made safe: who owns what and who may touch it, files by handle, and what the system says of itself.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;

use windows_sys::core::BOOL;

pub(crate) mod access;
pub(crate) mod file;
pub(crate) mod libraries;
pub(crate) mod processes;
pub(crate) mod system;

/// A text as Windows takes it: UTF-16 with a zero at the end, and none before.
pub(crate) fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().filter(|unit| *unit != 0).chain([0]).collect()
}

/// Reads a text up to its zero; nothing if there is none (null).
///
/// # Safety
/// `text` is null, or points to UTF-16 that ends with a zero.
pub(crate) unsafe fn narrow(text: *const u16) -> Vec<u16> {
    if text.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller promises, there is a zero, and nothing behind it is read.
    unsafe { (0..).map(|at| *text.add(at)).take_while(|&unit| unit != 0).collect() }
}

/// The same, for people and programs to read.
///
/// # Safety
/// As [`narrow`].
pub(crate) unsafe fn text(text: *const u16) -> String {
    // SAFETY: as the caller promises.
    String::from_utf16_lossy(&unsafe { narrow(text) })
}

/// What a function that says no more than "no" meant by it.
pub(crate) fn check(succeeded: BOOL) -> io::Result<()> {
    if succeeded == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
