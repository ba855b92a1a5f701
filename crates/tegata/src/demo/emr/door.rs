//! Whom the chart lets in: the issuer's authorities and its newest revocation list, asked for again and again.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::RootCertStore;
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use tegata_api::v1::fleet::Access;
use tegata_core::name::{IssuerName, TenantName};

use super::Site;
use super::web::WebIdentity;

#[cfg(test)]
mod tests;

/// How often the revocation lists are asked for. Real charts ask daily; a demo has no patience.
const REFRESH: Duration = Duration::from_millis(300);

/// What every site lets in.
#[derive(Clone)]
pub struct Doors {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    identity: WebIdentity,
    sites: BTreeMap<String, Vec<Site>>,
    issuers: RwLock<BTreeMap<IssuerName, Checks>>,
}

/// What one issuer's certificates are checked against.
#[derive(Clone)]
struct Checks {
    trust: Trust,
    config: Arc<ServerConfig>,
}

impl Doors {
    /// Fetches what is needed for every site. Has to be kept current with [`watch`](Self::watch).
    pub async fn open(access: &Access, tenant: &TenantName, sites: Vec<Site>, identity: WebIdentity) -> Result<Self> {
        let source = Source::new(access, tenant)?;
        let mut issuers = BTreeMap::new();
        for site in &sites {
            if !issuers.contains_key(&site.issuer) {
                let trust = source.fetch(&site.issuer).await?;
                let config = trust.config(&identity)?;
                issuers.insert(site.issuer.clone(), Checks { trust, config });
            }
        }
        let mut hosts: BTreeMap<String, Vec<Site>> = BTreeMap::new();
        for site in sites {
            hosts.entry(site.host.clone()).or_default().push(site);
        }
        Ok(Self { shared: Arc::new(Shared { source, identity, sites: hosts, issuers: RwLock::new(issuers) }) })
    }

    /// The sites of a host name, one for each of its clinics, and how their door is set up now: as the first says.
    pub fn at(&self, host: &str) -> Option<(&[Site], Arc<ServerConfig>)> {
        let sites = self.shared.sites.get(host)?;
        let issuers = self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner);
        Some((sites, issuers.get(&sites.first()?.issuer)?.config.clone()))
    }

    /// Every site.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        self.shared.sites.values().flatten()
    }

    /// Asks for the lists for as long as it is polled.
    pub async fn watch(&self) {
        let issuers: Vec<IssuerName> = self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        loop {
            tokio::time::sleep(REFRESH).await;
            for issuer in &issuers {
                // A server that is away, or answers nonsense, changes nothing: the last list stays in force until it expires.
                let _ = self.refresh(issuer).await;
            }
        }
    }

    async fn refresh(&self, issuer: &IssuerName) -> Result<()> {
        let trust = self.shared.source.fetch(issuer).await?;
        let known = self.shared.issuers.read().unwrap_or_else(PoisonError::into_inner).get(issuer).map(|checks| checks.trust.clone());
        if known.as_ref() != Some(&trust) {
            let config = trust.config(&self.shared.identity)?;
            self.shared.issuers.write().unwrap_or_else(PoisonError::into_inner).insert(issuer.clone(), Checks { trust, config });
        }
        Ok(())
    }
}

/// Where authorities and lists come from.
struct Source {
    http: reqwest::Client,
    base: String,
    tenant: TenantName,
}

impl Source {
    fn new(access: &Access, tenant: &TenantName) -> Result<Self> {
        let authorities =
            reqwest::Certificate::from_pem_bundle(access.authority.as_bytes()).context("the access file holds no authority")?;
        let http = reqwest::Client::builder().tls_certs_only(authorities).no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { http, base: access.server.clone(), tenant: tenant.clone() })
    }

    async fn fetch(&self, issuer: &IssuerName) -> Result<Trust> {
        let authorities = self.bytes(&format!("{}/ca/{}/{issuer}.pem", self.base, self.tenant)).await?;
        let revoked = self.bytes(&format!("{}/crl/{}/{issuer}.crl", self.base, self.tenant)).await?;
        Ok(Trust { authorities, revoked })
    }

    async fn bytes(&self, url: &str) -> Result<Vec<u8>> {
        let answer = self.http.get(url).send().await.and_then(reqwest::Response::error_for_status);
        Ok(answer.with_context(|| format!("cannot fetch {url}"))?.bytes().await?.to_vec())
    }
}

/// What client certificates are checked against.
#[derive(Clone, PartialEq, Eq)]
struct Trust {
    /// PEM.
    authorities: Vec<u8>,
    /// DER.
    revoked: Vec<u8>,
}

impl Trust {
    /// A TLS set-up that refuses, in the handshake, whoever has no certificate, a foreign one, or a revoked one.
    fn config(&self, identity: &WebIdentity) -> Result<Arc<ServerConfig>> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&self.authorities) {
            roots.add(authority.context("the authorities are not PEM")?).context("an authority cannot be used")?;
        }
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .with_crls([CertificateRevocationListDer::from(self.revoked.clone())])
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration()
            .build()
            .context("the authorities and the revocation list do not go together")?;
        let mut config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(identity.chain(), identity.key())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would come in without being checked against the list again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}
