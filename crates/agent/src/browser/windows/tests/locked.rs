//! Keys that may be read and not written, as those for everybody are to the users of a clinic's PC.
#![allow(unsafe_code)]

use windows_registry::Key;
use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1};
use windows_sys::Win32::Security::DACL_SECURITY_INFORMATION;
use windows_sys::Win32::System::Registry::RegSetKeySecurity;

/// `WRITE_DAC` and `READ_CONTROL` (Microsoft, "Registry Key Security and Access Rights").
const CHANGE_RIGHTS: u32 = 0x0004_0000 | 0x0002_0000;

/// Everybody may read it.
pub(super) fn against_writing(root: &Key, path: &str) {
    describe(root, path, "D:P(A;;KR;;;WD)");
}

/// Everybody may do anything.
pub(super) fn no_more(root: &Key, path: &str) {
    describe(root, path, "D:P(A;;KA;;;WD)");
}

/// Rights in the security descriptor definition language.
fn describe(root: &Key, path: &str, rights: &str) {
    let key = root.options().access(CHANGE_RIGHTS).open(path).unwrap();
    let rights: Vec<u16> = rights.encode_utf16().chain([0]).collect();
    let mut descriptor = std::ptr::null_mut();
    // SAFETY: the text ends with a zero, and the pointer that is filled lives as long as the call.
    let made = unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(rights.as_ptr(), SDDL_REVISION_1, &raw mut descriptor, std::ptr::null_mut())
    };
    assert_ne!(made, 0);
    // SAFETY: the key is open, and the descriptor was made above and is freed once, after its last use.
    let set = unsafe {
        let set = RegSetKeySecurity(key.as_raw(), DACL_SECURITY_INFORMATION, descriptor);
        LocalFree(descriptor);
        set
    };
    assert_eq!(set, 0);
}
