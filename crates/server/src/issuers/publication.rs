//! Where revocation data is found: the addresses that certificates name, and the names of what is asked for there.

use std::str::FromStr;

use tegata_core::name::{IssuerName, TenantName};

use crate::store::revocation::Shard;

/// Addresses under which certificates can be looked up, for as long as they live.
#[derive(Debug, Clone)]
pub struct Publication {
    base: String,
}

impl Publication {
    /// Everything is found under `base`, such as `https://tegata.example.jp:8443`.
    pub fn at(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned() }
    }

    /// Where a list is found.
    pub fn list(&self, tenant: &TenantName, issuer: &IssuerName, part: Part) -> String {
        match part {
            Part::Root => format!("{}/crl/{tenant}/{issuer}/root.crl", self.base),
            Part::Whole => format!("{}/crl/{tenant}/{issuer}.crl", self.base),
            Part::Shard(shard) => format!("{}/crl/{tenant}/{issuer}/{shard}.crl", self.base),
        }
    }

    /// Where single certificates are asked about.
    pub fn ocsp(&self, tenant: &TenantName, issuer: &IssuerName) -> String {
        format!("{}/ocsp/{tenant}/{issuer}", self.base)
    }
}

/// One of the lists of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// What the root has revoked of the authorities below it.
    Root,
    /// Everything that the issuer has revoked, as long as that is no more than fits into a shard; else what has no shard.
    Whole,
    /// What is revoked in one shard.
    Shard(Shard),
}

/// Not the name of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct NoPart;

/// Reads the last part of an address: `root.crl` or `7.crl`. A list has one name only, so that caches hold it once.
impl FromStr for Part {
    type Err = NoPart;

    fn from_str(file: &str) -> Result<Self, NoPart> {
        let name = file.strip_suffix(".crl").ok_or(NoPart)?;
        if name == "root" {
            return Ok(Self::Root);
        }
        let shard = name.parse().ok().filter(|shard: &Shard| *shard > 0 && shard.to_string() == name);
        shard.map(Self::Shard).ok_or(NoPart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_found_where_it_is_said_to_be() {
        let (tenant, issuer) = ("aozora".parse().unwrap(), "portal".parse().unwrap());
        let published = Publication::at("http://tegata.example.jp/");
        let urls = [Part::Root, Part::Whole, Part::Shard(7)].map(|part| published.list(&tenant, &issuer, part));
        let under = |file| format!("http://tegata.example.jp/crl/aozora/portal/{file}");
        assert_eq!(urls, [under("root.crl"), "http://tegata.example.jp/crl/aozora/portal.crl".into(), under("7.crl")]);
        for part in [Part::Root, Part::Shard(7)] {
            let url = published.list(&tenant, &issuer, part);
            assert_eq!(url.rsplit('/').next().unwrap().parse(), Ok(part));
        }
    }

    #[test]
    fn a_list_has_one_name_only() {
        for name in ["", ".crl", "7", "07.crl", "+7.crl", "0.crl", "-1.crl", "4294967296.crl", "whole.crl", "root", "ROOT.crl"] {
            assert_eq!(name.parse::<Part>(), Err(NoPart), "{name}");
        }
    }
}
