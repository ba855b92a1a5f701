//! What Windows can do to a file and Rust's library cannot.
#![allow(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_OFFLINE, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, SetFileAttributesW,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_SET_REPARSE_POINT;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};

use crate::windows::{check, wide};

/// True under Wine, whose `ntdll` says so.
pub(in crate::sweep) fn is_wine() -> bool {
    // SAFETY: both texts end with a zero and outlive the calls, and that library is never unloaded.
    unsafe { GetProcAddress(GetModuleHandleW(wide("ntdll.dll").as_ptr()), c"wine_get_version".as_ptr().cast()) }.is_some()
}

/// Makes a folder lead to another one, as `mklink /J` does. Needs no rights.
pub(super) fn make_junction(at: &Path, to: &Path) -> io::Result<()> {
    /// `IO_REPARSE_TAG_MOUNT_POINT` (ntifs.h).
    const MOUNT_POINT: u32 = 0xa000_0003;
    fs::create_dir(at)?;
    let options = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    let folder = OpenOptions::new().write(true).custom_flags(options).open(at)?;
    let target: Vec<u8> = wide(format!(r"\??\{}", to.display())).iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let length = u16::try_from(target.len()).unwrap();
    // REPARSE_DATA_BUFFER: where the names begin and how long they are, without the zeros behind them; the name to show is empty.
    let names = [0, length - 2, length, 0].map(u16::to_le_bytes).concat();
    let data = [names, target, vec![0, 0]].concat();
    let buffer = [&MOUNT_POINT.to_le_bytes()[..], &u16::try_from(data.len()).unwrap().to_le_bytes(), &[0, 0], &data].concat();
    let mut told = 0;
    // SAFETY: the handle is open, and the buffer has as many bytes as is said.
    check(unsafe {
        DeviceIoControl(
            folder.as_raw_handle(),
            FSCTL_SET_REPARSE_POINT,
            buffer.as_ptr().cast(),
            u32::try_from(buffer.len()).unwrap(),
            null_mut(),
            0,
            &raw mut told,
            null_mut(),
        )
    })
}

/// Marks a file as one whose contents are not on this PC.
pub(super) fn mark_offline(path: &Path) -> io::Result<()> {
    // SAFETY: the text ends with a zero and outlives the call.
    check(unsafe { SetFileAttributesW(wide(path).as_ptr(), FILE_ATTRIBUTE_OFFLINE) })
}
