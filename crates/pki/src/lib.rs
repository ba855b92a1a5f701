//! Bytes of X.509, CSR, CRL, OCSP and PKCS#12, and where a CA key lives.

pub mod authority;
pub mod bundle;
pub mod certificate;
pub mod crl;
pub mod csr;
pub mod key;
pub mod ocsp;
pub mod pkcs12;
pub mod raw;
pub mod sealed;
