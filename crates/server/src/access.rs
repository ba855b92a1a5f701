//! Whether somebody may do what they ask for, and where; and the record of what auditors read and of what was refused.
//!
//! What a right is, and who has it, is `tegata_core::access`. This is called at one place: the door of the routes, `crate::http::access`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tegata_api::v1::access::Binding;
use tegata_api::v1::audit::Stage;
use tegata_core::access::{AccessBinding, Denied, Person, Reach, Right, Scope, Subject, reach};
use tegata_core::name::TenantName;
use tegata_core::time::{HOUR, Timestamp};

use crate::audit::Ledger;
use crate::policy::PolicyError;
use crate::sign_in::SignIn;
use crate::store::access::TokenRow;
use crate::store::sessions::SessionRow;
use crate::store::{Batch, NewRecord, StoreError};
use crate::{sessions, tokens};

/// The action of a record that says what an auditor read.
pub const READ: &str = "access.read";
/// The action of a record that says what somebody asked for and has no right to.
pub const REFUSE: &str = "access.refuse";

/// For how long the same thing by the same person is not put on record again.
const TOLD_FOR: Duration = HOUR;
/// So many different things are remembered; beyond that, each is put on record.
const TOLD_MAX: usize = 10_000;

/// Why somebody may not.
#[derive(Debug)]
pub enum AccessError {
    /// They are of another tenant, for which this one is not there.
    Elsewhere,
    /// No binding gives them the right.
    Denied(Denied),
    /// What policy says cannot be had.
    Policy(PolicyError),
}

/// Who shows a bearer token.
#[derive(Debug, Clone)]
pub enum Holder {
    /// Whoever was given it.
    Token(TokenRow),
    /// Somebody who has signed in.
    Session(SessionRow),
}

impl Holder {
    /// Finds whom a bearer token belongs to, if it is worth anything now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn of(ledger: &Ledger, sign_in: &SignIn, bearer: &str, now: Timestamp) -> Result<Option<Self>, StoreError> {
        if bearer.starts_with(sessions::PREFIX) {
            let session = sessions::holder(ledger, bearer, now).await?;
            return Ok(session.filter(|row| sign_in.serves(&row.tenant, &row.login.issuer)).map(Self::Session));
        }
        Ok(tokens::holder(ledger, bearer, now).await?.map(Self::Token))
    }

    /// Who, as the log calls them: the same person in two sessions is one.
    pub fn actor(&self) -> String {
        match self {
            Self::Token(row) => format!("person:{}", row.name),
            Self::Session(row) => row.login.actor(),
        }
    }

    /// How far a right reaches for them, by the bindings that are in force now.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn reach(&self, ledger: &Ledger, tenant: &TenantName, right: Right, now: Timestamp) -> Result<Reach, AccessError> {
        let (own, person) = match self {
            Self::Token(TokenRow { tenant: None, .. }) => return Ok(Reach { scope: Scope::Tenant, as_auditor: false, alone: None }),
            Self::Token(row @ TokenRow { tenant: Some(own), .. }) => (own, Person::Token(&row.name)),
            Self::Session(row) => (&row.tenant, Person::Login(&row.login)),
        };
        if own != tenant {
            return Err(AccessError::Elsewhere);
        }
        let policy = ledger.policy(tenant).await.map_err(AccessError::Policy)?;
        reach(policy.bindings.values(), &person, right, now).map_err(AccessError::Denied)
    }
}

/// What is on record about who read and who was refused, so that it is not said twice within the hour.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<(i64, HashSet<String>)>>);

impl Told {
    /// Puts on record that an auditor read something.
    ///
    /// # Errors
    /// If the database fails: then nothing is to be read.
    pub async fn read(&self, ledger: &Ledger, who: (&TenantName, &str), path: &str, now: Timestamp) -> Result<(), StoreError> {
        self.note(ledger, who, READ, (path, json!({ "what": path })), now).await
    }

    /// Puts on record that somebody who is known asked for what they have no right to.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refused(&self, ledger: &Ledger, who: (&TenantName, &str), right: Right, now: Timestamp) -> Result<(), StoreError> {
        self.note(ledger, who, REFUSE, (right.as_str(), json!({ "right": right.as_str() })), now).await
    }

    async fn note(
        &self,
        ledger: &Ledger,
        (tenant, actor): (&TenantName, &str),
        action: &'static str,
        (object, details): (&str, Value),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let key = format!("{tenant}\0{actor}\0{action}\0{object}");
        if self.knows(&key, at) {
            return Ok(());
        }
        let (actor, object) = (actor.to_owned(), "access".to_owned());
        let record = NewRecord { tenant: tenant.clone(), at, stage: Stage::Done, actor, action, object, details };
        ledger.record((), Batch { records: vec![record], changes: vec![] }).await?;
        self.remember(key);
        Ok(())
    }

    fn knows(&self, key: &str, at: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = at.unix().div_euclid(TOLD_FOR.as_secs().cast_signed());
        if told.0 != hour {
            *told = (hour, HashSet::new());
        }
        told.1.contains(key)
    }

    fn remember(&self, key: String) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.1.len() < TOLD_MAX {
            told.1.insert(key);
        }
    }
}

/// Who may do what in a tenant, as people see it.
///
/// # Errors
/// If what policy says cannot be had.
pub async fn bindings(ledger: &Ledger, tenant: &TenantName, now: Timestamp) -> Result<Vec<Binding>, PolicyError> {
    let policy = ledger.policy(tenant).await?;
    Ok(policy.bindings.values().map(|binding| view(binding, now)).collect())
}

fn view(binding: &AccessBinding, now: Timestamp) -> Binding {
    let clinics = match &binding.scope {
        Scope::Tenant => None,
        Scope::Clinics(clinics) => Some(clinics.iter().map(ToString::to_string).collect()),
    };
    Binding {
        name: binding.name.to_string(),
        subject: subject(&binding.subject),
        role: binding.role.as_str().to_owned(),
        rights: binding.role.rights().iter().map(|right| right.as_str().to_owned()).collect(),
        clinics,
        not_after: binding.not_after.map(Timestamp::unix),
        alone: binding.alone,
        in_force: binding.is_in_force(now),
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Token(name) => format!("token {name}"),
        Subject::Login { issuer, subject } => format!("{subject} of {issuer}"),
        Subject::Group { issuer, group } => format!("group {group} of {issuer}"),
    }
}
