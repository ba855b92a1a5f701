//! Reads policy documents: all that is wrong with them at once, each with file, line, column and what to do.
//!
//! ```text
//! text ─read→ tree with places ─schema→ wire types ─convert→ core types ─assemble→ tegata_core::policy::Tenant
//! ```
//!
//! A step that fails for one document does not keep the others from being looked at, and nothing is said twice: what a
//! broken document would have declared is not missed in the documents that refer to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tegata_core::name::TenantName;
use tegata_core::policy::Tenant;

use crate::v1::fleet::File;
use crate::v1::policy::Kind;
use crate::v1::problem::Finding;

mod assemble;
mod convert;
mod draft;
mod gather;
mod playbook;
mod provider;
mod read;
mod render;
mod schema;
#[cfg(test)]
mod tests;
mod tree;
mod written;

use draft::Draft;
use gather::Wrong;
use tree::{Place, Tree};

pub use playbook::{PlaybookDocument, playbook};
pub use provider::{OpenIdProvider, providers};
pub use render::render;

/// The longest file that is read, in bytes.
pub const FILE_MAX: usize = 1 << 20;

/// The most findings that are reported for one file.
const FINDINGS_MAX: usize = 100;
/// After so many findings in all files together no further file is read.
const FINDINGS_OF_ALL_MAX: usize = 2_000;

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
    /// The whole document as it was written, without its layout and comments, and with its tenant named: what is stored and compared.
    pub body: Value,
    /// Where it was read, if it was.
    source: Source,
}

/// Where a document was read.
#[derive(Debug, Clone)]
struct Source {
    /// The file, or for a stored document what it is.
    file: String,
    /// The document with its places; `None` for a stored document.
    tree: Option<Arc<Tree>>,
}

/// New documents, and what the tenant is once they are in force.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The documents in the files.
    pub documents: Vec<Document>,
    /// The tenant.
    pub tenant: Tenant,
}

impl Document {
    /// Takes the [`body`](Self::body) of a document that was stored.
    ///
    /// # Errors
    /// A finding without a line if kind, name or tenant are missing.
    pub fn stored(body: Value) -> Result<Self, Finding> {
        let text = |pointer| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let kind = text("/kind").and_then(|kind| kind.parse::<Kind>().ok());
        let (Some(kind), Some(name), Some(namespace)) = (kind, text("/metadata/name"), text("/metadata/namespace")) else {
            let message = "a stored document has no kind, name or namespace that is known".into();
            return Err(read::about_file("(stored)", message, "apply the document again"));
        };
        let source = Source { file: format!("{kind}/{name} (stored)"), tree: None };
        Ok(Self { kind, name, namespace, body, source })
    }

    /// Says what is wrong with the value at a JSON pointer, for rules that only the caller knows.
    pub fn finding(&self, pointer: &str, message: String, hint: String) -> Finding {
        self.source.finding(pointer, self.source.place_of(pointer), Wrong { message, hint: Some(hint) })
    }

    /// The file that the document was read from; for a stored one, what it is.
    pub fn file(&self) -> &str {
        &self.source.file
    }
}

impl Source {
    fn place_of(&self, pointer: &str) -> Place {
        self.tree.as_ref().map_or_else(Place::default, |tree| tree.place_of(pointer))
    }

    fn place_of_key(&self, pointer: &str) -> Place {
        self.tree.as_ref().map_or_else(Place::default, |tree| tree.place_of_key(pointer))
    }

    fn finding(&self, pointer: &str, at: Place, wrong: Wrong) -> Finding {
        Finding {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            path: clipped(pointer.to_owned()),
            message: wrong.message,
            hint: wrong.hint,
        }
    }
}

/// Reads files, and checks each document by itself.
///
/// # Errors
/// Everything that is wrong, in the order of the files.
pub fn load(files: &[File], tenant: &TenantName) -> Result<Loaded, Vec<Finding>> {
    let Drafts { drafts, findings, .. } = drafts(files, tenant);
    if findings.is_empty() {
        Ok(Loaded { documents: drafts.into_iter().map(|draft| draft.document).collect() })
    } else {
        Err(in_order(findings, files))
    }
}

/// Puts the documents of one tenant together, and checks what they say about one another.
///
/// # Errors
/// Everything that does not fit. Findings about documents that were stored have no line.
pub fn assemble(tenant: &TenantName, loaded: &Loaded) -> Result<Tenant, Vec<Finding>> {
    let (drafts, mut findings) = draft::all(loaded.documents.iter().cloned());
    let assembled = assemble::assemble(tenant, &drafts, false, &mut findings);
    if findings.is_empty() { Ok(assembled) } else { Err(in_order(findings, &[])) }
}

/// [`load`] and [`assemble`] in one, so that all errors come at once: what `tegata apply` asks for.
///
/// A document in `files` takes the place of the one in `stored` that has the same kind and name.
///
/// # Errors
/// Everything that is wrong or does not fit, in the order of the files.
pub fn check(files: &[File], tenant: &TenantName, stored: &[Document]) -> Result<Checked, Vec<Finding>> {
    let Drafts { mut drafts, mut findings, is_broken } = drafts(files, tenant);
    let new: BTreeSet<(Kind, &str)> = drafts.iter().map(|draft| (draft.document.kind, draft.document.name.as_str())).collect();
    let kept: Vec<Document> = stored.iter().filter(|old| !new.contains(&(old.kind, old.name.as_str()))).cloned().collect();
    let new = drafts.len();
    let (kept, more) = draft::all(kept.into_iter());
    drafts.extend(kept);
    findings.extend(more);
    let tenant = assemble::assemble(tenant, &drafts, is_broken, &mut findings);
    if findings.is_empty() {
        drafts.truncate(new);
        Ok(Checked { documents: drafts.into_iter().map(|draft| draft.document).collect(), tenant })
    } else {
        Err(in_order(findings, files))
    }
}

/// The JSON Schema (draft 2020-12) of each kind of document, of playbooks, and of providers by which people sign in.
pub fn schemas() -> BTreeMap<&'static str, Value> {
    let policies = Kind::ALL.into_iter().map(|kind| (kind.as_str(), schema::of(kind)));
    policies.chain([(playbook::KIND, playbook::schema()), (provider::KIND, provider::schema())]).collect()
}

/// Takes a file as it lies on the disk.
///
/// # Errors
/// A finding if it is too long or not UTF-8.
pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<File, Finding> {
    if bytes.len() > FILE_MAX {
        return Err(read::about_file(name, read::too_long(bytes.len()), "split it into several files"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(File { name: name.to_owned(), text: text.to_owned() }),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = 1 + before.matches('\n').count();
            let column = 1 + before.rsplit('\n').next().map_or(0, |rest| rest.chars().count());
            let hint = "save it as UTF-8; some editors write Shift_JIS or UTF-16 instead";
            let finding = read::about_file(name, "the file is not UTF-8 text".into(), hint);
            Err(Finding { line: u32::try_from(line).unwrap_or(0), column: u32::try_from(column).unwrap_or(0), ..finding })
        }
    }
}

/// What could be read of files.
#[derive(Default)]
struct Drafts {
    drafts: Vec<Draft>,
    findings: Vec<Finding>,
    /// True if there is a document whose kind and name are not known.
    is_broken: bool,
}

fn drafts(files: &[File], tenant: &TenantName) -> Drafts {
    let mut all = Drafts::default();
    for file in files {
        let first = all.findings.len();
        let read = read::read(file, &mut all.findings);
        all.is_broken |= read.is_broken;
        for tree in read.trees {
            match draft::from_tree(&file.name, tree, tenant, &mut all.findings) {
                Some(draft) => all.drafts.push(draft),
                None => all.is_broken = true,
            }
            // Sorted and counted later; until then a file is not to become a memory full of findings.
            all.findings.truncate(first + FINDINGS_MAX + 1);
        }
        all.findings.truncate(first + FINDINGS_MAX + 1);
        if all.findings.len() > FINDINGS_OF_ALL_MAX {
            // Nobody reads on, and nothing is applied: the files behind are not looked at.
            all.is_broken = true;
            break;
        }
    }
    all
}

/// The longest JSON pointer that is shown, in bytes, give or take a character.
const POINTER_MAX: usize = 1000;

/// A JSON pointer that people can read: of one that is endless, the beginning and the end.
fn clipped(pointer: String) -> String {
    if pointer.len() <= POINTER_MAX {
        return pointer;
    }
    let (from, to) = (pointer.floor_char_boundary(POINTER_MAX / 2), pointer.ceil_char_boundary(pointer.len() - POINTER_MAX / 2));
    format!("{}…{}", &pointer[..from], &pointer[to..])
}

fn by_place(finding: &Finding) -> (&str, u32, u32, &str, &str) {
    (&finding.file, finding.line, finding.column, &finding.path, &finding.message)
}

/// Sorts findings by file and place, drops those said twice, and keeps a bounded number for each file.
fn in_order(mut findings: Vec<Finding>, files: &[File]) -> Vec<Finding> {
    let ranks: BTreeMap<&str, usize> = files.iter().enumerate().rev().map(|(rank, file)| (&file.name[..], rank)).collect();
    let rank = |finding: &Finding| ranks.get(&finding.file[..]).copied().unwrap_or(files.len());
    findings.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| by_place(one).cmp(&by_place(other))));
    findings.dedup();
    let mut kept: Vec<Finding> = Vec::new();
    for of_one_file in findings.chunk_by(|one, next| one.file == next.file) {
        kept.extend(of_one_file.iter().take(FINDINGS_MAX).cloned());
        if of_one_file.len() > FINDINGS_MAX {
            let message = format!("there are more than {FINDINGS_MAX} errors in this file; the others are not shown");
            kept.push(read::about_file(&of_one_file[0].file, message, "correct these first"));
        }
    }
    kept
}
