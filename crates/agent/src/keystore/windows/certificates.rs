//! The certificate stores of this user (`crypt32.dll`).

use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{CRYPT_E_NOT_FOUND, ERROR_NO_MORE_FILES, ERROR_SUCCESS, SetLastError};
use windows_sys::Win32::Security::Cryptography::{
    CERT_CONTEXT, CERT_FRIENDLY_NAME_PROP_ID, CERT_KEY_PROV_INFO_PROP_ID, CERT_STORE_ADD_NEW, CERT_STORE_ADD_USE_EXISTING,
    CERT_STORE_CTRL_COMMIT, CERT_STORE_PROV_SYSTEM_W, CERT_SYSTEM_STORE_CURRENT_USER, CERT_SYSTEM_STORE_LOCAL_MACHINE,
    CRYPT_ACQUIRE_COMPARE_KEY_FLAG, CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG, CRYPT_ACQUIRE_SILENT_FLAG, CRYPT_INTEGER_BLOB, CRYPT_KEY_PROV_INFO,
    CRYPT_MACHINE_KEYSET, CertAddCertificateContextToStore, CertCloseStore, CertControlStore, CertCreateCertificateContext,
    CertDeleteCertificateFromStore, CertDuplicateCertificateContext, CertEnumCertificatesInStore, CertFreeCertificateContext,
    CertGetCertificateContextProperty, CertOpenStore, CertSetCertificateContextProperty, CryptAcquireCertificatePrivateKey, HCERTSTORE,
    NCryptFreeObject, X509_ASN_ENCODING,
};

use super::{Refused, done};
use crate::windows::{text, wide};

/// Where a certificate's key is (`CRYPT_KEY_PROV_INFO`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// What the provider calls it.
    pub container: String,
    /// The provider.
    pub provider: String,
    /// Of what kind the provider is: 0 for a key storage provider, else the older CryptoAPI's.
    pub kind: u32,
    /// `CRYPT_MACHINE_KEYSET` if the key is the computer's.
    pub flags: u32,
    /// Which key of the container, in the older CryptoAPI.
    pub spec: u32,
}

impl KeyPlace {
    /// True if both are in one container of the same owner, whichever of its keys they mean and however the provider is spelt: a container
    /// goes as a whole.
    pub fn is_in_one_with(&self, other: &Self) -> bool {
        self.is_of_computer() == other.is_of_computer() && self.container.eq_ignore_ascii_case(&other.container)
    }

    /// True if the key is the computer's: certificates that this user does not see may use it.
    pub fn is_of_computer(&self) -> bool {
        self.flags & CRYPT_MACHINE_KEYSET != 0
    }
}

/// An open store.
pub struct Store(HCERTSTORE);

/// A certificate in a store, or on its way into one.
pub struct Entry(*mut CERT_CONTEXT);

/// Asks for something that may not be there. That it cannot be looked for is not the same.
#[allow(unsafe_code)]
fn if_there<T>(what: &'static str, ask: impl FnOnce() -> Option<T>) -> Result<Option<T>, Refused> {
    // SAFETY: sets a number that Windows keeps for this thread: not every function that finds nothing says so there.
    unsafe { SetLastError(ERROR_SUCCESS) };
    let Some(found) = ask() else {
        let problem = Refused::last(what);
        let is_absent = [ERROR_SUCCESS.cast_signed(), ERROR_NO_MORE_FILES.cast_signed(), CRYPT_E_NOT_FOUND].contains(&problem.code);
        return if is_absent { Ok(None) } else { Err(problem) };
    };
    Ok(Some(found))
}

#[allow(unsafe_code)]
impl Store {
    /// Opens a store of this user: `MY` is where programs look for their certificates, `CA` holds intermediates.
    pub fn open(name: &str) -> Result<Self, Refused> {
        Self::of(CERT_SYSTEM_STORE_CURRENT_USER, name)
    }

    /// Opens a store of the computer: `ROOT` is what everybody on it trusts. Only administrators can change it.
    pub fn of_computer(name: &str) -> Result<Self, Refused> {
        Self::of(CERT_SYSTEM_STORE_LOCAL_MACHINE, name)
    }

    fn of(whose: u32, name: &str) -> Result<Self, Refused> {
        let name = wide(name);
        // SAFETY: the name ends with a zero and outlives the call; the handle is released when dropped.
        let handle = unsafe { CertOpenStore(CERT_STORE_PROV_SYSTEM_W, 0, 0, whose, name.as_ptr().cast()) };
        if handle.is_null() { Err(Refused::last("open the certificate store")) } else { Ok(Self(handle)) }
    }

    /// Everything in it.
    pub fn entries(&self) -> Result<Vec<Entry>, Refused> {
        let (mut entries, mut at) = (Vec::new(), null_mut());
        // SAFETY: each certificate is released by the call that is given it; what is kept is a reference of its own.
        while let Some(next) = if_there("list the certificates", || unsafe {
            let next = CertEnumCertificatesInStore(self.0, at);
            (!next.is_null()).then_some(next)
        })? {
            // SAFETY: the certificate is open.
            entries.push(Entry(unsafe { CertDuplicateCertificateContext(next) }));
            at = next;
        }
        Ok(entries)
    }

    /// Puts in a certificate that is not there yet, whole: with its key and its name, or not at all.
    pub fn add(&self, entry: &Entry) -> Result<(), Refused> {
        self.put(entry, CERT_STORE_ADD_NEW)
    }

    /// Puts in a certificate, if it is not there yet.
    pub fn add_once(&self, entry: &Entry) -> Result<(), Refused> {
        self.put(entry, CERT_STORE_ADD_USE_EXISTING)
    }

    fn put(&self, entry: &Entry, how: u32) -> Result<(), Refused> {
        // SAFETY: store and certificate are open.
        done("keep a certificate", unsafe { CertAddCertificateContextToStore(self.0, entry.0, how, null_mut()) })?;
        self.commit()
    }

    /// Takes a certificate of this store out of it.
    pub fn remove(&self, entry: &Entry) -> Result<(), Refused> {
        // SAFETY: the certificate is open; the call releases the reference that it is given.
        let removed = unsafe { CertDeleteCertificateFromStore(CertDuplicateCertificateContext(entry.0)) };
        done("remove a certificate", removed)?;
        self.commit()
    }

    fn commit(&self) -> Result<(), Refused> {
        // SAFETY: the store is open.
        done("keep the certificate store", unsafe { CertControlStore(self.0, 0, CERT_STORE_CTRL_COMMIT, null()) })
    }
}

#[allow(unsafe_code)]
impl Entry {
    /// A certificate that is in no store.
    pub fn new(der: &[u8]) -> Result<Self, Refused> {
        let size = u32::try_from(der.len()).expect("certificates are small");
        // SAFETY: the bytes outlive the call, which copies them.
        let context = unsafe { CertCreateCertificateContext(X509_ASN_ENCODING, der.as_ptr(), size) };
        if context.is_null() { Err(Refused::last("read a certificate")) } else { Ok(Self(context)) }
    }

    /// Its bytes.
    pub fn der(&self) -> &[u8] {
        // SAFETY: the bytes live as long as the reference.
        unsafe { std::slice::from_raw_parts((*self.0).pbCertEncoded, (*self.0).cbCertEncoded as usize) }
    }

    /// Where its key is; `None` if it has none.
    pub fn key_place(&self) -> Result<Option<KeyPlace>, Refused> {
        const WHAT: &str = "see where the key of a certificate is";
        let mut size = 0;
        let there = if_there(WHAT, || {
            // SAFETY: only the size is asked for.
            let told = unsafe { CertGetCertificateContextProperty(self.0, CERT_KEY_PROV_INFO_PROP_ID, null_mut(), &raw mut size) };
            (told != 0).then_some(())
        })?;
        if there.is_none() {
            return Ok(None);
        }
        // Of eight bytes each, so that it is aligned for what is read from it.
        let mut buffer = vec![0_u64; (size as usize).div_ceil(8).max(size_of::<CRYPT_KEY_PROV_INFO>().div_ceil(8))];
        let to = buffer.as_mut_ptr();
        // SAFETY: the buffer is at least as large as is said.
        done(WHAT, unsafe { CertGetCertificateContextProperty(self.0, CERT_KEY_PROV_INFO_PROP_ID, to.cast(), &raw mut size) })?;
        // SAFETY: the property is this structure, with its texts, which end with a zero, in the same buffer.
        unsafe {
            let info = to.cast::<CRYPT_KEY_PROV_INFO>().read();
            let (container, provider) = (text(info.pwszContainerName), text(info.pwszProvName));
            Ok(Some(KeyPlace { container, provider, kind: info.dwProvType, flags: info.dwFlags, spec: info.dwKeySpec }))
        }
    }

    /// Has Windows itself find the key, without asking anybody, as browsers do.
    pub fn find_key(&self) -> Result<(), Refused> {
        let (mut key, mut spec, mut is_ours) = (0, 0, 0);
        let flags = CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG | CRYPT_ACQUIRE_SILENT_FLAG | CRYPT_ACQUIRE_COMPARE_KEY_FLAG;
        // SAFETY: the certificate is open; a key that is ours is released.
        unsafe {
            let found = CryptAcquireCertificatePrivateKey(self.0, flags, null(), &raw mut key, &raw mut spec, &raw mut is_ours);
            done("find the key of a certificate", found)?;
            if is_ours != 0 {
                NCryptFreeObject(key);
            }
        }
        Ok(())
    }

    /// Says where its key is.
    pub fn set_key_place(&self, place: &KeyPlace) -> Result<(), Refused> {
        let (mut container, mut provider) = (wide(&place.container), wide(&place.provider));
        let info = CRYPT_KEY_PROV_INFO {
            pwszContainerName: container.as_mut_ptr(),
            pwszProvName: provider.as_mut_ptr(),
            dwProvType: place.kind,
            dwFlags: place.flags,
            cProvParam: 0,
            rgProvParam: null_mut(),
            dwKeySpec: place.spec,
        };
        self.set(CERT_KEY_PROV_INFO_PROP_ID, (&raw const info).cast())
    }

    /// Says what people are to see.
    pub fn set_friendly_name(&self, name: &str) -> Result<(), Refused> {
        let mut name = wide(name);
        let size = u32::try_from(size_of_val(name.as_slice())).expect("names are short");
        let blob = CRYPT_INTEGER_BLOB { cbData: size, pbData: name.as_mut_ptr().cast() };
        self.set(CERT_FRIENDLY_NAME_PROP_ID, (&raw const blob).cast())
    }

    fn set(&self, property: u32, value: *const core::ffi::c_void) -> Result<(), Refused> {
        // SAFETY: both callers give what their property is, and it outlives the call, which copies it.
        done("describe a certificate", unsafe { CertSetCertificateContextProperty(self.0, property, 0, value) })
    }
}

#[allow(unsafe_code)]
impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and not used any more.
        unsafe { CertCloseStore(self.0, 0) };
    }
}

#[allow(unsafe_code)]
impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and not used any more.
        unsafe { CertFreeCertificateContext(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_shared_whichever_of_its_keys_is_meant_and_however_the_provider_is_spelt() {
        let place = |container: &str, flags, spec| KeyPlace {
            container: container.into(),
            provider: format!("Provider {spec}"),
            kind: 1,
            flags,
            spec,
        };
        let own = place("Container", 0, 1);
        assert!(own.is_in_one_with(&place("CONTAINER", 0x40, 2)));
        assert!(!own.is_in_one_with(&place("Other", 0, 1)));
        assert!(!own.is_in_one_with(&place("Container", CRYPT_MACHINE_KEYSET, 1)), "the computer's are others");
    }
}
