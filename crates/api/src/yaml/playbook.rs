//! Reads playbooks by the same door as policies: bounds, syntax, schema, everything that is wrong at once.

use std::sync::{Arc, LazyLock};

use jsonschema::Validator;
use serde_json::Value;

use super::draft::of_one_kind;
use super::gather::Wrong;
use super::schema::{self, compiled};
use super::tree::Tree;
use super::{Source, in_order, read};
use crate::v1::fleet::File;
use crate::v1::playbook::PlaybookSpec;
use crate::v1::policy::Envelope;
use crate::v1::problem::Finding;

/// What stands after `kind:`.
pub(super) const KIND: &str = "Playbook";

/// A playbook as it was read.
#[derive(Debug, Clone)]
pub struct PlaybookDocument {
    /// Its name.
    pub name: String,
    /// What it says.
    pub spec: PlaybookSpec,
    source: Source,
}

impl PlaybookDocument {
    /// Says what is wrong with the value at a JSON pointer, for rules that only the caller knows.
    pub fn finding(&self, pointer: &str, message: String, hint: String) -> Finding {
        self.source.finding(pointer, self.source.place_of(pointer), Wrong { message, hint: Some(hint) })
    }
}

/// Reads the playbook of a file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn playbook(file: &File) -> Result<PlaybookDocument, Vec<Finding>> {
    let mut findings = Vec::new();
    let read = read::read(file, &mut findings);
    let mut read_one = None;
    for (index, tree) in read.trees.into_iter().enumerate() {
        if index == 1 {
            let message = "there is more than one document in this file".into();
            findings.push(read::about_file(&file.name, message, "give each playbook a file of its own"));
        }
        read_one = read_one.or(from_tree(&file.name, tree, &mut findings));
    }
    match read_one {
        Some(document) if findings.is_empty() => Ok(document),
        _ => Err(in_order(findings, std::slice::from_ref(file))),
    }
}

fn from_tree(file: &str, tree: Tree, findings: &mut Vec<Finding>) -> Option<PlaybookDocument> {
    let body = tree.value();
    let source = Source { file: file.to_owned(), tree: Some(Arc::new(tree)) };
    let read = match of_one_kind::<PlaybookSpec>((KIND, &COMPILED), &source, &body) {
        Ok(read) => read,
        Err(mut found) => {
            findings.append(&mut found);
            return None;
        }
    };
    let Envelope { metadata, spec, .. } = read;
    Some(PlaybookDocument { name: metadata.name.0, spec, source })
}

/// The JSON Schema of playbooks.
pub(super) fn schema() -> Value {
    COMPILED.0.clone()
}

static COMPILED: LazyLock<(Value, Validator)> = LazyLock::new(|| compiled(schema::generated::<PlaybookSpec>(KIND)));
