//! Keys of the older CryptoAPI (`advapi32.dll`): what installers of vendors leave. RSA with PKCS#1 v1.5 only.

use std::ptr::null;

use windows_sys::Win32::Security::Cryptography::{
    AT_KEYEXCHANGE, AT_SIGNATURE, CALG_SHA_256, CRYPT_DELETEKEYSET, CRYPT_MACHINE_KEYSET, CRYPT_SILENT, CryptAcquireContextW,
    CryptCreateHash, CryptDestroyHash, CryptHashData, CryptReleaseContext, CryptSignHashW, MS_ENH_RSA_AES_PROV_W, PROV_RSA_AES,
};

use super::certificates::KeyPlace;
use super::{Refused, done};
use crate::windows::wide;

struct Context(usize);
struct Hash(usize);

/// Signs a message with SHA-256 and PKCS#1 v1.5, without asking anybody.
///
/// The provider that a certificate names may be one from before SHA-256; the newest opens the same containers.
pub fn sign(place: &KeyPlace, message: &[u8]) -> Result<Vec<u8>, Refused> {
    match Context::newest(place).and_then(|context| context.sign(place, message)) {
        Err(problem) if !problem.asks_people() => Context::named(place, 0)?.sign(place, message),
        other => other,
    }
}

/// Deletes the key for good.
pub fn delete(place: &KeyPlace) -> Result<(), Refused> {
    Context::named(place, CRYPT_DELETEKEYSET).map(std::mem::forget)
}

#[allow(unsafe_code)]
impl Context {
    fn newest(place: &KeyPlace) -> Result<Self, Refused> {
        let mut context = Self(0);
        let container = wide(&place.container);
        let flags = CRYPT_SILENT | place.flags & CRYPT_MACHINE_KEYSET;
        // SAFETY: the names end with a zero and outlive the call; the handle is released when dropped.
        let opened = unsafe { CryptAcquireContextW(&raw mut context.0, container.as_ptr(), MS_ENH_RSA_AES_PROV_W, PROV_RSA_AES, flags) };
        done("open a key", opened).map(|()| context)
    }

    fn named(place: &KeyPlace, flags: u32) -> Result<Self, Refused> {
        let mut context = Self(0);
        let (container, provider) = (wide(&place.container), wide(&place.provider));
        let provider = if place.provider.is_empty() { null() } else { provider.as_ptr() };
        let flags = flags | CRYPT_SILENT | place.flags & CRYPT_MACHINE_KEYSET;
        // SAFETY: as above. With CRYPT_DELETEKEYSET nothing is opened.
        let opened = unsafe { CryptAcquireContextW(&raw mut context.0, container.as_ptr(), provider, place.kind, flags) };
        done("open a key", opened).map(|()| context)
    }

    fn sign(&self, place: &KeyPlace, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut hash = Hash(0);
        let (mut signature, size) = (vec![0; 1024], u32::try_from(message.len()).expect("messages are small"));
        let mut used = 1024;
        // Wine says 3, for both keys of a container.
        let spec = if place.spec == AT_SIGNATURE { AT_SIGNATURE } else { AT_KEYEXCHANGE };
        // SAFETY: the context is open as long as the hash; message and signature outlive the calls, and their lengths are their own.
        unsafe {
            done("sign", CryptCreateHash(self.0, CALG_SHA_256, 0, 0, &raw mut hash.0))?;
            done("sign", CryptHashData(hash.0, message.as_ptr(), size, 0))?;
            done("sign", CryptSignHashW(hash.0, spec, null(), 0, signature.as_mut_ptr(), &raw mut used))?;
        }
        signature.truncate(used as usize);
        // CryptoAPI writes numbers from their end.
        signature.reverse();
        Ok(signature)
    }
}

#[allow(unsafe_code)]
impl Drop for Context {
    fn drop(&mut self) {
        if self.0 != 0 {
            // SAFETY: the handle is open, and not used any more.
            unsafe { CryptReleaseContext(self.0, 0) };
        }
    }
}

#[allow(unsafe_code)]
impl Drop for Hash {
    fn drop(&mut self) {
        if self.0 != 0 {
            // SAFETY: the handle is open, and not used any more.
            unsafe { CryptDestroyHash(self.0) };
        }
    }
}
