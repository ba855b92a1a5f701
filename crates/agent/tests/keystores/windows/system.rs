//! What other programs do to a Windows user's store, and the agent never does.
#![allow(unsafe_code)]

use std::ptr::null;

use tegata_core::policy::KeyAlgorithm;
use tegata_pki::raw;
use windows_sys::Win32::Security::Cryptography::{
    BCRYPT_ECCPUBLIC_BLOB, BCRYPT_ECDSA_P256_ALGORITHM, CRYPT_INTEGER_BLOB, CRYPT_USER_KEYSET, CertAddCertificateContextToStore,
    CertCloseStore, CertControlStore, CertEnumCertificatesInStore, CertOpenStore, MS_KEY_STORAGE_PROVIDER, NCRYPT_UI_POLICY,
    NCRYPT_UI_POLICY_PROPERTY, NCRYPT_UI_PROTECT_KEY_FLAG, NCryptCreatePersistedKey, NCryptExportKey, NCryptFinalizeKey, NCryptFreeObject,
    NCryptOpenStorageProvider, NCryptSetProperty, PFXImportCertStore,
};
use windows_sys::Win32::Security::Cryptography::{
    CERT_STORE_ADD_NEW, CERT_STORE_CTRL_COMMIT, CERT_STORE_PROV_SYSTEM_W, CERT_SYSTEM_STORE_CURRENT_USER,
};

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// True if a library of Windows, as it is loaded here, has this function.
pub fn has(library: &str, function: &[u8]) -> bool {
    // SAFETY: the library is one that this process has loaded already; the function is not called.
    unsafe {
        let library = libloading::Library::new(library).unwrap();
        library.get::<unsafe extern "C" fn()>(function).is_ok()
    }
}

/// Installs a PKCS#12 file as a double click does.
pub fn import(file: &[u8], password: &str) {
    let blob = CRYPT_INTEGER_BLOB { cbData: u32::try_from(file.len()).unwrap(), pbData: file.as_ptr().cast_mut() };
    let (password, my) = (wide(password), wide("MY"));
    // SAFETY: everything outlives the calls, and both stores are closed once.
    unsafe {
        let from = PFXImportCertStore(&raw const blob, password.as_ptr(), CRYPT_USER_KEYSET);
        assert!(!from.is_null(), "the file was not imported");
        let to = CertOpenStore(CERT_STORE_PROV_SYSTEM_W, 0, 0, CERT_SYSTEM_STORE_CURRENT_USER, my.as_ptr().cast());
        let mut at = null::<windows_sys::Win32::Security::Cryptography::CERT_CONTEXT>().cast_mut();
        loop {
            at = CertEnumCertificatesInStore(from, at);
            if at.is_null() {
                break;
            }
            assert_ne!(CertAddCertificateContextToStore(to, at, CERT_STORE_ADD_NEW, std::ptr::null_mut()), 0);
        }
        assert_ne!(CertControlStore(to, 0, CERT_STORE_CTRL_COMMIT, null()), 0);
        CertCloseStore(to, 0);
        CertCloseStore(from, 0);
    }
}

/// Makes a key with "strong private key protection", and gives its public half: SubjectPublicKeyInfo, DER.
pub fn make_protected(name: &str) -> Vec<u8> {
    let (name, mut provider, mut key, mut blob, mut used) = (wide(name), 0, 0, [0_u8; 256], 0);
    let policy = NCRYPT_UI_POLICY { dwVersion: 1, dwFlags: NCRYPT_UI_PROTECT_KEY_FLAG, ..Default::default() };
    let size = u32::try_from(size_of_val(&policy)).unwrap();
    // SAFETY: everything outlives the calls, and both handles are released once.
    unsafe {
        assert_eq!(NCryptOpenStorageProvider(&raw mut provider, MS_KEY_STORAGE_PROVIDER, 0), 0);
        assert_eq!(NCryptCreatePersistedKey(provider, &raw mut key, BCRYPT_ECDSA_P256_ALGORITHM, name.as_ptr(), 0, 0), 0);
        assert_eq!(NCryptSetProperty(key, NCRYPT_UI_POLICY_PROPERTY, (&raw const policy).cast(), size, 0), 0);
        assert_eq!(NCryptFinalizeKey(key, 0), 0);
        assert_eq!(NCryptExportKey(key, 0, BCRYPT_ECCPUBLIC_BLOB, null(), blob.as_mut_ptr(), 256, &raw mut used, 0), 0);
        NCryptFreeObject(key);
        NCryptFreeObject(provider);
    }
    raw::ec_public_key(KeyAlgorithm::EcdsaP256, &blob[8..used as usize]).unwrap()
}
