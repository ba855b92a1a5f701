//! Asks the issuer's revocation list about a certificate, wherever the certificate says that it lies.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Response, Url};
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;
use tegata_pki::certificate::{self, Certificate};
use tegata_pki::crl;

use super::Doctor;
use crate::disk;
use crate::keystore::Pair;
use crate::probe;

/// How long a list may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest list that is read, in bytes; with 40 bytes for each certificate that is 200,000.
const LIST_MAX: usize = 8 << 20;

/// Why it is revoked, or `Some(None)` if it is not. `None` if no list could be had, or none that says anything.
pub(super) async fn says(doctor: &Doctor<'_>, pair: &Pair, own: &Certificate, now: Timestamp) -> Option<Option<Cause>> {
    let issuer = pair.chain.get(1)?;
    for url in &own.crl_urls {
        let Some(list) = fetch(doctor, url).await else { continue };
        match crl::look_up(&list, url, own, issuer, now) {
            Ok(because) => return Some(because),
            Err(nothing) => tracing::debug!(url, %nothing, "a revocation list is of no use"),
        }
    }
    None
}

async fn fetch(doctor: &Doctor<'_>, url: &str) -> Option<Vec<u8>> {
    let mut page = Url::parse(url).ok().filter(|page| matches!(page.scheme(), "http" | "https"))?;
    let client =
        reqwest::Client::builder().tls_backend_preconfigured(config(doctor)?).redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE);
    let client = probe::reached(client, &mut page, &doctor.settings.resolve)?.build().ok()?;
    let answer = client.get(page).send().await.ok()?;
    if answer.status().is_success() { read(answer).await } else { None }
}

async fn read(mut answer: Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LIST_MAX {
            return None;
        }
    }
    Some(bytes)
}

/// Lists are signed, so it matters little who hands them over: the system's authorities, and those of Tegata's server.
fn config(doctor: &Doctor<'_>) -> Option<ClientConfig> {
    let mut roots = probe::roots(doctor.state).ok()?;
    let ours = disk::read_text(&doctor.state.authorities()).ok()?.unwrap_or_default();
    let ours = certificate::read_pem(&ours).unwrap_or_default();
    roots.add_parsable_certificates(ours.into_iter().map(|root| CertificateDer::from(root.der)));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(config.with_root_certificates(roots).with_no_client_auth())
}
