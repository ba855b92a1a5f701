//! Where sealed backups are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgeRecipient, Name, Span};

/// Where sealed backups are kept. Exactly one of `directory`, `sftp` and `s3`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupTargetSpec {
    /// A folder on the server's machine, or below a mounted share: one that is not there while nothing is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
    /// A server reached by SFTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sftp: Option<Sftp>,
    /// An S3-compatible bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// Who can open the backups: at least one age key. Nobody else can, not even the server.
    #[schemars(length(max = 20))]
    pub recipients: Vec<AgeRecipient>,
    /// How many of them it takes to open a backup, at least 2 and fewer than there are: one lost key then loses nothing, and one stolen key
    /// opens nothing. All targets of a clinic name the same keys then. Left out: each key opens it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u8>,
    /// How long a backup is kept after its certificate expired.
    pub retention: Span,
    /// How often every copy is read back and compared. Left out: every seven days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
}

/// A folder on the server's machine or a mounted share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Directory {
    /// Its absolute path.
    pub path: String,
    /// A file in it that you make, once, on the share itself: where it is missing, nothing is written. Left out: the server makes one,
    /// `.tegata-backups`, when it first writes there, and from then on writes nothing where that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
}

/// A server reached by SFTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sftp {
    /// Host name or address.
    pub host: String,
    /// TCP port. Left out: 22.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// The login name.
    pub user: String,
    /// The server's key as in `known_hosts`: algorithm and base64. Any other key is refused.
    pub host_key: String,
    /// The folder there, an absolute path.
    pub path: String,
}

/// An S3-compatible bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3 {
    /// The service's address (`https://…`), if it is not Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What object names begin with. Left out: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// True if the bucket's name stands in the path of addresses, not in the host. Left out: true where `endpoint` is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// The only authorities whose servers are believed, in PEM. Left out: those that the server's operating system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The section of the file that the server was started with (`--backup-credentials`). Left out: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Name>,
}

/// How often copies are read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drill {
    /// How often.
    pub every: Span,
    /// How often a person has to open every copy with `tegata backup drill`; one that nobody opened for so long counts no more. Left out: nobody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_every: Option<Span>,
}
