//! A connection to the server as somebody, for one tenant.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tegata_api::client::{Client, Credentials};
use tegata_api::v1::fleet::Access;
use tegata_core::name::TenantName;

use crate::cli::Global;
use crate::failure::Failure;

/// A connection to the server, for one tenant.
pub struct Session {
    client: Client,
    access: Access,
    tenant: TenantName,
}

impl Session {
    /// Connects as the command line says.
    pub fn open(global: &Global) -> Result<Self, Failure> {
        Self::with(read_access(&access_file(global))?, global.tenant())
    }

    /// Connects with known access.
    pub fn with(access: Access, tenant: TenantName) -> Result<Self, Failure> {
        let client = Client::new(&access.server, &access.authority, Credentials::Token(access.token.clone()))?;
        Ok(Self { client, access, tenant })
    }

    /// How the server is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Whose clinics.
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// Asks for something of the tenant, such as `slots?clinic=sakura`.
    pub async fn get<Answer: DeserializeOwned>(&self, path: &str) -> Result<Answer, Failure> {
        Ok(self.client.get(&self.path(path)).await?)
    }

    /// Sends something, and gives the answer.
    pub async fn post<Body: Serialize + Sync, Answer: DeserializeOwned>(&self, path: &str, body: &Body) -> Result<Answer, Failure> {
        Ok(self.client.post(&self.path(path), body).await?)
    }

    /// Sends something that has no answer.
    pub async fn tell<Body: Serialize + Sync>(&self, path: &str, body: &Body) -> Result<(), Failure> {
        Ok(self.client.tell(&self.path(path), body).await?)
    }

    fn path(&self, path: &str) -> String {
        format!("/v1/tenants/{}/{path}", self.tenant)
    }
}

/// Reads what `tegata serve` wrote.
pub fn read_access(path: &Path) -> Result<Access, Failure> {
    let text = fs::read(path).map_err(|source| Failure::Access { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| Failure::NotAccess { path: path.to_owned(), source })
}

/// Where `tegata serve` keeps its state unless told otherwise.
pub fn default_state() -> PathBuf {
    PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".local/state/tegata")
}

/// Where the access file is.
pub fn access_file(global: &Global) -> PathBuf {
    global.access.clone().unwrap_or_else(|| default_state().join("admin.json"))
}
