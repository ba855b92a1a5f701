//! Files and folders by handle: whatever is given another name meanwhile, a handle stays what it was.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::offset_of;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle};
use std::path::{Path, PathBuf};
use std::ptr::{copy_nonoverlapping, null, null_mut};

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_DIRECTORY_FILE, FILE_NON_DIRECTORY_FILE, FILE_OPEN, FILE_OPEN_REPARSE_POINT, FILE_RENAME_INFORMATION,
    FILE_SYNCHRONOUS_IO_NONALERT, FileRenameInformation, NtCreateFile, NtSetInformationFile,
};
use windows_sys::Win32::Foundation::{
    ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER, ERROR_NOT_SUPPORTED, NTSTATUS, OBJ_CASE_INSENSITIVE, RtlNtStatusToDosError,
    UNICODE_STRING,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_READONLY, FILE_ATTRIBUTE_REPARSE_POINT, FILE_ATTRIBUTE_TAG_INFO,
    FILE_BASIC_INFO, FILE_DISPOSITION_FLAG_DELETE, FILE_DISPOSITION_FLAG_IGNORE_READONLY_ATTRIBUTE, FILE_DISPOSITION_FLAG_POSIX_SEMANTICS,
    FILE_DISPOSITION_INFO, FILE_DISPOSITION_INFO_EX, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_INFO_BY_HANDLE_CLASS,
    FileAttributeTagInfo, FileBasicInfo, FileDispositionInfo, FileDispositionInfoEx, GetFileInformationByHandle,
    GetFileInformationByHandleEx, GetFinalPathNameByHandleW, MOVEFILE_DELAY_UNTIL_REBOOT, MoveFileExW, SYNCHRONIZE,
    SetFileInformationByHandle,
};
use windows_sys::Win32::System::IO::{DeviceIoControl, IO_STATUS_BLOCK};
use windows_sys::Win32::System::Ioctl::FSCTL_SET_REPARSE_POINT;

use super::{check, wide};

/// A reparse tag with this bit says that the name leads elsewhere: a junction or a symbolic link ([MS-FSCC] 2.1.2.1).
const NAME_SURROGATE: u32 = 0x2000_0000;

/// What has to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
}

/// What is known of something that is open.
pub(crate) struct Seen {
    /// How many names it has.
    pub(crate) links: u32,
    /// True for junctions and symbolic links.
    pub(crate) is_link: bool,
}

/// Opens a file or folder, of a link the link itself.
pub(crate) fn open(path: &Path, access: u32, share: u32) -> io::Result<File> {
    let flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    OpenOptions::new().access_mode(access).share_mode(share).custom_flags(flags).open(path)
}

/// Opens what has this name in a folder, of a link the link itself.
pub(crate) fn open_in(folder: &File, name: &OsStr, kind: Kind, access: u32, share: u32) -> io::Result<File> {
    let mut units = plain(name)?;
    let bytes = u16::try_from(units.len() * 2).map_err(|_| io::ErrorKind::InvalidFilename)?;
    let text = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap_or_default(),
        RootDirectory: folder.as_raw_handle(),
        ObjectName: &raw const text,
        Attributes: OBJ_CASE_INSENSITIVE,
        ..Default::default()
    };
    let kind = if kind == Kind::Folder { FILE_DIRECTORY_FILE } else { FILE_NON_DIRECTORY_FILE };
    let options = kind | FILE_OPEN_REPARSE_POINT | FILE_SYNCHRONOUS_IO_NONALERT;
    let (mut handle, mut status) = (null_mut(), IO_STATUS_BLOCK::default());
    // SAFETY: the folder is open, and the name and what holds it outlive the call; handle and status are written.
    succeeded(unsafe {
        NtCreateFile(
            &raw mut handle,
            access | SYNCHRONIZE,
            &raw const attributes,
            &raw mut status,
            null(),
            0,
            share,
            FILE_OPEN,
            options,
            null(),
            0,
        )
    })?;
    // SAFETY: it was opened just now, and nobody else has it.
    Ok(unsafe { File::from_raw_handle(handle) })
}

/// A name that means something in the folder itself: no path, and no stream of a file (`name:stream`).
fn plain(name: &OsStr) -> io::Result<Vec<u16>> {
    let units: Vec<u16> = name.encode_wide().collect();
    let means_more = |unit: &u16| [b'\\', b'/', b':'].map(u16::from).contains(unit);
    if units.iter().any(means_more) { Err(io::ErrorKind::InvalidFilename.into()) } else { Ok(units) }
}

/// Looks at what is open.
pub(crate) fn look_at(file: &File) -> io::Result<Seen> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and what is found is written.
    check(unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) })?;
    let mut tag = FILE_ATTRIBUTE_TAG_INFO::default();
    // SAFETY: the handle is open, and the structure has as much room as is said.
    check(unsafe { GetFileInformationByHandleEx(file.as_raw_handle(), FileAttributeTagInfo, (&raw mut tag).cast(), size_of_info(&tag)) })?;
    let is_link = tag.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 && tag.ReparseTag & NAME_SURROGATE != 0;
    Ok(Seen { links: found.nNumberOfLinks, is_link })
}

/// Where it really lies, every link resolved: `\\?\C:\…`.
pub(crate) fn final_path(file: &File) -> io::Result<PathBuf> {
    let mut buffer = vec![0_u16; 512];
    loop {
        let room = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        // SAFETY: the handle is open, and the buffer has as much room as is said.
        let length = unsafe { GetFinalPathNameByHandleW(file.as_raw_handle(), buffer.as_mut_ptr(), room, 0) } as usize;
        match length {
            0 => return Err(io::Error::last_os_error()),
            fits if fits < buffer.len() => return Ok(OsString::from_wide(&buffer[..fits]).into()),
            more => buffer.resize(more, 0),
        }
    }
}

/// Gives a file another name in its folder, unless that is taken. The handle needs the right to delete.
pub(crate) fn rename_in(folder: &File, file: &File, name: &OsStr) -> io::Result<()> {
    let units = plain(name)?;
    let length = offset_of!(FILE_RENAME_INFORMATION, FileName) + units.len() * 2;
    let mut buffer = vec![0_u64; length.max(size_of::<FILE_RENAME_INFORMATION>()).div_ceil(8)];
    let (rename, mut status) = (buffer.as_mut_ptr().cast::<FILE_RENAME_INFORMATION>(), IO_STATUS_BLOCK::default());
    // SAFETY: the buffer is aligned for the structure, and as long as it is with the name. Both handles are open.
    succeeded(unsafe {
        (*rename).RootDirectory = folder.as_raw_handle();
        (*rename).FileNameLength = u32::try_from(units.len() * 2).unwrap_or(u32::MAX);
        copy_nonoverlapping(units.as_ptr(), (&raw mut (*rename).FileName).cast(), units.len());
        let length = u32::try_from(buffer.len() * 8).unwrap_or(u32::MAX);
        NtSetInformationFile(file.as_raw_handle(), &raw mut status, rename.cast(), length, FileRenameInformation)
    })
}

/// Removes what is open, past the recycle bin. The handle needs the rights to delete and to write attributes.
pub(crate) fn remove(file: &File) -> io::Result<()> {
    const AT_ONCE: u32 =
        FILE_DISPOSITION_FLAG_DELETE | FILE_DISPOSITION_FLAG_POSIX_SEMANTICS | FILE_DISPOSITION_FLAG_IGNORE_READONLY_ATTRIBUTE;
    match set(file, FileDispositionInfoEx, &FILE_DISPOSITION_INFO_EX { Flags: AT_ONCE }) {
        Err(problem) if is_unknown(&problem) => remove_at_close(file),
        done => done,
    }
}

/// As file systems other than NTFS know it, and Windows before version 10.
fn remove_at_close(file: &File) -> io::Result<()> {
    use std::os::windows::fs::MetadataExt;
    if file.metadata()?.file_attributes() & FILE_ATTRIBUTE_READONLY != 0 {
        set(file, FileBasicInfo, &FILE_BASIC_INFO { FileAttributes: FILE_ATTRIBUTE_NORMAL, ..Default::default() })?;
    }
    set(file, FileDispositionInfo, &FILE_DISPOSITION_INFO { DeleteFile: true })
}

/// Makes a folder lead elsewhere, in one step. The handle needs the right to write.
pub(crate) fn set_reparse_point(folder: &File, data: &[u8]) -> io::Result<()> {
    let (length, mut returned) = (u32::try_from(data.len()).unwrap_or(u32::MAX), 0);
    // SAFETY: the handle is open, the data has the length that is said, and nothing is written but a number.
    check(unsafe {
        DeviceIoControl(
            folder.as_raw_handle(),
            FSCTL_SET_REPARSE_POINT,
            data.as_ptr().cast(),
            length,
            null_mut(),
            0,
            &raw mut returned,
            null_mut(),
        )
    })
}

/// True if the file system does not know what it was asked for.
pub(crate) fn is_unknown(problem: &io::Error) -> bool {
    let known = [ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER, ERROR_NOT_SUPPORTED];
    problem.raw_os_error().is_some_and(|code| known.contains(&code.cast_unsigned()))
}

fn set<Info>(file: &File, class: FILE_INFO_BY_HANDLE_CLASS, info: &Info) -> io::Result<()> {
    // SAFETY: the handle is open, and the structure has the length that is said.
    check(unsafe { SetFileInformationByHandle(file.as_raw_handle(), class, std::ptr::from_ref(info).cast(), size_of_info(info)) })
}

fn size_of_info<Info>(info: &Info) -> u32 {
    u32::try_from(size_of_val(info)).unwrap_or_default()
}

fn succeeded(status: NTSTATUS) -> io::Result<()> {
    if status >= 0 {
        return Ok(());
    }
    // SAFETY: it only looks the number up.
    Err(io::Error::from_raw_os_error(unsafe { RtlNtStatusToDosError(status) }.cast_signed()))
}

/// True if both name the same file.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Has a file or an empty folder removed when Windows starts the next time.
pub(crate) fn remove_at_restart(path: &Path) -> io::Result<()> {
    let path = wide(path);
    // SAFETY: the path ends with a zero; without a new name the file is removed.
    check(unsafe { MoveFileExW(path.as_ptr(), null(), MOVEFILE_DELAY_UNTIL_REBOOT) })
}
