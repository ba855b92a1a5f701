//! A stand-in for a cloud chart: one port, one host name for each clinic, and a door that opens only to the clinic's own
//! certificates. For the demo and for tests; nothing a clinic should ever use.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use tegata_api::v1::fleet::Access;
use tegata_core::name::{IssuerName, TenantName};

use self::door::Doors;
use self::front::Front;
use self::web::WebIdentity;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::{output, serve, session};

pub mod door;
mod front;
mod page;
mod web;

pub use self::front::{Outcome, Visit};

/// Run the stand-in chart alone, for tests: it prints one line for each visit
#[derive(Args)]
pub struct DemoEmr {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    listen: SocketAddr,
    /// Where `web-authority.pem` is written, and then `address`
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A host name, the issuer whose certificates it takes, the organization they must name, and a name for people. Clinics with one issuer
    /// may share a host
    #[arg(long = "site", required = true, value_name = "HOST=ISSUER:ORGANIZATION[:NAME]")]
    sites: Vec<Site>,
}

/// One clinic's chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The host name.
    pub host: String,
    /// Whose certificates it takes.
    pub issuer: IssuerName,
    /// The O that they must carry.
    pub organization: String,
    /// What people call the clinic.
    pub name: String,
}

impl FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || "expected HOST=ISSUER:ORGANIZATION[:NAME]".to_owned();
        let (host, rest) = text.split_once('=').ok_or_else(shape)?;
        let (issuer, rest) = rest.split_once(':').ok_or_else(shape)?;
        let (organization, name) = rest.split_once(':').unwrap_or((rest, rest));
        let issuer = issuer.parse().map_err(|error| format!("{issuer}: {error}"))?;
        Ok(Self { host: host.to_owned(), issuer, organization: organization.to_owned(), name: name.to_owned() })
    }
}

impl DemoEmr {
    /// Runs until told to stop.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let access = session::read_access(&session::access_file(global))?;
        let print = |visit: &Visit| {
            // A reader that has gone away does not stop the chart.
            let _ = output::print(&visit.to_string());
        };
        let emr = Emr::start(&access, &global.tenant(), self.sites, self.listen, print).await?;
        fs::create_dir_all(&self.dir).context("cannot make the folder")?;
        fs::write(self.dir.join("web-authority.pem"), emr.web_authority()).context("cannot write web-authority.pem")?;
        fs::write(self.dir.join("address.new"), emr.address().to_string()).context("cannot write the address")?;
        fs::rename(self.dir.join("address.new"), self.dir.join("address")).context("cannot write the address")?;
        output::print(&format!("listening on {}", emr.address()))?;
        serve::told_to_stop().await;
        Ok(Exit::Fine)
    }
}

/// A running stand-in. It ends when this is dropped.
pub struct Emr {
    front: Front,
    doors: Doors,
    web_authority: String,
}

impl Emr {
    /// Starts it: fetches what each door must know, then listens. `visited` hears of every visit.
    pub async fn start(
        access: &Access,
        tenant: &TenantName,
        sites: Vec<Site>,
        listen: SocketAddr,
        visited: impl Fn(&Visit) + Send + Sync + 'static,
    ) -> Result<Self> {
        let identity = WebIdentity::new(sites.iter().map(|site| site.host.clone()).collect())?;
        let web_authority = identity.authority_pem();
        let doors = Doors::open(access, tenant, sites, identity).await?;
        let front = Front::listen(listen, doors.clone(), Arc::new(visited)).await?;
        Ok(Self { front, doors, web_authority })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// The throw-away authority that its certificate comes from, PEM.
    pub fn web_authority(&self) -> &str {
        &self.web_authority
    }

    /// What each door lets in.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_read_with_and_without_a_name_for_people() {
        let site: Site = "karte.example.jp=ca:sakura:さくら内科".parse().unwrap();
        assert_eq!((site.host.as_str(), site.organization.as_str(), site.name.as_str()), ("karte.example.jp", "sakura", "さくら内科"));
        assert_eq!("h=ca:sakura".parse::<Site>().unwrap().name, "sakura");
        assert!("h=ca".parse::<Site>().is_err() && "h".parse::<Site>().is_err() && "h=Not A Name:x".parse::<Site>().is_err());
    }
}
