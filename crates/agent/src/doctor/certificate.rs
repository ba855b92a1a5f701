//! What the store, the issuer and the site say of one slot's certificate.

use rustls::{AlertDescription, CertificateError};
use tegata_api::client::tls_fault;
use tegata_core::diagnosis::{Absence, Answer, Cause, Fact, KeyState, Listed, Validity};
use tegata_core::install::Stage;
use tegata_core::name::Sha256;
use tegata_core::revocation;
use tegata_core::time::Timestamp;
use tegata_pki::certificate::{self, Certificate};

use super::{Chart, Doctor, list, look};
use crate::keystore::{Keystore, KeystoreError, Pair};
use crate::probe::{ProbeError, is_refusal};

/// What lies in a store for one slot.
enum Stored {
    /// Nothing of ours.
    Nothing,
    /// A certificate whose key cannot be used, and why.
    Unusable(KeyState),
    /// The one that browsers would choose.
    Whole(Pair, Box<Certificate>),
}

impl Doctor<'_> {
    /// Everything about one slot. What was not seen is said to be unchecked: another slot's certificate must not make it look fine.
    pub(super) async fn certificate(&self, chart: &Chart, now: Timestamp) -> Vec<Fact> {
        let slot = &chart.slot.id;
        let mut facts = match self.stored(chart, now).await {
            Ok(Stored::Nothing) => vec![Fact::Absent(slot.clone(), chart.absence())],
            Ok(Stored::Unusable(key)) => vec![Fact::Fine(Cause::Missing), Fact::Fine(Cause::Quota), Fact::Key(slot.clone(), key)],
            Ok(Stored::Whole(pair, own)) => self.whole(chart, &pair, &own, now).await,
            Err(problem) => {
                tracing::debug!(problem = crate::told(&problem), %slot, "the certificate could not be looked at");
                Vec::new()
            }
        };
        let is_silent = |cause: &Cause| facts.iter().all(|fact| fact.verdict(*cause).is_none());
        let unchecked: Vec<Fact> = Cause::OF_CERTIFICATES.into_iter().filter(is_silent).map(Fact::Unchecked).collect();
        facts.extend(unchecked);
        facts
    }

    async fn stored(&self, chart: &Chart, now: Timestamp) -> Result<Stored, KeystoreError> {
        let name = if chart.slot.is_for_browser() { "browser" } else { chart.slot.stores.first().map_or("", String::as_str) };
        let store = self.keystores.of(name)?;
        let (mut best, mut unusable) = (None, None);
        for fingerprint in store.list().await?.intersection(&chart.installed) {
            match opened(store, *fingerprint).await {
                Ok((pair, own)) => {
                    // Browsers take one that is valid before others, then the one that lives longest.
                    let rank = (Validity::at(now, own.not_before, own.not_after) == Validity::Now, own.not_after);
                    if best.as_ref().is_none_or(|(before, _, _)| *before < rank) {
                        best = Some((rank, pair, own));
                    }
                }
                Err(KeystoreError::Absent(..)) => unusable = unusable.or(Some(KeyState::Gone)),
                Err(KeystoreError::AsksPeople(_)) => unusable = Some(KeyState::AsksPeople),
                Err(problem) => return Err(problem),
            }
        }
        Ok(match best {
            Some((_, pair, own)) => Stored::Whole(pair, Box::new(own)),
            None => unusable.map_or(Stored::Nothing, Stored::Unusable),
        })
    }

    async fn whole(&self, chart: &Chart, pair: &Pair, own: &Certificate, now: Timestamp) -> Vec<Fact> {
        let slot = &chart.slot.id;
        let signs = if pair.can_sign().is_ok_and(|can| can) { KeyState::Signs } else { KeyState::Useless };
        let dates = Validity::at(now, own.not_before, own.not_after);
        let (listed, site) = tokio::join!(list::says(self, pair, own, now), self.site(chart, pair));
        let listed = listed.map(|because| match because {
            None => Listed::Not,
            Some(revocation::Cause::AffiliationChanged) => Listed::HolderLeft,
            Some(_) => Listed::Revoked,
        });
        let sure = [Fact::Held(slot.clone(), dates), Fact::Key(slot.clone(), signs)];
        sure.into_iter().chain(listed.map(|listed| Fact::Listed(slot.clone(), listed))).chain(site).collect()
    }

    async fn site(&self, chart: &Chart, pair: &Pair) -> Option<Fact> {
        let site = chart.slot.probe.clone()?;
        let answer = match self.prober.ask(&site, pair).await {
            Ok(_) => Answer::Opened,
            Err(problem) => self.meaning(&site, &problem, pair).await?,
        };
        Some(Fact::Site { site, answer, was_open: chart.was_open() })
    }

    /// `None` if it says nothing of the certificate: no network, or a site in trouble.
    async fn meaning(&self, site: &str, problem: &ProbeError, pair: &Pair) -> Option<Answer> {
        match problem {
            ProbeError::NotAsked { .. } => Some(Answer::AskedForNone),
            ProbeError::OtherIssuers { .. } => Some(Answer::AskedForOthers { is_alone: pair.chain.len() == 1 }),
            ProbeError::OtherKeys { .. } => Some(Answer::OtherKeys),
            ProbeError::Refused { status, .. } => is_refusal(*status).then_some(Answer::Refused),
            ProbeError::Unanswered { source, .. } => match tls_fault(source)? {
                rustls::Error::AlertReceived(alert) => alert_means(*alert),
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                    let seen = look::at(self, site, look::Trust::Usual).await;
                    Some(Answer::UnknownAuthority(seen.authority.unwrap_or_default()))
                }
                _ => None,
            },
            ProbeError::Address(_) | ProbeError::Unusable(_) | ProbeError::Roots(_) => None,
        }
    }
}

impl Chart {
    fn absence(&self) -> Absence {
        let newest = self.entry.as_ref().filter(|entry| matches!(entry.stage, Stage::Wanted | Stage::Keyed | Stage::Staged));
        // What is claimed for the order that is worked on may not have come into a store yet.
        let underway = newest.and_then(|entry| entry.fingerprint);
        if self.installed.iter().any(|fingerprint| Some(*fingerprint) != underway) {
            Absence::TakenOut
        } else if self.slot.order.is_some() {
            Absence::Underway
        } else {
            Absence::NotOrdered
        }
    }
}

async fn opened(store: &dyn Keystore, fingerprint: Sha256) -> Result<(Pair, Certificate), KeystoreError> {
    let pair = store.open(fingerprint).await?;
    let own = certificate::read(pair.chain.first().map_or(&[], Vec::as_slice))
        .map_err(|problem| KeystoreError::Unreadable(store.name(), problem.to_string()))?;
    Ok((pair, own))
}

/// What a site says of our certificate in the handshake (RFC 8446, section 6.2).
fn alert_means(alert: AlertDescription) -> Option<Answer> {
    match alert {
        AlertDescription::CertificateRevoked => Some(Answer::SaysRevoked),
        AlertDescription::CertificateExpired => Some(Answer::SaysExpired),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => Some(Answer::Refused),
        _ => None,
    }
}
