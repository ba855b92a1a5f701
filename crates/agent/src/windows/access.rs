//! Owners and access lists. Accounts are written S-1-5-21-…, lists in the language of security descriptors (SDDL).

use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW,
    GetSecurityInfo, SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetTokenInformation, OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR,
    PSID, SECURITY_ATTRIBUTES, SetKernelObjectSecurity, TOKEN_INFORMATION_CLASS, TOKEN_QUERY, TokenOwner, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::{check, text, wide};

/// The user that this process runs as.
pub(crate) fn user() -> io::Result<String> {
    of_token(TokenUser)
}

/// True if this account owns what the user makes: the user, or the administrators' group where a process has all an administrator's rights.
pub(crate) fn is_ours(owner: &str) -> io::Result<bool> {
    Ok(owner == user()? || owner == of_token(TokenOwner)?)
}

/// Whom a file or folder belongs to. The handle needs the right to read that.
pub(crate) fn owner(file: &File) -> io::Result<String> {
    let (mut owner, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: the handle is open; both pointers are written, and what the second points to is freed below.
    let status = unsafe {
        let handle = file.as_raw_handle();
        GetSecurityInfo(
            handle,
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    refuse(status)?;
    let _descriptor = Local(descriptor);
    // SAFETY: the owner lies within the descriptor, which is still there.
    unsafe { written(owner) }
}

/// Who may do what with a file or folder. The handle needs the right to read that.
pub(crate) fn list(file: &File) -> io::Result<String> {
    let mut descriptor = null_mut();
    // SAFETY: the handle is open; the descriptor is written and freed below.
    let status = unsafe {
        let handle = file.as_raw_handle();
        GetSecurityInfo(
            handle,
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    };
    refuse(status)?;
    Local(descriptor).told()
}

/// Replaces the access list, and lets none be inherited. The handle needs the right to write it.
pub(crate) fn set_list(file: &File, list: &str) -> io::Result<()> {
    let (descriptor, what) = (Local::read(list)?, DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION);
    // SAFETY: the handle is open, and the descriptor is a whole one.
    check(unsafe { SetKernelObjectSecurity(file.as_raw_handle(), what, descriptor.0) })
}

/// The list as Windows itself would write it: some accounts have short names.
pub(crate) fn in_usual_words(list: &str) -> io::Result<String> {
    Local::read(list)?.told()
}

/// Makes a folder that nobody but these can open at any moment.
pub(crate) fn make_folder(path: &Path, list: &str) -> io::Result<()> {
    let descriptor = Local::read(list)?;
    let length = u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or_default();
    let attributes = SECURITY_ATTRIBUTES { nLength: length, lpSecurityDescriptor: descriptor.0, bInheritHandle: 0 };
    // SAFETY: the path ends with a zero, and the descriptor outlives the call.
    check(unsafe { CreateDirectoryW(wide(path).as_ptr(), &raw const attributes) })
}

fn of_token(what: TOKEN_INFORMATION_CLASS) -> io::Result<String> {
    let mut token = null_mut();
    // SAFETY: the handle of the own process is always good; the token's is written.
    check(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: it was opened just now, and nobody else has it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // Room for either structure and an account's number, which has 68 bytes at most (SECURITY_MAX_SID_SIZE).
    let (mut buffer, mut length) = ([0_u64; 16], 0);
    let room = u32::try_from(size_of_val(&buffer)).unwrap_or_default();
    // SAFETY: the buffer has as much room as is said.
    check(unsafe { GetTokenInformation(token.as_raw_handle(), what, buffer.as_mut_ptr().cast(), room, &raw mut length) })?;
    // SAFETY: TOKEN_USER and TOKEN_OWNER both begin with the address of the number, which lies in the same buffer.
    unsafe { written(*buffer.as_ptr().cast::<PSID>()) }
}

/// # Safety
/// `account` points to a whole number of an account.
unsafe fn written(account: PSID) -> io::Result<String> {
    let mut number = null_mut();
    // SAFETY: as the caller promises; the text is written, and freed below.
    check(unsafe { ConvertSidToStringSidW(account, &raw mut number) })?;
    let number = Local(number.cast());
    // SAFETY: it ends with a zero, as Windows' texts do.
    Ok(unsafe { text(number.0.cast()) })
}

fn refuse(status: u32) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status.cast_signed())) }
}

/// What Windows allocated for us: a descriptor or a text.
struct Local(PSECURITY_DESCRIPTOR);

impl Local {
    /// The descriptor that these words mean.
    fn read(list: &str) -> io::Result<Self> {
        let mut descriptor = null_mut();
        let list = wide(list);
        // SAFETY: the text ends with a zero; the descriptor is written.
        check(unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(list.as_ptr(), SDDL_REVISION_1, &raw mut descriptor, null_mut())
        })?;
        Ok(Self(descriptor))
    }

    /// The access list of the descriptor, in words.
    fn told(&self) -> io::Result<String> {
        let mut words = null_mut();
        // SAFETY: the descriptor is a whole one; the text is written, and freed below.
        check(unsafe {
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                self.0,
                SDDL_REVISION_1,
                DACL_SECURITY_INFORMATION,
                &raw mut words,
                null_mut(),
            )
        })?;
        let words = Self(words.cast());
        // SAFETY: it ends with a zero, as Windows' texts do.
        Ok(unsafe { text(words.0.cast()) })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: Windows has allocated it for us in this way, and nobody else frees it.
        unsafe { LocalFree(self.0) };
    }
}
