//! Lists what is in an NSS database, and removes one certificate and its key by its exact DER, through libnss3.
//!
//! Runs only in the short-lived children `tegata-agent nss-list` and `nss-remove`, so that a fault of the C library cannot take the
//! agent along.

use std::ffi::{CString, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;

use libloading::{Library, Symbol};

/// Why nothing was listed or removed.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// libnss3 is not there, or not the one that is known.
    #[error("libnss3 cannot be used; on Debian and Ubuntu: apt-get install libnss3")]
    Load(#[source] libloading::Error),
    /// The name of the database holds a zero byte.
    #[error("the name of the database is not one")]
    Name,
    /// Without the password a certificate can be removed, but its key would stay.
    #[error("the database has a password, so keys cannot be removed; unlock the database: certutil -W -d {0}, with an empty new password")]
    Locked(String),
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

/// `PRCList` of NSPR (prclist.h), with which `CERTCertList` and `CERTCertListNode` (certt.h) begin.
#[repr(C)]
struct Links {
    next: *const Node,
    previous: *const Node,
}

/// `CERTCertListNode` of NSS (certt.h).
#[repr(C)]
struct Node {
    links: Links,
    certificate: Opaque,
}

type Opaque = *mut c_void;
/// `PRBool` (prtypes.h).
const TRUE: c_int = 1;

/// The functions that are used, as nss.h, cert.h and pk11pub.h declare them. `SECStatus` is 0 for success.
struct Functions<'library> {
    read: Symbol<'library, unsafe extern "C" fn(*const c_char) -> c_int>,
    open: Symbol<'library, unsafe extern "C" fn(*const c_char) -> c_int>,
    close: Symbol<'library, unsafe extern "C" fn() -> c_int>,
    error: Symbol<'library, unsafe extern "C" fn() -> c_int>,
    slot: Symbol<'library, unsafe extern "C" fn() -> Opaque>,
    needs_login: Symbol<'library, unsafe extern "C" fn(Opaque) -> c_int>,
    is_logged_in: Symbol<'library, unsafe extern "C" fn(Opaque, Opaque) -> c_int>,
    log_in: Symbol<'library, unsafe extern "C" fn(Opaque, *const c_char) -> c_int>,
    release_slot: Symbol<'library, unsafe extern "C" fn(Opaque)>,
    list: Symbol<'library, unsafe extern "C" fn(Opaque) -> *const Links>,
    release_list: Symbol<'library, unsafe extern "C" fn(*const Links)>,
    der_of: Symbol<'library, unsafe extern "C" fn(Opaque, *mut Item) -> c_int>,
    database: Symbol<'library, unsafe extern "C" fn() -> Opaque>,
    find: Symbol<'library, unsafe extern "C" fn(Opaque, *const Item) -> Opaque>,
    key_of: Symbol<'library, unsafe extern "C" fn(Opaque, Opaque) -> Opaque>,
    delete_key: Symbol<'library, unsafe extern "C" fn(Opaque, c_int) -> c_int>,
    delete_rest: Symbol<'library, unsafe extern "C" fn(Opaque, Opaque) -> c_int>,
    delete_certificate: Symbol<'library, unsafe extern "C" fn(Opaque) -> c_int>,
    release: Symbol<'library, unsafe extern "C" fn(Opaque)>,
}

/// Gives the DER of every certificate in `database` (`sql:/folder`), whatever it is called there.
pub fn list(database: &OsStr) -> Result<Vec<Vec<u8>>, LibraryError> {
    let library = load()?;
    let nss = functions(&library).map_err(LibraryError::Load)?;
    let _open = Open::new(&nss, &nss.read, &path(database)?)?;
    listed(&nss)
}

/// Removes the certificate with exactly these bytes from `database`, its private key first. True if it was there.
pub fn remove(database: &OsStr, der: &[u8]) -> Result<bool, LibraryError> {
    let library = load()?;
    let nss = functions(&library).map_err(LibraryError::Load)?;
    let _open = Open::new(&nss, &nss.open, &path(database)?)?;
    if !is_unlocked(&nss) {
        return Err(LibraryError::Locked(database.to_string_lossy().into_owned()));
    }
    remove_from(&nss, der)
}

fn path(database: &OsStr) -> Result<CString, LibraryError> {
    CString::new(database.as_bytes()).map_err(|_| LibraryError::Name)
}

#[allow(unsafe_code)]
fn load() -> Result<Library, LibraryError> {
    // SAFETY: libnss3's initialisers only set up its own memory; this process has one thread and does nothing else.
    unsafe { Library::new("libnss3.so") }.map_err(LibraryError::Load)
}

#[allow(unsafe_code)]
fn functions(library: &Library) -> Result<Functions<'_>, libloading::Error> {
    // SAFETY: the types are those of NSS's public headers, stable since NSS 3.12 (these symbols are versioned NSS_3.2 to NSS_3.4,
    // and CERT_GetCertificateDer NSS_3.44).
    unsafe {
        Ok(Functions {
            read: library.get(c"NSS_Init")?,
            open: library.get(c"NSS_InitReadWrite")?,
            close: library.get(c"NSS_Shutdown")?,
            error: library.get(c"PORT_GetError")?,
            slot: library.get(c"PK11_GetInternalKeySlot")?,
            needs_login: library.get(c"PK11_NeedLogin")?,
            is_logged_in: library.get(c"PK11_IsLoggedIn")?,
            log_in: library.get(c"PK11_CheckUserPassword")?,
            release_slot: library.get(c"PK11_FreeSlot")?,
            list: library.get(c"PK11_ListCertsInSlot")?,
            release_list: library.get(c"CERT_DestroyCertList")?,
            der_of: library.get(c"CERT_GetCertificateDer")?,
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

impl Functions<'_> {
    #[allow(unsafe_code)]
    fn refused(&self, what: &'static str) -> LibraryError {
        // SAFETY: reads a number that NSS keeps for this thread.
        LibraryError::Refused(what, unsafe { (self.error)() })
    }
}

/// A database that is open, until this is dropped.
struct Open<'a>(&'a Functions<'a>);

impl<'a> Open<'a> {
    #[allow(unsafe_code)]
    fn new(
        nss: &'a Functions<'a>,
        how: &Symbol<'a, unsafe extern "C" fn(*const c_char) -> c_int>,
        database: &CString,
    ) -> Result<Self, LibraryError> {
        // SAFETY: `database` outlives the call.
        if unsafe { how(database.as_ptr()) } == 0 { Ok(Self(nss)) } else { Err(nss.refused("open the database")) }
    }
}

impl Drop for Open<'_> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the database was opened, and nothing that came from it is used any more.
        unsafe { (self.0.close)() };
    }
}

#[allow(unsafe_code)]
fn listed(nss: &Functions<'_>) -> Result<Vec<Vec<u8>>, LibraryError> {
    let mut found = Vec::new();
    // SAFETY: the list is a ring whose first node is its head, which holds no certificate; head, nodes and certificates live until
    // the list is released, and the bytes of a certificate as long as it.
    unsafe {
        let slot = (nss.slot)();
        let list = (nss.list)(slot);
        if list.is_null() {
            (nss.release_slot)(slot);
            return Err(nss.refused("list the certificates"));
        }
        let mut node = (*list).next;
        while !std::ptr::eq(node.cast(), list) {
            let mut item = Item { kind: 0, data: std::ptr::null(), length: 0 };
            if (nss.der_of)((*node).certificate, &raw mut item) == 0 && !item.data.is_null() {
                found.push(std::slice::from_raw_parts(item.data, item.length as usize).to_vec());
            }
            node = (*node).links.next;
        }
        (nss.release_list)(list);
        (nss.release_slot)(slot);
    }
    Ok(found)
}

/// True if keys can be used: the database has no password, or an empty one.
#[allow(unsafe_code)]
fn is_unlocked(nss: &Functions<'_>) -> bool {
    // SAFETY: the slot comes from NSS and is released once; the password is a C string.
    unsafe {
        let slot = (nss.slot)();
        let is_unlocked =
            (nss.needs_login)(slot) == 0 || (nss.is_logged_in)(slot, std::ptr::null_mut()) != 0 || (nss.log_in)(slot, c"".as_ptr()) == 0;
        (nss.release_slot)(slot);
        is_unlocked
    }
}

#[allow(unsafe_code)]
fn remove_from(nss: &Functions<'_>, der: &[u8]) -> Result<bool, LibraryError> {
    let item = Item { kind: 0, data: der.as_ptr(), length: c_uint::try_from(der.len()).map_err(|_| LibraryError::Name)? };
    // SAFETY: `item` outlives the call; the certificate comes from NSS.
    unsafe {
        let certificate = (nss.find)((nss.database)(), &raw const item);
        if certificate.is_null() { Ok(false) } else { remove_found(nss, certificate) }
    }
}

/// The private key goes first: should the process end in between, the certificate is still there to be found again.
///
/// # Safety
/// `certificate` must come from `CERT_FindCertByDERCert`; it is released here.
#[allow(unsafe_code)]
unsafe fn remove_found(nss: &Functions<'_>, certificate: Opaque) -> Result<bool, LibraryError> {
    // SAFETY: every pointer comes from NSS and is used before it is released, in the order that pk11pub.h prescribes;
    // PK11_DeleteTokenPrivateKey releases the key it is given.
    unsafe {
        let key = (nss.key_of)(certificate, std::ptr::null_mut());
        let outcome = if !key.is_null() && (nss.delete_key)(key, TRUE) != 0 {
            Err(nss.refused("delete the key"))
        } else {
            // Without a private key this takes the public one, which the import has put beside it.
            (nss.delete_rest)(certificate, std::ptr::null_mut());
            let deleted = (nss.delete_certificate)(certificate) == 0;
            if deleted { Ok(true) } else { Err(nss.refused("delete the certificate")) }
        };
        (nss.release)(certificate);
        outcome
    }
}
