//! Who plays: the clinics, PCs and chart sites that the example's policies name.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use tegata_api::v1::fleet::File;
use tegata_api::yaml;
use tegata_core::name::{ClinicName, DeviceId, SlotId, TenantName};
use tegata_core::policy::{CertificateProfile, ClinicNetwork, Folder, IssuerKind, RemoveInstallers, Tenant};

use super::emr::Site;
use crate::documents;
use crate::failure::Failure;

/// The tenant of the example that comes with Tegata.
const EXAMPLE_TENANT: &str = "aozora";

/// Who plays.
pub struct Cast {
    /// The group.
    pub tenant: TenantName,
    /// Its policies as written.
    pub files: Vec<File>,
    /// The same as Tegata understands them.
    policy: Tenant,
}

impl Cast {
    /// Reads the policies of `folder`.
    pub fn read(folder: &Path, tenant: Option<&TenantName>) -> Result<Self, Failure> {
        let tenant = tenant.cloned().unwrap_or_else(|| EXAMPLE_TENANT.parse().expect("the example's tenant has a good name"));
        let files = documents::read(&[folder.to_owned()])?;
        let policy = yaml::check(&files, &tenant, &[]).map_err(|findings| documents::wrong(&findings, &files))?.tenant;
        Ok(Self { tenant, files, policy })
    }

    /// Every PC of every clinic.
    pub fn pcs(&self) -> impl Iterator<Item = DeviceId> {
        let of = |clinic: &ClinicNetwork| clinic.devices.keys().map(|device| (clinic.name.clone(), device.clone())).collect::<Vec<_>>();
        self.policy.clinics.values().flat_map(of).map(|(clinic, device)| DeviceId { clinic, device })
    }

    /// Every chart site that certificates of our own authorities open.
    pub fn sites(&self) -> Vec<Site> {
        let mut sites = BTreeMap::new();
        for clinic in self.policy.clinics.values() {
            for profile in clinic.certificates.iter().filter_map(|assignment| self.policy.profiles.get(&assignment.profile)) {
                for host in self.hosts(clinic, profile) {
                    sites.entry(host.clone()).or_insert_with(|| Site {
                        host,
                        issuer: profile.issuer.clone(),
                        organization: clinic.facility_slug.to_string(),
                        name: clinic.display_name.to_string(),
                    });
                }
            }
        }
        sites.into_values().collect()
    }

    /// The chart site that a slot opens.
    pub fn host_of(&self, slot: &SlotId) -> Result<String> {
        let (clinic, profile) = (self.policy.clinics.get(&slot.clinic), self.policy.profiles.get(&slot.profile));
        let hosts = clinic.zip(profile).map(|(clinic, profile)| self.hosts(clinic, profile)).unwrap_or_default();
        hosts.into_iter().next().with_context(|| format!("{slot} opens no site"))
    }

    /// The first of the user's folders in which agents of a clinic look for installers, if they remove any.
    pub fn sweeps(&self, clinic: &ClinicName) -> Option<&'static str> {
        let rule = &self.policy.clinics.get(clinic)?.installers;
        let name = |folder: &Folder| match folder {
            Folder::Downloads => Some("Downloads"),
            Folder::Desktop => Some("Desktop"),
            Folder::Documents => Some("Documents"),
            _ => None,
        };
        rule.folders.iter().filter(|_| rule.remove == RemoveInstallers::AfterProof).find_map(name)
    }

    fn hosts(&self, clinic: &ClinicNetwork, profile: &CertificateProfile) -> Vec<String> {
        let ours = self.policy.issuers.get(&profile.issuer).is_some_and(|issuer| matches!(issuer.kind, IssuerKind::Ca { .. }));
        if !ours {
            return Vec::new();
        }
        let urls = profile.probe.iter().chain(&profile.select).map(|url| url.fill(clinic));
        urls.filter_map(|url| Some(url.strip_prefix("https://")?.split(['/', ':']).next()?.to_owned())).collect()
    }
}
