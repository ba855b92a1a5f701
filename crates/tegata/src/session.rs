//! A connection to the server as somebody, for one tenant.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tegata_api::client::{Client, ClientError, Credentials};
use tegata_api::v1::fleet::Access;
use tegata_api::v1::problem::Code;
use tegata_core::name::TenantName;

use crate::cli::Global;
use crate::failure::Failure;

/// A connection to the server, for one tenant.
pub struct Session {
    client: Client,
    access: Access,
    tenant: TenantName,
    /// Whether somebody said which tenant is meant.
    is_named: bool,
}

impl Session {
    /// Connects as the command line says.
    pub fn open(global: &Global) -> Result<Self, Failure> {
        let access = read_access(&access_file(global))?;
        let own = access.tenant.as_ref().and_then(|tenant| tenant.parse().ok());
        let named = global.named_tenant().cloned().or(own);
        let is_named = named.is_some();
        let session = Self::with(access, named.unwrap_or_else(|| global.tenant()))?;
        Ok(Self { is_named, ..session })
    }

    /// Connects as the command line says, for a tenant that is none of the clinics'.
    pub fn open_for(global: &Global, tenant: TenantName) -> Result<Self, Failure> {
        Self::with(read_access(&access_file(global))?, tenant)
    }

    /// Connects with known access.
    pub fn with(access: Access, tenant: TenantName) -> Result<Self, Failure> {
        let client = Client::new(&access.server, &access.authority, Credentials::Token(access.token.clone()))?;
        Ok(Self { client, access, tenant, is_named: true })
    }

    /// How the server is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Whose clinics.
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// Why there is nothing, if it is that the tenant has no documents: most often another one was meant.
    pub async fn undeclared(&self) -> Result<Option<String>, Failure> {
        let documents: Vec<IgnoredAny> = match self.get("documents").await {
            // Whoever sees some clinics only knows that the tenant is there.
            Err(Failure::Server(ClientError::Refused(problem))) if problem.code == Code::Forbidden => return Ok(None),
            answer => answer?,
        };
        Ok(documents.is_empty().then(|| undeclared(&self.tenant, self.is_named)))
    }

    /// The failure that says that the tenant has nothing by these names.
    pub fn no_such(&self, what: &'static str, names: Vec<String>) -> Failure {
        Failure::NoSuch { what, names, tenant: self.tenant.clone(), is_named: self.is_named }
    }

    /// Asks for something of the tenant, such as `slots?clinic=sakura`.
    pub async fn get<Answer: DeserializeOwned>(&self, path: &str) -> Result<Answer, Failure> {
        Ok(self.client.get(&self.path(path)).await?)
    }

    /// Asks for something of the tenant that is no JSON.
    pub async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        Ok(self.client.get_bytes(&self.path(path)).await?)
    }

    /// Asks for something of the tenant, and gives each line of the answer to `take` as it comes.
    pub async fn get_lines(&self, path: &str, patience: Duration, take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        self.client.get_lines(&self.path(path), patience, take).await
    }

    /// Sends something, and gives the answer.
    pub async fn post<Body: Serialize + Sync, Answer: DeserializeOwned>(&self, path: &str, body: &Body) -> Result<Answer, Failure> {
        Ok(self.client.post(&self.path(path), body).await?)
    }

    /// Sends something whose answer may take long.
    pub async fn post_within<Body: Serialize + Sync, Answer: DeserializeOwned>(
        &self,
        path: &str,
        body: &Body,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        Ok(self.client.post_within(&self.path(path), body, patience).await?)
    }

    /// Sends something that has no answer.
    pub async fn tell<Body: Serialize + Sync>(&self, path: &str, body: &Body) -> Result<(), Failure> {
        Ok(self.client.tell(&self.path(path), body).await?)
    }

    fn path(&self, path: &str) -> String {
        format!("/v1/tenants/{}/{path}", self.tenant)
    }
}

fn undeclared(tenant: &TenantName, is_named: bool) -> String {
    let other =
        if is_named { "Is its name right?" } else { "No tenant was named: if another one is meant, say -n NAME or set TEGATA_TENANT." };
    format!("Tenant '{tenant}' has no documents, so there is nothing. {other}\nDeclare clinics in YAML and `tegata apply -f` them.")
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

/// Where `tegata login` keeps its session unless told otherwise.
pub fn login_file() -> PathBuf {
    default_state().join("login.json")
}

/// Where the access file is: whoever has signed in is meant to be that.
pub fn access_file(global: &Global) -> PathBuf {
    let kept = || Some(login_file()).filter(|file| file.exists()).unwrap_or_else(|| default_state().join("admin.json"));
    global.access.clone().unwrap_or_else(kept)
}

/// Whose clinics are meant: as somebody said, else as the access file says.
pub fn tenant(global: &Global) -> TenantName {
    let own = || read_access(&access_file(global)).ok().and_then(|access| access.tenant?.parse().ok());
    global.named_tenant().cloned().or_else(own).unwrap_or_else(|| global.tenant())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_at_all_is_no_reassurance() {
        let default = "default".parse().unwrap();
        let told = undeclared(&default, false);
        assert!(told.contains("'default'") && told.contains("-n NAME") && told.contains("TEGATA_TENANT"), "{told}");
        assert!(!undeclared(&default, true).contains("No tenant was named"));
    }
}
