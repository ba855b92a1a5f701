//! Reads a list before it is published, as those will who rely on it: with another library than the one that wrote it.
//!
//! A list that says more than it should shuts clinics out, and caches keep it for days; one that says less lets a thief in. What it
//! changes has to be exactly what was meant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use tegata_core::name::Serial;
use tegata_core::time::Timestamp;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};
use x509_parser::revocation_list::RevokedCertificate;

use crate::store::revocation::RevokedRow;

/// A list that must not be published.
#[derive(Debug, thiserror::Error)]
#[error("it would not say what it should: {problem}")]
pub struct Unlikely {
    problem: String,
}

impl Unlikely {
    /// It is not published because of this.
    pub fn because(problem: impl ToString) -> Self {
        Self { problem: problem.to_string() }
    }
}

/// What a list is meant to say.
pub struct Published<'a> {
    /// Its number.
    pub number: u64,
    /// Where it is published, if it is a part.
    pub url: Option<&'a str>,
    /// Everything that is revoked in it.
    pub revoked: &'a [RevokedRow],
    /// When it is published.
    pub now: Timestamp,
}

/// Checks a list against what it is meant to say; gives the serial numbers that were on the one before it and are not any more.
///
/// # Errors
/// [`Unlikely`]: it is not signed by `issuer` (DER), not in force, for another place, not newer than the one before, or it does not name
/// exactly what is revoked.
pub fn check(issuer: &[u8], list: &[u8], meant: &Published<'_>, before: Option<&[u8]>) -> Result<Vec<Serial>, Unlikely> {
    let (_, issuer) = X509Certificate::from_der(issuer).map_err(Unlikely::because)?;
    let list = read(list)?;
    list.verify_signature(issuer.public_key()).map_err(|_| Unlikely::because("its signature is not the issuer's"))?;
    demand(list.issuer().as_raw() == issuer.subject().as_raw(), "it names another issuer")?;
    let is_in_force = |now: i64| list.last_update().timestamp() <= now && list.next_update().is_some_and(|next| now < next.timestamp());
    demand(is_in_force(meant.now.unix()), "it is not in force")?;
    demand(number(&list) == Some(meant.number.into()), "it has another number")?;
    demand(place(&list)?.as_deref() == meant.url, "it is for another place")?;
    let named = entries(&list)?;
    let wanted: BTreeMap<Serial, Entry> = meant.revoked.iter().map(|row| (row.serial, (row.at.unix(), row.because.number()))).collect();
    demand(named == wanted, "it does not name exactly what is revoked")?;
    let Some(before) = before else { return Ok(vec![]) };
    let before = read(before)?;
    demand(number(&before) < number(&list), "it is not newer than the list before it")?;
    Ok(entries(&before)?.into_keys().filter(|serial| !named.contains_key(serial)).collect())
}

/// Lets certificates in by a list, as a site does: exactly those that are revoked have to be refused, and for that reason.
///
/// # Errors
/// [`Unlikely`], with the first certificate of which it says something else.
pub fn judge(issuer: &[u8], list: &[u8], meant: &Published<'_>, sample: &[(Serial, Vec<u8>)]) -> Result<(), Unlikely> {
    let mut anchors = RootCertStore::empty();
    anchors.add(CertificateDer::from(issuer)).map_err(Unlikely::because)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let site = WebPkiClientVerifier::builder_with_provider(anchors.into(), provider)
        .with_crls([CertificateRevocationListDer::from(list.to_vec())])
        .only_check_end_entity_revocation()
        .build()
        .map_err(Unlikely::because)?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(meant.now.unix()).unwrap_or_default()));
    for (serial, der) in sample {
        let is_revoked = meant.revoked.iter().any(|row| row.serial == *serial);
        match site.verify_client_cert(&CertificateDer::from(&der[..]), &[], now) {
            Ok(_) if !is_revoked => {}
            Err(rustls::Error::InvalidCertificate(CertificateError::Revoked)) if is_revoked => {}
            Ok(_) => return Err(Unlikely::because(format!("{serial} would be let in although it is revoked"))),
            Err(error) => return Err(Unlikely::because(format!("{serial} would be refused: {error}"))),
        }
    }
    Ok(())
}

/// The list that a certificate (DER) names.
pub fn list_of(certificate: &[u8]) -> Option<String> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    read.extensions().iter().find_map(|extension| {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else { return None };
        match &points.points.first()?.distribution_point {
            Some(DistributionPointName::FullName(names)) => match names.as_slice() {
                [GeneralName::URI(url)] => Some((*url).to_owned()),
                _ => None,
            },
            _ => None,
        }
    })
}

/// Since when, and the number of the reason.
type Entry = (i64, u8);

fn demand(holds: bool, otherwise: &'static str) -> Result<(), Unlikely> {
    if holds { Ok(()) } else { Err(Unlikely::because(otherwise)) }
}

fn read(list: &[u8]) -> Result<CertificateRevocationList<'_>, Unlikely> {
    let (rest, list) = CertificateRevocationList::from_der(list).map_err(Unlikely::because)?;
    demand(rest.is_empty(), "bytes follow it")?;
    Ok(list)
}

fn number(list: &CertificateRevocationList<'_>) -> Option<u128> {
    Some(list.crl_number()?.to_bytes_be().iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
}

/// Where a list says that it is published; one that does not say so speaks for everything.
fn place(list: &CertificateRevocationList<'_>) -> Result<Option<String>, Unlikely> {
    for extension in list.extensions() {
        let ParsedExtension::IssuingDistributionPoint(point) = extension.parsed_extension() else { continue };
        demand(extension.critical, "it may be taken for the whole")?;
        return match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => match names.as_slice() {
                [GeneralName::URI(url)] => Ok(Some((*url).to_owned())),
                _ => Err(Unlikely::because("it is for several places")),
            },
            _ => Err(Unlikely::because("it is for no place")),
        };
    }
    Ok(None)
}

fn entries(list: &CertificateRevocationList<'_>) -> Result<BTreeMap<Serial, Entry>, Unlikely> {
    let mut entries = BTreeMap::new();
    for revoked in list.iter_revoked_certificates() {
        let (serial, entry) = entry(revoked)?;
        demand(entries.insert(serial, entry).is_none(), "it names a certificate twice")?;
    }
    Ok(entries)
}

fn entry(revoked: &RevokedCertificate<'_>) -> Result<(Serial, Entry), Unlikely> {
    let serial = revoked.raw_serial().try_into().map_err(|_| Unlikely::because("it names a certificate that is not ours"))?;
    let reason = revoked.reason_code().map_or(0, |(_, reason)| reason.0);
    Ok((Serial(serial), (revoked.revocation_date.timestamp(), reason)))
}

#[cfg(test)]
mod tests {
    use tegata_core::policy::KeyAlgorithm;
    use tegata_core::revocation::Cause;
    use tegata_core::time::DAY;
    use tegata_pki::authority::{Authority, Purpose};
    use tegata_pki::crl::{self, Revoked};
    use tegata_pki::key::PrivateKey;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
    const URL: &str = "http://tegata.example.jp/crl/aozora/portal/1.crl";

    fn authority() -> Authority {
        Authority::new_root("Aozora", "aozora", NOW, NOW.after(DAY * 3650)).unwrap()
    }

    fn row(n: u8) -> RevokedRow {
        RevokedRow { serial: Serial([0x40 | n; 16]), at: NOW, because: Cause::Superseded }
    }

    fn list(authority: &Authority, number: u64, url: Option<&str>, rows: &[RevokedRow]) -> Vec<u8> {
        let revoked: Vec<Revoked> = rows.iter().map(|row| Revoked { serial: row.serial, at: row.at, because: row.because }).collect();
        match url {
            Some(url) => crl::create_shard(authority, url, number, &revoked, NOW, NOW.after(DAY)).unwrap(),
            None => crl::create(authority, number, &revoked, NOW, NOW.after(DAY)).unwrap(),
        }
    }

    fn meant<'a>(revoked: &'a [RevokedRow], url: Option<&'a str>) -> Published<'a> {
        Published { number: 5, url, revoked, now: NOW }
    }

    fn problem(checked: Result<Vec<Serial>, Unlikely>) -> String {
        checked.expect_err("it must not be published").problem
    }

    #[test]
    fn r2_a_list_that_says_exactly_what_is_meant_is_published() {
        let authority = authority();
        for url in [None, Some(URL)] {
            let rows = [row(1), row(2)];
            let (before, after) = (list(&authority, 4, url, &rows[..1]), list(&authority, 5, url, &rows));
            assert_eq!(check(authority.certificate(), &after, &meant(&rows, url), Some(&before)).unwrap(), []);
            let none = list(&authority, 5, url, &[]);
            assert_eq!(check(authority.certificate(), &none, &meant(&[], url), Some(&before)).unwrap(), [row(1).serial]);
        }
    }

    #[test]
    fn r2_a_list_that_says_more_less_or_something_else_is_not_published() {
        let (authority, other) = (authority(), authority());
        let rows = [row(1), row(2)];
        let check = |list: &[u8], before: Option<&[u8]>| check(authority.certificate(), list, &meant(&rows, Some(URL)), before);
        let good = list(&authority, 5, Some(URL), &rows);
        check(&good, None).unwrap();
        for wrong in [&rows[..1], &[row(1), row(2), row(3)], &[row(1), row(3)], &[]] {
            assert!(problem(check(&list(&authority, 5, Some(URL), wrong), None)).contains("exactly"));
        }
        let reason = [RevokedRow { because: Cause::Unspecified, ..row(1) }, row(2)];
        assert!(problem(check(&list(&authority, 5, Some(URL), &reason), None)).contains("exactly"));
        assert!(
            problem(check(&list(&authority, 5, Some("http://tegata.example.jp/crl/aozora/portal/2.crl"), &rows), None)).contains("place")
        );
        assert!(problem(check(&list(&authority, 5, None, &rows), None)).contains("place"), "it would speak for everything");
        assert!(problem(check(&list(&authority, 6, Some(URL), &rows), None)).contains("number"));
        assert!(problem(check(&list(&other, 5, Some(URL), &rows), None)).contains("signature"));
        assert!(problem(check(&good, Some(&good))).contains("newer"));
        let mut damaged = good;
        *damaged.last_mut().unwrap() ^= 1;
        assert!(check(&damaged, None).is_err());
    }

    #[test]
    fn r2_a_list_that_is_not_in_force_is_not_published() {
        let authority = authority();
        let good = list(&authority, 5, None, &[]);
        for now in [NOW.before(Duration::from_secs(1)), NOW.after(DAY)] {
            let meant = Published { now, ..meant(&[], None) };
            assert!(problem(check(authority.certificate(), &good, &meant, None)).contains("force"));
        }
    }

    /// A client certificate with the serial number of a row, that names this list.
    fn certificate(authority: &Authority, row: &RevokedRow, url: &str) -> (Serial, Vec<u8>) {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let purpose = Purpose::Client {
            common_name: "pc-1".into(),
            organization: "sakura".into(),
            unique: "1".into(),
            crl_url: Some(url.into()),
            ocsp_url: None,
        };
        let tbs = authority.draft(&purpose, &key.public_key(), row.serial, NOW, NOW.after(DAY)).unwrap();
        (row.serial, authority.sign(&tbs).unwrap())
    }

    #[test]
    fn r2_live_certificates_are_let_in_and_revoked_ones_refused_or_the_list_is_not_published() {
        let authority = authority();
        let sample = [1, 2].map(|n| certificate(&authority, &row(n), URL));
        let rows = [row(2)];
        let judge = |list: &[u8], meant: &Published<'_>, sample: &[_]| judge(authority.certificate(), list, meant, sample);
        for url in [Some(URL), None] {
            judge(&list(&authority, 5, url, &rows), &meant(&rows, url), &sample).unwrap();
        }
        let good = list(&authority, 5, Some(URL), &rows);
        let refused = judge(&good, &meant(&[], Some(URL)), &sample).unwrap_err();
        assert!(refused.problem.contains("would be refused"), "{refused}");
        let let_in = judge(&good, &meant(&[row(1), row(2)], Some(URL)), &sample).unwrap_err();
        assert!(let_in.problem.contains("would be let in"), "{let_in}");
        // A certificate that names another place finds nothing in this list, and is let in nowhere.
        let elsewhere = [certificate(&authority, &row(1), "http://tegata.example.jp/crl/aozora/portal/9.crl")];
        assert!(judge(&good, &meant(&rows, Some(URL)), &elsewhere).is_err());
    }
}
