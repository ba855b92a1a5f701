//! The policy of a pretend tenant, as its script declares it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::calendar::{Calendar, Closed, Hours, Weekday};
use crate::fleet::Supply;
use crate::name::{ClinicName, DeviceId, ProfileName};
use crate::policy::{
    Account, Assignment, BackupRule, CertificateProfile, ClinicNetwork, ClinicSsh, Device, InstallerRule, Issuer, IssuerKind, KeyAlgorithm,
    KeyOrigin, Platform, RemoveInstallers, Renewal, Selector, Store, Tenant, UrlTemplate,
};
use crate::simulate::script::Declaration;
use crate::simulate::server::RENEWING;

/// A tenant with one authority and nothing else. Errors cannot happen, but are not worth a panic.
pub fn empty_tenant() -> Result<Tenant, String> {
    let portal = IssuerKind::Ca { common_name: read("Portal CA")? };
    let renewing = IssuerKind::Orcamo { url: "https://auth.example.jp".to_owned() };
    let issuers = [("portal", portal), ("vendor", IssuerKind::Vendor), (RENEWING, renewing)];
    let issuers = issuers.into_iter().map(|(name, kind)| Ok(Issuer { name: read(name)?, kind, portal: None }));
    Ok(Tenant {
        name: read("pretend")?,
        clinics: BTreeMap::new(),
        profiles: BTreeMap::new(),
        issuers: issuers
            .map(|issuer: Result<Issuer, String>| issuer.map(|issuer| (issuer.name.clone(), issuer)))
            .collect::<Result<_, _>>()?,
        targets: BTreeMap::new(),
        bindings: BTreeMap::new(),
    })
}

/// Applies one declaration.
///
/// # Errors
///
/// It names a clinic or a device that was not declared.
pub fn declare(tenant: &mut Tenant, declaration: Declaration) -> Result<(), String> {
    match declaration {
        Declaration::Clinic { name, at_once, hours, quiet } => {
            let clinic = empty_clinic(&name)?;
            let clinic = tenant.clinics.entry(name).or_insert(clinic);
            clinic.replace_at_once = at_once;
            clinic.hours = hours.map(weekdays).unwrap_or_default();
            clinic.hours.quiet = quiet.map(|hours| weekdays(hours).open).unwrap_or_default();
        }
        Declaration::Account { clinic, name, quotas, active, successor } => {
            clinic_of(tenant, &clinic)?.accounts.insert(name, Account { mail: None, active, successor, quotas });
        }
        Declaration::Profile { name, validity, renewal, supply, dependant, notices } => {
            let (dependants, own) = (dependant.into_iter().collect(), profile(name.clone(), validity, renewal)?);
            let (issuer, key) = match supply {
                Supply::Own => (own.issuer.clone(), own.key),
                Supply::Person => (read("vendor")?, KeyOrigin::Vendor),
                Supply::Renewal => (read(RENEWING)?, KeyOrigin::Vendor),
            };
            tenant.profiles.insert(name, CertificateProfile { issuer, key, dependants, notices, ..own });
        }
        Declaration::Assign { clinic, profile, account, devices } => {
            let certificates = &mut clinic_of(tenant, &clinic)?.certificates;
            certificates.retain(|assignment| assignment.profile != profile);
            certificates.push(Assignment { profile, account, devices: devices.map_or(Selector::All, Selector::Names) });
        }
        Declaration::Devices(devices) => {
            for DeviceId { clinic, device } in devices {
                let facts = Device { platform: Platform::Linux, memo: None, labels: BTreeMap::new(), ssh: None };
                clinic_of(tenant, &clinic)?.devices.insert(device, facts);
            }
        }
        Declaration::Guest { clinic, guest } => {
            clinic_of(tenant, &clinic)?.guests.insert(guest);
        }
        Declaration::Remove(id) => {
            let home = clinic_of(tenant, &id.clinic)?;
            home.devices.remove(&id.device).ok_or_else(|| format!("{id} was not declared"))?;
        }
        Declaration::Close(clinic) => {
            tenant.clinics.remove(&clinic).ok_or_else(|| format!("{clinic} was not declared"))?;
        }
    }
    Ok(())
}

fn clinic_of<'a>(tenant: &'a mut Tenant, name: &ClinicName) -> Result<&'a mut ClinicNetwork, String> {
    tenant.clinics.get_mut(name).ok_or_else(|| format!("{name} was not declared"))
}

fn empty_clinic(name: &ClinicName) -> Result<ClinicNetwork, String> {
    Ok(ClinicNetwork {
        name: name.clone(),
        display_name: read(name.as_str())?,
        institution_number: None,
        vendor_tenant: None,
        facility_slug: read(&name.as_str().replace('-', ""))?,
        contacts: Vec::new(),
        notify: crate::policy::Notify::default(),
        hours: Calendar::default(),
        accounts: BTreeMap::new(),
        devices: BTreeMap::new(),
        guests: BTreeSet::new(),
        certificates: Vec::new(),
        installers: InstallerRule { remove: RemoveInstallers::AfterProof, ..InstallerRule::default() },
        backup: BackupRule::default(),
        replace_at_once: 0,
        portal: None,
        ssh: ClinicSsh::default(),
    })
}

fn profile(name: ProfileName, validity: Duration, renewal: Renewal) -> Result<CertificateProfile, String> {
    let site = |text| UrlTemplate::parse(text).map_err(|error| error.problem);
    Ok(CertificateProfile {
        name,
        issuer: read("portal")?,
        key: KeyOrigin::Device(KeyAlgorithm::EcdsaP256),
        validity,
        renewal,
        notices: Vec::new(),
        stores: BTreeSet::from([Store::Browser]),
        select: vec![site("https://{facilitySlug}.karte.example.jp")?],
        probe: Some(site("https://{facilitySlug}.karte.example.jp")?),
        trust: BTreeSet::new(),
        dependants: Vec::new(),
        expect: None,
        application: None,
    })
}

fn weekdays(hours: Hours) -> Calendar {
    let days = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    Calendar {
        time_zone: Some("Asia/Tokyo".to_owned()),
        open: days.map(|day| (day, vec![hours])).into(),
        quiet: BTreeMap::new(),
        closed: vec![Closed::Holidays],
    }
}

fn read<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}
