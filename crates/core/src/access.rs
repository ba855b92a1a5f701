//! Who may do what: rights, the roles that are tables of them, and the bindings that give roles to people and programs.
//!
//! Whoever no binding names may do nothing. Each route of the server names the one [`Right`] that it needs.

use std::collections::BTreeSet;

use crate::name::{BindingName, ClinicName, TokenName};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// One thing that somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// See clinics, devices, certificates, what is planned, what expires and who was told.
    ReadFleet,
    /// See the documents in force and who may do what, and what documents would change.
    ReadPolicy,
    /// Read and take away the audit log.
    ReadAudit,
    /// Have a certificate replaced by one that says the same.
    Renew,
    /// Let devices in: codes, and what is carried by hand to a device and back.
    Enroll,
    /// Revoke one certificate, or cut off one device.
    Revoke,
    /// Revoke many certificates at once.
    RevokeMany,
    /// Bring in what vendors issue: files, applications, and that they were dealt with.
    Import,
    /// Read what is sealed to the clinic's own keys: backups and PINs. What is read is still sealed.
    ReadSealed,
    /// Agree to what somebody else has asked for.
    Approve,
    /// Carry out playbooks, and say which host keys are believed.
    RunPlaybooks,
    /// Change what policy says: which certificates there are, what is in them, and who may do what.
    ChangePolicy,
    /// Make, list and revoke tokens.
    ManageTokens,
    /// See the keys that webhooks are signed with, and change them.
    ReadKeys,
    /// Erase texts of audit records that may name a person.
    EraseTexts,
    /// End the pause after the database was put back.
    Recover,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 16] = [
        Self::ReadFleet,
        Self::ReadPolicy,
        Self::ReadAudit,
        Self::Renew,
        Self::Enroll,
        Self::Revoke,
        Self::RevokeMany,
        Self::Import,
        Self::ReadSealed,
        Self::Approve,
        Self::RunPlaybooks,
        Self::ChangePolicy,
        Self::ManageTokens,
        Self::ReadKeys,
        Self::EraseTexts,
        Self::Recover,
    ];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadFleet => "read-fleet",
            Self::ReadPolicy => "read-policy",
            Self::ReadAudit => "read-audit",
            Self::Renew => "renew",
            Self::Enroll => "enroll",
            Self::Revoke => "revoke",
            Self::RevokeMany => "revoke-many",
            Self::Import => "import",
            Self::ReadSealed => "read-sealed",
            Self::Approve => "approve",
            Self::RunPlaybooks => "run-playbooks",
            Self::ChangePolicy => "change-policy",
            Self::ManageTokens => "manage-tokens",
            Self::ReadKeys => "read-keys",
            Self::EraseTexts => "erase-texts",
            Self::Recover => "recover",
        }
    }
}

/// A table of rights that people know by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees, and changes nothing.
    Viewer,
    /// Carries out what policy says: renewing, enrolling, revoking, bringing files in. Does not change what policy says.
    Operator,
    /// Says what policy says, and who may do what.
    Admin,
    /// Reads everything there is to read in a tenant, for a time. Each of its reads is a record.
    Auditor,
}

use Right::{
    Approve, ChangePolicy, Enroll, EraseTexts, Import, ManageTokens, ReadAudit, ReadFleet, ReadKeys, ReadPolicy, ReadSealed, Renew, Revoke,
    RevokeMany, RunPlaybooks,
};

const VIEWER: &[Right] = &[ReadFleet, ReadPolicy];
const AUDITOR: &[Right] = &[ReadFleet, ReadPolicy, ReadAudit];
const OPERATOR: &[Right] = &[ReadFleet, ReadPolicy, ReadAudit, Renew, Enroll, Revoke, Import, ReadSealed, Approve, RunPlaybooks];
const ADMIN: &[Right] = &[
    ReadFleet,
    ReadPolicy,
    ReadAudit,
    Renew,
    Enroll,
    Revoke,
    RevokeMany,
    Import,
    ReadSealed,
    Approve,
    RunPlaybooks,
    ChangePolicy,
    ManageTokens,
    ReadKeys,
    EraseTexts,
];

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Admin, Self::Auditor];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    /// What whoever has it may do. [`Right::Recover`] is nobody's by a role: only owners of the installation have it.
    pub const fn rights(self) -> &'static [Right] {
        match self {
            Self::Viewer => VIEWER,
            Self::Operator => OPERATOR,
            Self::Admin => ADMIN,
            Self::Auditor => AUDITOR,
        }
    }

    /// True if whoever has it may do this.
    pub fn may(self, right: Right) -> bool {
        self.rights().contains(&right)
    }
}

/// Whom a binding names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Whoever holds a token of this name.
    Token(TokenName),
    /// The person whom an OpenID provider calls so: `iss` and `sub`, which never change hands, unlike mail addresses.
    Login {
        /// The provider's address, exactly as it stands in its tokens.
        issuer: String,
        /// The person.
        subject: String,
    },
    /// Everybody whom an OpenID provider has in this group: its immutable id, never its name.
    Group {
        /// The provider's address, exactly as it stands in its tokens.
        issuer: String,
        /// The group.
        group: String,
    },
}

/// Where somebody may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In the whole tenant.
    Tenant,
    /// In these clinics only. What belongs to the tenant as a whole is out of reach.
    Clinics(BTreeSet<ClinicName>),
}

impl Scope {
    /// True if this clinic is in it.
    pub fn holds(&self, clinic: &ClinicName) -> bool {
        match self {
            Self::Tenant => true,
            Self::Clinics(clinics) => clinics.contains(clinic),
        }
    }

    fn and(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Clinics(mut own), Self::Clinics(more)) => {
                own.extend(more.iter().cloned());
                Self::Clinics(own)
            }
            _ => Self::Tenant,
        }
    }
}

/// Gives a role to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessBinding {
    /// Its name.
    pub name: BindingName,
    /// Who.
    pub subject: Subject,
    /// May do what.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// The last moment that it counts; `None`: until it is taken away.
    pub not_after: Option<Timestamp>,
    /// How many devices one act may reach without somebody else's word; `None`: any number.
    pub alone: Option<u32>,
}

impl AccessBinding {
    /// True while it counts.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.not_after.is_none_or(|last| now <= last)
    }

    /// True if it alone keeps a tenant manageable: an admin of all of it, without end.
    pub fn is_lasting_admin(&self) -> bool {
        self.role == Role::Admin && self.scope == Scope::Tenant && self.not_after.is_none()
    }

    fn names(&self, who: &Person<'_>) -> bool {
        match (&self.subject, who) {
            (Subject::Token(name), Person::Token(own)) => name == *own,
            (Subject::Login { issuer, subject }, Person::Login(login)) => *issuer == login.issuer && *subject == login.subject,
            (Subject::Group { issuer, group }, Person::Login(login)) => *issuer == login.issuer && login.groups.contains(group),
            _ => false,
        }
    }
}

/// Who an OpenID provider says that somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The provider.
    pub issuer: String,
    /// The person, as the provider calls them.
    pub subject: String,
    /// The ids of the groups that they are in.
    pub groups: BTreeSet<String>,
}

impl Login {
    /// What the log calls them: `login:<issuer>#<subject>`. An issuer has no `#`, so no two people are called the same, whichever session they are in.
    pub fn actor(&self) -> String {
        format!("login:{}#{}", self.issuer, self.subject)
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Person<'a> {
    /// The holder of a token of this name.
    Token(&'a TokenName),
    /// Somebody who has signed in.
    Login(&'a Login),
}

/// How far a right reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Where.
    pub scope: Scope,
    /// True if nobody but an auditor may do it so: that it was done is put on record.
    pub as_auditor: bool,
    /// How many devices one act may reach without somebody else's word; `None`: any number.
    pub alone: Option<u32>,
}

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// No binding in force names them.
    Stranger,
    /// They have these roles, and none of them has the right.
    Lacks(BTreeSet<Role>),
}

/// True if a binding in force names them.
pub fn is_known<'a>(bindings: impl IntoIterator<Item = &'a AccessBinding>, who: &Person<'_>, now: Timestamp) -> bool {
    bindings.into_iter().any(|binding| binding.names(who) && binding.is_in_force(now))
}

/// How far somebody's right reaches, by all bindings together.
///
/// # Errors
/// [`Denied`] if they do not have it anywhere.
pub fn reach<'a>(
    bindings: impl IntoIterator<Item = &'a AccessBinding>,
    who: &Person<'_>,
    right: Right,
    now: Timestamp,
) -> Result<Reach, Denied> {
    let theirs: Vec<&AccessBinding> = bindings.into_iter().filter(|binding| binding.names(who) && binding.is_in_force(now)).collect();
    let mut giving = theirs.iter().filter(|binding| binding.role.may(right));
    let Some(first) = giving.next() else {
        let roles: BTreeSet<Role> = theirs.iter().map(|binding| binding.role).collect();
        return Err(if roles.is_empty() { Denied::Stranger } else { Denied::Lacks(roles) });
    };
    let reach = Reach { scope: first.scope.clone(), as_auditor: first.role == Role::Auditor, alone: first.alone };
    Ok(giving.fold(reach, |reach, binding| Reach {
        scope: reach.scope.and(&binding.scope),
        as_auditor: reach.as_auditor && binding.role == Role::Auditor,
        alone: reach.alone.zip(binding.alone).map(|(one, other)| one.max(other)),
    }))
}
