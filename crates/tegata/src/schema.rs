//! `tegata schema`: the JSON Schemas of policy documents, for editors and pipelines.

use clap::Args;
use tegata_api::yaml;

use crate::failure::{Exit, Failure};
use crate::output;

/// Print the JSON Schema of policy documents, for editors that complete and check
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata schema ClinicNetwork > clinic.schema.json")]
pub struct Schema {
    /// The kind, such as ClinicNetwork; without it, one object that holds the schema of every kind
    kind: Option<String>,
}

impl Schema {
    /// Prints it.
    pub fn run(self) -> Result<Exit, Failure> {
        let schemas = yaml::schemas();
        let text = match self.kind {
            None => output::json(&schemas)?,
            Some(kind) => match schemas.get(kind.as_str()) {
                Some(schema) => output::json(schema)?,
                None => return Err(Failure::UnknownKind { kind, kinds: schemas.into_keys().map(str::to_owned).collect() }),
            },
        };
        output::print(&text)?;
        Ok(Exit::Fine)
    }
}
