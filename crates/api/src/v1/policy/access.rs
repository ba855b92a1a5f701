//! Who may do what.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Name, Url};

/// Gives somebody a role. Whom no binding names may do nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessBindingSpec {
    /// Who.
    pub subject: AccessSubject,
    /// May do what.
    pub role: AccessRole,
    /// In which clinics. Left out: in the whole tenant, and with what belongs to none of its clinics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinics: Option<ClinicSelector>,
    /// The last moment that it counts, such as `2027-03-31T18:00:00+09:00`. An auditor's binding needs one; any other counts until it is
    /// taken away, if this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// How many devices one act may reach without somebody else's word: documents that are applied, certificates that are revoked together. With it,
    /// documents that say who may do what, and tokens, always take two people. Left out: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<u32>,
}

/// Who: a token, a person of an OpenID provider, or a group of one. Mail addresses and names of groups change hands, so neither is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessSubject {
    /// Whoever holds a token of this name (`tegata token create`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Name>,
    /// The provider's address, exactly as it stands in its tokens (`iss`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Url>,
    /// The person, as the provider's tokens call them (`sub`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub subject: Option<String>,
    /// The immutable id of a group, as the provider's tokens list it (`groups`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub group: Option<String>,
}

/// A table of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessRole {
    /// Sees, and changes nothing.
    Viewer,
    /// Carries out what policy says: renews, enrols, revokes, brings files in.
    Operator,
    /// Says what policy says, and who may do what.
    Admin,
    /// Reads everything, for a time; each read is on record.
    Auditor,
}

/// Which clinics are meant: by name or by labels, not both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClinicSelector {
    /// These.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<Name>>,
    /// Those whose documents carry all of these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_labels: Option<BTreeMap<String, String>>,
}
