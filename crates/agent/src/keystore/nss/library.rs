//! Removes one certificate and its key from an NSS database by its exact DER, through libnss3.
//!
//! Runs only in the short-lived child `tegata-agent nss-remove`, so that a fault of the C library cannot take the agent along.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;

use libloading::Library;

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// libnss3 is not there, or not the one that is known.
    #[error("libnss3 cannot be used; on Debian and Ubuntu: apt-get install libnss3")]
    Load(#[source] libloading::Error),
    /// The name of the database holds a zero byte.
    #[error("the name of the database is not one")]
    Name,
    /// NSS said no.
    #[error("NSS could not {0} (error {1})")]
    Refused(&'static str, c_int),
}

/// `SECItem` of NSS (seccomon.h).
#[repr(C)]
struct Item {
    kind: c_int,
    data: *const u8,
    length: c_uint,
}

type Opaque = *mut c_void;
/// `PRBool` (prtypes.h).
const TRUE: c_int = 1;

/// The functions that are used, as nss.h, cert.h and pk11pub.h declare them. `SECStatus` is 0 for success.
struct Functions<'library> {
    open: libloading::Symbol<'library, unsafe extern "C" fn(*const c_char) -> c_int>,
    close: libloading::Symbol<'library, unsafe extern "C" fn() -> c_int>,
    error: libloading::Symbol<'library, unsafe extern "C" fn() -> c_int>,
    database: libloading::Symbol<'library, unsafe extern "C" fn() -> Opaque>,
    find: libloading::Symbol<'library, unsafe extern "C" fn(Opaque, *const Item) -> Opaque>,
    key_of: libloading::Symbol<'library, unsafe extern "C" fn(Opaque, Opaque) -> Opaque>,
    delete_key: libloading::Symbol<'library, unsafe extern "C" fn(Opaque, c_int) -> c_int>,
    delete_rest: libloading::Symbol<'library, unsafe extern "C" fn(Opaque, Opaque) -> c_int>,
    delete_certificate: libloading::Symbol<'library, unsafe extern "C" fn(Opaque) -> c_int>,
    release: libloading::Symbol<'library, unsafe extern "C" fn(Opaque)>,
}

/// Removes the certificate with exactly these bytes from `database` (`sql:/folder`), its private key first. True if it was there.
pub fn remove(database: &std::ffi::OsStr, der: &[u8]) -> Result<bool, LibraryError> {
    let database = CString::new(database.as_bytes()).map_err(|_| LibraryError::Name)?;
    let library = load()?;
    let functions = functions(&library).map_err(LibraryError::Load)?;
    call(&functions, &database, der)
}

#[allow(unsafe_code)]
fn load() -> Result<Library, LibraryError> {
    // SAFETY: libnss3's initialisers only set up its own memory; this process has one thread and does nothing else.
    unsafe { Library::new("libnss3.so") }.map_err(LibraryError::Load)
}

#[allow(unsafe_code)]
fn functions(library: &Library) -> Result<Functions<'_>, libloading::Error> {
    // SAFETY: the types are those of NSS's public headers, stable since NSS 3.12 (these symbols are versioned NSS_3.2 to NSS_3.4).
    unsafe {
        Ok(Functions {
            open: library.get(c"NSS_InitReadWrite")?,
            close: library.get(c"NSS_Shutdown")?,
            error: library.get(c"PORT_GetError")?,
            database: library.get(c"CERT_GetDefaultCertDB")?,
            find: library.get(c"CERT_FindCertByDERCert")?,
            key_of: library.get(c"PK11_FindKeyByAnyCert")?,
            delete_key: library.get(c"PK11_DeleteTokenPrivateKey")?,
            delete_rest: library.get(c"PK11_DeleteTokenCertAndKey")?,
            delete_certificate: library.get(c"SEC_DeletePermCertificate")?,
            release: library.get(c"CERT_DestroyCertificate")?,
        })
    }
}

#[allow(unsafe_code)]
fn call(nss: &Functions<'_>, database: &CString, der: &[u8]) -> Result<bool, LibraryError> {
    let item = Item { kind: 0, data: der.as_ptr(), length: c_uint::try_from(der.len()).map_err(|_| LibraryError::Name)? };
    // SAFETY: every pointer comes from NSS and is used before it is released, in the order that pk11pub.h prescribes; `item` and
    // `database` outlive the calls; PK11_DeleteTokenPrivateKey releases the key it is given.
    unsafe {
        if (nss.open)(database.as_ptr()) != 0 {
            return Err(LibraryError::Refused("open the database", (nss.error)()));
        }
        let certificate = (nss.find)((nss.database)(), &raw const item);
        let removed = if certificate.is_null() { Ok(false) } else { remove_found(nss, certificate) };
        (nss.close)();
        removed
    }
}

/// The private key goes first: should the process end in between, the certificate is still there to be found again.
///
/// # Safety
/// `certificate` must come from `CERT_FindCertByDERCert`; it is released here.
#[allow(unsafe_code)]
unsafe fn remove_found(nss: &Functions<'_>, certificate: Opaque) -> Result<bool, LibraryError> {
    let refused = |what| LibraryError::Refused(what, unsafe { (nss.error)() });
    // SAFETY: see above.
    unsafe {
        let key = (nss.key_of)(certificate, std::ptr::null_mut());
        let outcome = if !key.is_null() && (nss.delete_key)(key, TRUE) != 0 {
            Err(refused("delete the key"))
        } else {
            // Without a private key this takes the public one, which the import has put beside it.
            (nss.delete_rest)(certificate, std::ptr::null_mut());
            let deleted = (nss.delete_certificate)(certificate) == 0;
            if deleted { Ok(true) } else { Err(refused("delete the certificate")) }
        };
        (nss.release)(certificate);
        outcome
    }
}
