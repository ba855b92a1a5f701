//! What browsers are told: which certificate is for which site.

use std::collections::BTreeSet;

use tegata_api::v1::device::BrowserRule;
use tegata_core::fleet::{DesiredSlot, Template};
use tegata_core::policy::{IssuerKind, KeyOrigin, Tenant};
use tegata_pki::certificate;

use crate::store::CertificateRow;

/// By what a rule knows a certificate.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Marks {
    issuer_common_name: String,
    organization: String,
    common_name: Option<String>,
}

/// For every site, a rule for each certificate that is or will be in the slot: what is there keeps working until it is replaced.
pub(super) fn of(policy: &Tenant, wanted: &DesiredSlot, staying: &[&CertificateRow]) -> Vec<BrowserRule> {
    let coming = own(policy, &wanted.template);
    let marks: BTreeSet<Marks> = staying.iter().filter_map(|row| marks(policy, row)).chain(coming).collect();
    let rule = |site: &String, marks: &Marks| BrowserRule {
        pattern: site.clone(),
        issuer_common_name: marks.issuer_common_name.clone(),
        subject_organization: marks.organization.clone(),
        subject_common_name: marks.common_name.clone(),
    };
    let rules: BTreeSet<_> = wanted.select.iter().flat_map(|site| marks.iter().map(move |marks| rule(site, marks))).collect();
    rules.into_iter().collect()
}

fn marks(policy: &Tenant, row: &CertificateRow) -> Option<Marks> {
    match row.template.key {
        KeyOrigin::Device(_) => own(policy, &row.template),
        KeyOrigin::Vendor => vendors(row),
    }
}

/// What Tegata signs says the issuer's name and the clinic's slug, whichever device it is for.
fn own(policy: &Tenant, template: &Template) -> Option<Marks> {
    let IssuerKind::Ca { common_name } = &policy.issuers.get(&template.issuer)?.kind else { return None };
    Some(Marks { issuer_common_name: common_name.to_string(), organization: template.organization.clone(), common_name: None })
}

/// How a vendor names things is known only once there is a certificate.
fn vendors(row: &CertificateRow) -> Option<Marks> {
    let read = certificate::read(&row.der).ok()?;
    let common_name = Some(row.template.common_name.clone()).filter(|name| !name.is_empty());
    Some(Marks { issuer_common_name: read.issuer_common_name?, organization: row.template.organization.clone(), common_name })
}
