//! What cannot happen to an issuer's document any more once its authority exists.

use tegata_api::v1::policy::Kind;
use tegata_api::v1::problem::Finding;
use tegata_api::yaml::{Checked, Document};
use tegata_core::name::TenantName;
use tegata_core::policy::IssuerKind;
use tegata_core::time::Timestamp;
use tegata_pki::certificate;

use super::difference::{Affected, Edit};
use crate::issuers::authorities::issuing_name;
use crate::store::{AuthorityRow, CertificateFilter, Store, StoreError};

/// Issuers that are called otherwise than their authority. Browsers choose certificates by the issuer's name, so a rule with the new one
/// would match none of those that are there, nor any that the authority will issue.
pub(super) async fn misnamed(store: &dyn Store, checked: &Checked) -> Result<Vec<Finding>, StoreError> {
    let issuers: Vec<&Document> = checked.documents.iter().filter(|document| document.kind == Kind::Issuer).collect();
    if issuers.is_empty() {
        return Ok(vec![]);
    }
    let authorities = store.authorities(Some(&checked.tenant.name)).await?;
    Ok(issuers.into_iter().filter_map(|document| clash(document, checked, &authorities)).collect())
}

fn clash(document: &Document, checked: &Checked, authorities: &[AuthorityRow]) -> Option<Finding> {
    let issuer = checked.tenant.issuers.values().find(|issuer| issuer.name.as_str() == document.name)?;
    let IssuerKind::Ca { common_name } = &issuer.kind else { return None };
    let row = authorities.iter().find(|row| row.name == issuing_name(&issuer.name))?;
    let made_as = certificate::read(&row.certificate).ok()?.common_name?;
    (made_as != common_name.as_str()).then(|| {
        let message = format!("the authority of this issuer was made as \"{made_as}\", and its name cannot be changed");
        let hint = format!("write commonName: {made_as}, or make a new Issuer under another name and have the profiles name that one");
        document.finding("/spec/commonName", message, hint)
    })
}

/// Issuers that go although PCs still sign in with what they issued: without the document, browsers are told nothing about these
/// certificates any more, and people are asked which one to use.
pub(super) async fn missed(
    store: &dyn Store,
    tenant: &TenantName,
    edits: &[Edit],
    affected: &[Affected],
    now: Timestamp,
) -> Result<Vec<Finding>, StoreError> {
    let dropped = edits.iter().filter(|edit| edit.body.is_none() && edit.change.kind == Kind::Issuer.as_str());
    let dropped: Vec<&str> = dropped.map(|edit| &edit.change.name[..]).collect();
    if dropped.is_empty() {
        return Ok(vec![]);
    }
    let present = CertificateFilter { present: true, ..CertificateFilter::default() };
    let mut used = store.certificates(tenant, present).await?;
    used.retain(|row| {
        let wanted = affected.iter().any(|clinic| clinic.after.slots.contains_key(&row.slot));
        wanted && row.revoked_at.is_none() && row.not_after >= now
    });
    let count = |name: &str| used.iter().filter(|row| row.template.issuer.as_str() == name).count();
    Ok(dropped.into_iter().filter_map(|name| in_use(name, count(name))).collect())
}

fn in_use(name: &str, count: usize) -> Option<Finding> {
    (count > 0).then(|| Finding {
        file: format!("{}/{name} (stored)", Kind::Issuer),
        line: 0,
        column: 0,
        path: String::new(),
        message: format!("{count} certificates of this issuer are still in use"),
        hint: Some("keep the document until their replacements are proven; `tegata get slots` shows how far that is".into()),
    })
}
