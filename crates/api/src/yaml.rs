//! Reads policy documents: all that is wrong with them at once, each with file, line, column and what to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tegata_core::name::TenantName;
use tegata_core::policy::Tenant;

use crate::v1::fleet::File;
use crate::v1::policy::Kind;
use crate::v1::problem::Finding;

/// The longest file that is read, in bytes.
pub const FILE_MAX: usize = 1 << 20;

/// Documents that are right by themselves. Whether they fit together, [`assemble`] says.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The documents, in the order of the files.
    pub documents: Vec<Document>,
}

/// One document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its tenant.
    pub namespace: String,
    /// The whole document in its canonical form: every default that is not written stays unwritten, keys are sorted, the tenant is named.
    pub body: Value,
    /// Where it was read, if it was.
    source: Option<Arc<()>>,
}

impl Document {
    /// Takes a document that was stored in its canonical form.
    ///
    /// # Errors
    /// A finding without a line if it has no kind, name or tenant that is known.
    pub fn stored(body: Value) -> Result<Self, Finding> {
        let _ = (body, None::<Self>.map(|document| document.source));
        todo!()
    }
}

/// New documents, and what the tenant is once they are in force.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The documents in the files.
    pub documents: Vec<Document>,
    /// The tenant.
    pub tenant: Tenant,
}

/// Reads files, and checks each document by itself.
///
/// # Errors
/// Everything that is wrong.
pub fn load(files: &[File], tenant: &TenantName) -> Result<Loaded, Vec<Finding>> {
    let _ = (files, tenant);
    todo!()
}

/// Puts the documents of one tenant together, and checks what they say about one another.
///
/// # Errors
/// Everything that does not fit.
pub fn assemble(tenant: &TenantName, loaded: &Loaded) -> Result<Tenant, Vec<Finding>> {
    let _ = (tenant, loaded);
    todo!()
}

/// [`load`] and [`assemble`] in one, so that all errors come at once: what `tegata apply` asks for.
///
/// A document in `files` takes the place of the one in `stored` that has the same kind and name.
///
/// # Errors
/// Everything that is wrong or does not fit.
pub fn check(files: &[File], tenant: &TenantName, stored: &[Document]) -> Result<Checked, Vec<Finding>> {
    let _ = (files, tenant, stored);
    todo!()
}

/// The JSON Schema of each kind of document.
pub fn schemas() -> BTreeMap<&'static str, Value> {
    todo!()
}

/// Shows findings as a compiler would: message, place, the line itself, and what to do.
pub fn render(findings: &[Finding], files: &[File]) -> String {
    let _ = (findings, files);
    todo!()
}

/// Takes a file as it lies on the disk.
///
/// # Errors
/// A finding if it is not UTF-8 or too long.
pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<File, Finding> {
    let _ = (name, bytes);
    todo!()
}
