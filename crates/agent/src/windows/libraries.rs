//! Where libraries are loaded from.

use windows_sys::Win32::System::LibraryLoader::{LOAD_LIBRARY_SEARCH_SYSTEM32, SetDefaultDllDirectories};

/// From now on only Windows' own folder counts: whoever can put a file beside the program, as in Downloads, gets nothing loaded. What was
/// linked into the program is loaded before any of its lines runs, and is not kept from anything by this.
pub(crate) fn only_from_windows() {
    // SAFETY: it takes a number. A Windows that does not know it goes on as before.
    unsafe { SetDefaultDllDirectories(LOAD_LIBRARY_SEARCH_SYSTEM32) };
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use windows_sys::Win32::Foundation::FreeLibrary;
    use windows_sys::Win32::System::LibraryLoader::LoadLibraryW;

    use super::*;
    use crate::windows::wide;

    fn is_loaded(name: &str) -> bool {
        // SAFETY: the name ends with a zero, and what is loaded is released once.
        unsafe {
            let library = LoadLibraryW(wide(name).as_ptr());
            !library.is_null() && FreeLibrary(library) != 0
        }
    }

    #[test]
    fn what_lies_beside_the_program_is_not_loaded() {
        let (own, planted) = (Path::new(r"C:\windows\system32\bcryptprimitives.dll"), "tegata-planted.dll");
        let beside = std::env::current_exe().unwrap().with_file_name(planted);
        std::fs::copy(own, &beside).unwrap();
        assert!(is_loaded(planted), "as every program does");
        only_from_windows();
        assert!(!is_loaded(planted) && is_loaded("ncrypt.dll"));
        std::fs::remove_file(beside).unwrap();
    }
}
