//! How the server asks others by HTTP: with one provider of cryptography, by authorities that are meant, and led nowhere else.

use std::error::Error;
use std::sync::Arc;

use reqwest::{Client, ClientBuilder, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The authorities that the operating system believes. What of them cannot be read is left out.
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// The authorities in a text of certificates (PEM), and how many there are. What is none is left out.
pub fn roots_in(pem: &str) -> (RootCertStore, usize) {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok));
    (roots, added)
}

/// TLS 1.2 and 1.3 with whom these authorities vouch for.
pub fn tls(roots: impl Into<Arc<RootCertStore>>) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client that follows nobody elsewhere.
pub fn client(tls: ClientConfig) -> ClientBuilder {
    Client::builder().tls_backend_preconfigured(tls).redirect(redirect::Policy::none())
}

/// What went wrong, without the address: what stands behind its host is often a secret.
pub fn told(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut last = if error.is_timeout() { "no answer in time".to_owned() } else { "no connection".to_owned() };
    while let Some(error) = source {
        last = error.to_string();
        source = error.source();
    }
    last
}
