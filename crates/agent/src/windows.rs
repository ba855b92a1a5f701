//! Functions of Windows, made safe: who owns what and who may touch it, files by handle, and what the system says of itself.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;

use windows_sys::core::BOOL;

pub(crate) mod access;
pub(crate) mod file;
pub(crate) mod system;

/// A text as Windows takes it: UTF-16 with a zero at the end.
pub(crate) fn wide(text: &OsStr) -> Vec<u16> {
    text.encode_wide().chain([0]).collect()
}

/// Reads a text up to its zero.
///
/// # Safety
/// `text` points to UTF-16 that ends with a zero.
pub(crate) unsafe fn narrow(text: *const u16) -> Vec<u16> {
    // SAFETY: as the caller promises, there is a zero, and nothing behind it is read.
    unsafe { (0..).map(|at| *text.add(at)).take_while(|&unit| unit != 0).collect() }
}

/// What a function that says no more than "no" meant by it.
pub(crate) fn check(succeeded: BOOL) -> io::Result<()> {
    if succeeded == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
