//! Who may do what, and the tokens by which people and programs are known.

use serde::{Deserialize, Serialize};

/// A binding as it counts now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// Whom it names, in words.
    pub subject: String,
    /// The role that it gives.
    pub role: String,
    /// The rights of that role.
    pub rights: Vec<String>,
    /// The clinics that it reaches; none is named if it reaches the whole tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinics: Option<Vec<String>>,
    /// The last moment that it counts, in seconds since 1970, if it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
    /// How many devices one act may reach without somebody else's word; any number, if this is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<u32>,
    /// Whether it counts now.
    pub in_force: bool,
}

/// Asks for a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRequest {
    /// What its holder is called in bindings and in the log: 1 to 63 of a-z, 0-9 and '-'.
    pub name: String,
    /// How long it lives, in seconds: an hour at least, 366 days at most.
    pub life: u64,
}

/// A token, the only time that it can be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenMade {
    /// What is known of it from now on.
    #[serde(flatten)]
    pub about: Token,
    /// The token.
    pub token: String,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Its public part.
    pub id: String,
    /// What its holder is called.
    pub name: String,
    /// When it was made, in seconds since 1970; 0 if that is not known any more.
    pub created_at: i64,
    /// By whom.
    pub created_by: String,
    /// From when on it is worth nothing; never, if this is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// `in-force`, `expired` or `revoked`.
    pub state: String,
}

/// Something that takes two people, and that somebody has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// What it is agreed to by.
    pub id: String,
    /// `read-backup`, `apply`, `revoke-many` or `make-token`.
    pub what: String,
    /// To what, exactly: a slot, the SHA-256 of the request, or the token's name and life.
    pub object: String,
    /// How many devices it reaches.
    pub devices: u64,
    /// Who asked.
    pub asked_by: String,
    /// Until when somebody else may agree, and whoever asked may do it, in seconds since 1970.
    pub expires_at: i64,
    /// Who agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}
