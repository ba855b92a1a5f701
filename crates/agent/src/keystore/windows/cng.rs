//! Key storage providers (`ncrypt.dll`): keys by name, made or brought in, that sign without asking anybody.

use std::ptr::{null, null_mut};

use tegata_core::policy::KeyAlgorithm;
use windows_sys::Win32::Foundation::{NTE_NO_MORE_ITEMS, NTE_NOT_FOUND};
use windows_sys::Win32::Security::Cryptography::{
    BCRYPT_ECCPUBLIC_BLOB, BCRYPT_ECDSA_P256_ALGORITHM, BCRYPT_ECDSA_P384_ALGORITHM, BCRYPT_PAD_PKCS1, BCRYPT_PAD_PSS,
    BCRYPT_PKCS1_PADDING_INFO, BCRYPT_PRIVATE_KEY_BLOB, BCRYPT_PSS_PADDING_INFO, BCRYPT_RSA_ALGORITHM, BCRYPT_RSAPUBLIC_BLOB,
    BCRYPT_SHA256_ALGORITHM, NCRYPT_ALGORITHM_PROPERTY, NCRYPT_EXPORT_POLICY_PROPERTY, NCRYPT_KEY_HANDLE, NCRYPT_LENGTH_PROPERTY,
    NCRYPT_OVERWRITE_KEY_FLAG, NCRYPT_PROV_HANDLE, NCRYPT_SILENT_FLAG, NCRYPT_UI_FORCE_HIGH_PROTECTION_FLAG, NCRYPT_UI_POLICY,
    NCRYPT_UI_POLICY_PROPERTY, NCRYPT_UI_PROTECT_KEY_FLAG, NCryptCreatePersistedKey, NCryptDeleteKey, NCryptEnumKeys, NCryptExportKey,
    NCryptFinalizeKey, NCryptFreeBuffer, NCryptFreeObject, NCryptGetProperty, NCryptKeyName, NCryptOpenKey, NCryptOpenStorageProvider,
    NCryptSetProperty, NCryptSignHash,
};
use windows_sys::core::{HRESULT, PCWSTR};

use super::Refused;
use crate::windows::{text, wide};

/// The provider that keeps keys in files which only the user can use.
pub const SOFTWARE: &str = "Microsoft Software Key Storage Provider";
/// The provider that keeps keys in the TPM.
pub const PLATFORM: &str = "Microsoft Platform Crypto Provider";

/// How many bits a new RSA key has.
const RSA_BITS: u32 = 2048;

/// How RSA signatures are filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// None: it is not RSA.
    None,
    /// PKCS#1 v1.5, with SHA-256.
    Pkcs1,
    /// PSS with SHA-256, and as much salt.
    Pss,
}

/// An open provider.
pub struct Provider(NCRYPT_PROV_HANDLE);

/// An open key.
#[derive(Debug)]
pub struct CngKey(NCRYPT_KEY_HANDLE);

fn succeeded(what: &'static str, status: HRESULT) -> Result<(), Refused> {
    if status == 0 { Ok(()) } else { Err(Refused::new(what, status)) }
}

#[allow(unsafe_code)]
impl Provider {
    /// Opens a provider by its name.
    pub fn open(name: &str) -> Result<Self, Refused> {
        let mut handle = 0;
        let name = wide(name);
        // SAFETY: the name ends with a zero and outlives the call; the handle is released when dropped.
        succeeded("open the key storage", unsafe { NCryptOpenStorageProvider(&raw mut handle, name.as_ptr(), 0) })?;
        Ok(Self(handle))
    }

    /// Makes a key that cannot be taken out, in place of one of the same name. With `numbers` (a private BLOB of CNG) it is brought in.
    pub fn make(&self, name: &str, algorithm: KeyAlgorithm, numbers: Option<&[u8]>) -> Result<CngKey, Refused> {
        let (id, name) = (id_of(algorithm), wide(name));
        let mut key = CngKey(0);
        // SAFETY: both names end with a zero and outlive the call; the handle is released when dropped.
        let made = unsafe { NCryptCreatePersistedKey(self.0, &raw mut key.0, id, name.as_ptr(), 0, NCRYPT_OVERWRITE_KEY_FLAG) };
        succeeded("make a key", made)?;
        match numbers {
            Some(numbers) => key.set(BCRYPT_PRIVATE_KEY_BLOB, numbers)?,
            None if algorithm == KeyAlgorithm::Rsa2048 => key.set(NCRYPT_LENGTH_PROPERTY, &RSA_BITS.to_le_bytes())?,
            None => {}
        }
        key.set(NCRYPT_EXPORT_POLICY_PROPERTY, &0_u32.to_le_bytes())?;
        // SAFETY: the handle is open.
        succeeded("keep a key", unsafe { NCryptFinalizeKey(key.0, NCRYPT_SILENT_FLAG) })?;
        Ok(key)
    }

    /// Opens a key; `None` if there is none of that name. `flags` may say that it is the computer's.
    pub fn key(&self, name: &str, flags: u32) -> Result<Option<CngKey>, Refused> {
        let mut handle = 0;
        let name = wide(name);
        // SAFETY: the name ends with a zero and outlives the call; the handle is released when dropped.
        match unsafe { NCryptOpenKey(self.0, &raw mut handle, name.as_ptr(), 0, flags | NCRYPT_SILENT_FLAG) } {
            0 => Ok(Some(CngKey(handle))),
            status => Some(Refused::new("open a key", status)).filter(|problem| !problem.is_absence()).map_or(Ok(None), Err),
        }
    }

    /// The names of this user's keys.
    pub fn names(&self) -> Result<Vec<String>, Refused> {
        let (mut names, mut state) = (Vec::new(), null_mut());
        let result = loop {
            let mut entry: *mut NCryptKeyName = null_mut();
            // SAFETY: the state is what the last call left; each entry is read before it is released, and its name ends with a zero.
            unsafe {
                match NCryptEnumKeys(self.0, null(), &raw mut entry, &raw mut state, NCRYPT_SILENT_FLAG) {
                    0 => {}
                    NTE_NO_MORE_ITEMS => break Ok(names),
                    status => break Err(Refused::new("list the keys", status)),
                }
                names.push(text((*entry).pszName));
                NCryptFreeBuffer(entry.cast());
            }
        };
        // SAFETY: the state came from the provider, and is not used any more.
        unsafe { NCryptFreeBuffer(state) };
        result
    }
}

fn id_of(algorithm: KeyAlgorithm) -> PCWSTR {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => BCRYPT_ECDSA_P256_ALGORITHM,
        KeyAlgorithm::EcdsaP384 => BCRYPT_ECDSA_P384_ALGORITHM,
        KeyAlgorithm::Rsa2048 => BCRYPT_RSA_ALGORITHM,
    }
}

#[allow(unsafe_code)]
impl CngKey {
    fn set(&self, property: PCWSTR, value: &[u8]) -> Result<(), Refused> {
        // SAFETY: the value outlives the call, and its length is its own.
        succeeded("set up a key", unsafe { NCryptSetProperty(self.0, property, value.as_ptr(), length(value), NCRYPT_SILENT_FLAG) })
    }

    /// True if it was made to ask people before it does anything.
    pub fn asks_people(&self) -> Result<bool, Refused> {
        let mut policy = [0_u64; 64];
        let (size, mut used) = (u32::try_from(size_of_val(&policy)).unwrap_or_default(), 0);
        // SAFETY: the buffer is as large as is said, and aligned for what is read from it below.
        let status = unsafe {
            NCryptGetProperty(self.0, NCRYPT_UI_POLICY_PROPERTY, policy.as_mut_ptr().cast(), size, &raw mut used, NCRYPT_SILENT_FLAG)
        };
        if status == NTE_NOT_FOUND || used == 0 {
            return Ok(false);
        }
        succeeded("look at a key", status)?;
        // SAFETY: the property is this structure, with its texts behind it, in a buffer that is larger.
        let flags = unsafe { policy.as_ptr().cast::<NCRYPT_UI_POLICY>().read().dwFlags };
        Ok(flags & (NCRYPT_UI_PROTECT_KEY_FLAG | NCRYPT_UI_FORCE_HIGH_PROTECTION_FLAG) != 0)
    }

    /// Of what kind it is.
    pub fn algorithm(&self) -> Result<KeyAlgorithm, Refused> {
        let (mut id, mut used) = ([0_u16; 64], 0);
        let size = u32::try_from(size_of_val(&id)).unwrap_or_default();
        // SAFETY: the buffer is as large as is said, and has a zero at its end whatever is written.
        let id = unsafe {
            let to = id.as_mut_ptr().cast();
            succeeded(
                "look at a key",
                NCryptGetProperty(self.0, NCRYPT_ALGORITHM_PROPERTY, to, size - 2, &raw mut used, NCRYPT_SILENT_FLAG),
            )?;
            text(id.as_ptr())
        };
        match id.as_str() {
            "ECDSA_P256" => Ok(KeyAlgorithm::EcdsaP256),
            "ECDSA_P384" => Ok(KeyAlgorithm::EcdsaP384),
            "RSA" => Ok(KeyAlgorithm::Rsa2048),
            _ => Err(Refused::UNKNOWN_KIND),
        }
    }

    /// Signs a digest without asking anybody: ECDSA as r and s, RSA as bytes.
    pub fn sign(&self, digest: &[u8], padding: Padding) -> Result<Vec<u8>, Refused> {
        let pkcs1 = BCRYPT_PKCS1_PADDING_INFO { pszAlgId: BCRYPT_SHA256_ALGORITHM };
        let pss = BCRYPT_PSS_PADDING_INFO { pszAlgId: BCRYPT_SHA256_ALGORITHM, cbSalt: length(digest) };
        let (padding, flags) = match padding {
            Padding::None => (null(), 0),
            Padding::Pkcs1 => ((&raw const pkcs1).cast(), BCRYPT_PAD_PKCS1),
            Padding::Pss => ((&raw const pss).cast(), BCRYPT_PAD_PSS),
        };
        let (mut signature, mut used) = (vec![0; 1024], 0);
        // SAFETY: digest, padding and signature outlive the call, and their lengths are their own.
        let status = unsafe {
            let (from, to) = (digest.as_ptr(), signature.as_mut_ptr());
            NCryptSignHash(self.0, padding, from, length(digest), to, length(&signature), &raw mut used, flags | NCRYPT_SILENT_FLAG)
        };
        succeeded("sign", status)?;
        signature.truncate(used as usize);
        Ok(signature)
    }

    /// Its public half, as a BLOB of CNG.
    pub fn public_blob(&self, algorithm: KeyAlgorithm) -> Result<Vec<u8>, Refused> {
        self.export(if algorithm == KeyAlgorithm::Rsa2048 { BCRYPT_RSAPUBLIC_BLOB } else { BCRYPT_ECCPUBLIC_BLOB })
    }

    /// True if anybody could take the private half out.
    pub fn can_be_taken_out(&self) -> bool {
        self.export(BCRYPT_PRIVATE_KEY_BLOB).is_ok()
    }

    fn export(&self, kind: PCWSTR) -> Result<Vec<u8>, Refused> {
        let (mut blob, mut used) = (vec![0; 4096], 0);
        // SAFETY: the buffer is as large as is said.
        let status = unsafe {
            let to = blob.as_mut_ptr();
            NCryptExportKey(self.0, 0, kind, null(), to, length(&blob), &raw mut used, NCRYPT_SILENT_FLAG)
        };
        succeeded("read a key", status)?;
        blob.truncate(used as usize);
        Ok(blob)
    }

    /// Deletes it for good.
    pub fn delete(mut self) -> Result<(), Refused> {
        // SAFETY: the handle is open; if the key goes, so does the handle.
        succeeded("delete a key", unsafe { NCryptDeleteKey(self.0, NCRYPT_SILENT_FLAG) })?;
        self.0 = 0;
        Ok(())
    }
}

#[allow(unsafe_code)]
impl Drop for Provider {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and not used any more.
        unsafe { NCryptFreeObject(self.0) };
    }
}

#[allow(unsafe_code)]
impl Drop for CngKey {
    fn drop(&mut self) {
        if self.0 != 0 {
            // SAFETY: the handle is open, and not used any more.
            unsafe { NCryptFreeObject(self.0) };
        }
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("keys and digests are small")
}
