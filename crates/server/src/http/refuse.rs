//! How the server says no: the one place where errors become HTTP statuses and problem documents (RFC 9457).

use std::any::Any;
use std::collections::BTreeSet;
use std::error::Error;

use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use tegata_api::v1::bundle::BundleFault;
use tegata_api::v1::problem::{Code, Problem};
use tegata_core::access::{Denied, Right};
use tegata_core::name::ClinicName;
use tegata_core::time::Timestamp;

use crate::approvals::ApprovalError;
use crate::asks::AskError;
use crate::backup::fetch::BackupError;
use crate::enroll::{CodeError, EnrollError};
use crate::issuers::authorities::AuthorityError;
use crate::issuers::order::IssueError;
use crate::notify::keys::SecretError;
use crate::offline::{OfflineError, PartError};
use crate::policy::{ApplyError, PolicyError};
use crate::portal::PortalError;
use crate::portal::renewal::Denial;
use crate::portal::words;
use crate::receipts::ReceiptError;
use crate::recovery::RecoverError;
use crate::sign_in::SignInError;
use crate::store::StoreError;
use crate::telemetry::TelemetryError;
use crate::tokens::TokenError;
use crate::turn::TurnError;
use crate::vendor::VendorError;

/// A refusal on its way out.
#[derive(Debug)]
pub struct Refusal {
    problem: Box<Problem>,
    /// For the server's own log.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Refusal {
    fn new(code: Code, title: &str) -> Self {
        let problem = Problem {
            status: status(code).as_u16(),
            code,
            title: title.to_owned(),
            detail: None,
            retry_after: None,
            findings: vec![],
            locked_out: vec![],
            faults: vec![],
            over_quota: vec![],
        };
        Self { problem: Box::new(problem), cause: None }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.problem.detail = Some(detail.into());
        self
    }

    fn status(mut self, status: StatusCode) -> Self {
        self.problem.status = status.as_u16();
        self
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.problem.retry_after = Some(seconds);
        self
    }

    /// What is said, for an answer of which only a part was refused.
    pub fn into_problem(self) -> Problem {
        self.log();
        *self.problem
    }

    fn log(&self) {
        if let Some(cause) = &self.cause {
            tracing::error!(cause = %chain(&**cause), "a request failed");
        }
    }

    /// The server has failed.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let refusal = Self::new(Code::Internal, "the server has failed").detail("the cause is in the server's log").retry_after(30);
        Self { cause: Some(Box::new(cause)), ..refusal }
    }

    /// There is no such thing, or none that the caller may know of: always the same words.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "there is no such thing")
    }

    /// No credentials, or none that are accepted.
    pub fn unauthorized() -> Self {
        Self::new(Code::Unauthorized, "not known here")
            .detail("people need a bearer token, devices the identity certificate of their enrolment")
    }

    /// Somebody who is known, without the right.
    pub fn no_right(right: Right, denied: &Denied) -> Self {
        let has = match denied {
            Denied::Stranger => "no AccessBinding in force names you".to_owned(),
            Denied::Lacks(roles) => {
                let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
                format!("your AccessBindings make you {}", roles.join(" and "))
            }
        };
        let detail = format!("it takes the right '{}', and {has}; ask an admin of the tenant", right.as_str());
        Self::new(Code::Forbidden, "you may not do that").detail(detail)
    }

    /// Somebody who has the right in some clinics, and asks for the whole tenant.
    pub fn too_narrow(right: Right, clinics: &BTreeSet<ClinicName>) -> Self {
        let clinics: Vec<&str> = clinics.iter().map(ClinicName::as_str).collect();
        let detail = format!("it concerns the whole tenant, and you have the right '{}' in {} only", right.as_str(), clinics.join(", "));
        Self::new(Code::Forbidden, "you may not do that").detail(detail)
    }

    /// Nobody has vouched for the tenant's log for too long to do this.
    pub fn unwitnessed(since: Timestamp) -> Self {
        let detail = format!(
            "no quorum of witnesses has vouched for it since {since}, and this waits for them; certificates go on being renewed, and \
             single ones and devices can be revoked: see `tegata audit witnesses`"
        );
        Self::new(Code::Busy, "the audit log is without its witnesses").detail(detail).retry_after(60)
    }

    /// The request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, "the request cannot be read").detail(detail)
    }

    /// The tenant is the installation's own.
    pub fn reserved(tenant: &str) -> Self {
        Self::new(Code::Forbidden, "this tenant takes no documents")
            .detail(format!("'{tenant}' is reserved for the server's own log; choose another tenant name"))
    }

    /// The path exists, but not for this method.
    pub fn wrong_method() -> Self {
        Self::malformed("this path does not take this method").status(StatusCode::METHOD_NOT_ALLOWED)
    }

    /// A page asks for something that it was not given.
    pub fn broken_page() -> Self {
        Self::new(Code::Internal, "the server has failed").detail("the cause is in the server's log")
    }

    /// The request took too long.
    pub fn too_slow() -> Self {
        Self::new(Code::Busy, "the request took too long").detail("send it again").retry_after(5)
    }
}

/// The HTTP status of a page that says what went wrong.
pub fn page_status(error: &PortalError) -> StatusCode {
    match error {
        PortalError::Unknown | PortalError::NoCertificate => StatusCode::NOT_FOUND,
        PortalError::SignedOut => StatusCode::UNAUTHORIZED,
        PortalError::Forged | PortalError::WrongCode(_) | PortalError::SpentCode | PortalError::ExpiredCode => StatusCode::FORBIDDEN,
        PortalError::MemoTaken | PortalError::Full { .. } | PortalError::Revoked | PortalError::Followed => StatusCode::CONFLICT,
        PortalError::ClockOff(_)
        | PortalError::NotAnAddress
        | PortalError::NotACode
        | PortalError::NoMemo
        | PortalError::UnreadableMemo
        | PortalError::BadLabel => StatusCode::UNPROCESSABLE_ENTITY,
        PortalError::NoMail | PortalError::Busy | PortalError::Store(StoreError::Recovering) => StatusCode::SERVICE_UNAVAILABLE,
        PortalError::Authority(_) | PortalError::Key(_) | PortalError::Policy(_) | PortalError::Store(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// The certificate that was shown is not renewed, in the words that ORCAMO's clients know.
pub fn not_permitted(denial: Denial) -> axum::response::Response {
    (StatusCode::FORBIDDEN, [(CONTENT_TYPE, "text/plain; charset=utf-8")], words::denial(denial)).into_response()
}

/// Nothing is renewed for the moment, in the words that ORCAMO's clients know.
pub fn maintenance() -> axum::response::Response {
    let text =
        "MAINTENANCE\n今は更新できません。しばらくしてからお試しください。\nNothing can be renewed now. Please try again in a while.\n";
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (RETRY_AFTER, "60")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
}

/// The HTTP status of each code, where nothing more particular is known.
fn status(code: Code) -> StatusCode {
    match code {
        Code::Malformed => StatusCode::BAD_REQUEST,
        Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::CodeRefused | Code::NeedsApproval => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::OrderClosed | Code::WouldLockOut | Code::OverQuota | Code::Conflict => StatusCode::CONFLICT,
        Code::RequestRefused | Code::BundleRefused | Code::InvalidDocuments => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> axum::response::Response {
        self.log();
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).expect("a problem holds only texts and numbers");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.problem.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// An error and all that caused it, once each.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// A handler panicked. What it said stays in the server's log, where the panic hook has written it.
pub fn panicked(_what: Box<dyn Any + Send + 'static>) -> axum::response::Response {
    Refusal::new(Code::Internal, "the server has failed").detail("the cause is in the server's log").into_response()
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => {
                Self::new(Code::Conflict, "the state has changed meanwhile").detail("look again, and try again").retry_after(1)
            }
            StoreError::Recovering => Self::new(Code::Busy, "the server was put back from a backup, and nothing is given out yet")
                .detail("whoever runs it says `tegata state recover --note …` once it is known what was lost")
                .retry_after(60),
            error @ StoreError::Away(_) => {
                let refusal = Self::new(Code::Busy, "the database does not answer at the moment").retry_after(5);
                Self { cause: Some(Box::new(error)), ..refusal }
            }
            error => Self::internal(error),
        }
    }
}

impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Store(error) => error.into(),
            error @ PolicyError::Stored { .. } => Self::internal(error),
        }
    }
}

impl From<TurnError> for Refusal {
    fn from(error: TurnError) -> Self {
        match error {
            TurnError::Store(error) => error.into(),
            TurnError::Policy(error) => error.into(),
        }
    }
}

impl From<TelemetryError> for Refusal {
    fn from(error: TelemetryError) -> Self {
        match error {
            TelemetryError::Store(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::NotFound => Self::not_found(),
            SecretError::Shown(_) => Self::new(Code::Conflict, "the key of a webhook is shown once").detail(error.to_string()),
            SecretError::Store(error) => error.into(),
            SecretError::Policy(error) => error.into(),
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::NotFound => Self::not_found(),
            TokenError::Taken(_) => {
                Self::new(Code::Conflict, &error.to_string()).detail("the log would call two people the same; choose another name")
            }
            TokenError::Life => Self::malformed(error.to_string()),
            TokenError::Store(error) => error.into(),
        }
    }
}

impl From<SignInError> for Refusal {
    fn from(error: SignInError) -> Self {
        let not_let_in = |error: &SignInError, hint| Self::new(Code::Forbidden, "you were not signed in").detail(format!("{error}{hint}"));
        match error {
            SignInError::NotFound => Self::not_found(),
            SignInError::Which(_) | SignInError::Malformed(_) => Self::malformed(error.to_string()),
            SignInError::Stale | SignInError::Code => not_let_in(&error, "; begin anew with `tegata login`"),
            SignInError::Token(_) => not_let_in(&error, ""),
            SignInError::Unbound { .. } => not_let_in(&error, "; ask an admin of the tenant for a binding"),
            SignInError::Provider { .. } => Self::new(Code::Busy, "nobody can sign in for the moment")
                .detail(format!("{error}; whoever is signed in stays so"))
                .retry_after(30),
            SignInError::Policy(error) => error.into(),
            SignInError::Store(error) => error.into(),
        }
    }
}

impl From<ApprovalError> for Refusal {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::Needed(id) => Self::new(Code::NeedsApproval, "it takes two people to do this")
                .detail(format!("have somebody else say `tegata approve {id}` within the hour, then say this again")),
            ApprovalError::NotFound => Self::not_found(),
            ApprovalError::SamePerson => Self::new(Code::Forbidden, "whoever asked cannot agree").detail(error.to_string()),
            ApprovalError::Store(error) => error.into(),
        }
    }
}

impl From<AskError> for Refusal {
    fn from(error: AskError) -> Self {
        match error {
            AskError::NotFound(_) => Self::not_found(),
            AskError::Gone(what) => Self::new(Code::Conflict, what),
            AskError::Malformed(what) => Self::malformed(what),
            AskError::Approval(error) => error.into(),
            AskError::Store(error) => error.into(),
            AskError::Policy(error) => error.into(),
        }
    }
}

impl From<VendorError> for Refusal {
    fn from(error: VendorError) -> Self {
        match error {
            VendorError::NotFound(_) => Self::not_found(),
            VendorError::Faults(faults) => {
                let mut refusal = Self::new(Code::BundleRefused, "the file is not what policy expects").detail("nothing was kept");
                refusal.problem.faults = faults.iter().map(BundleFault::from).collect();
                refusal
            }
            VendorError::NotVendors
            | VendorError::NotEnrolled
            | VendorError::NoRecipient
            | VendorError::OnThisDevice(_)
            | VendorError::SealedToOthers
            | VendorError::LastTry
            | VendorError::Gone(_) => Self::new(Code::Conflict, &error.to_string()),
            VendorError::Malformed(what) => Self::malformed(what),
            VendorError::Unreadable(error) => Self::malformed(error.to_string()),
            VendorError::Policy(error) => error.into(),
            VendorError::Store(error) => error.into(),
        }
    }
}

impl From<BackupError> for Refusal {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::NotFound(_) => Self::not_found(),
            BackupError::Target(trouble) => {
                Self::new(Code::Busy, "the target does not give the backup").detail(tegata_api::v1::backup::said(trouble).en)
            }
            BackupError::Malformed(what) => Self::malformed(what),
            BackupError::Approval(error) => error.into(),
            BackupError::SealedToOthers => Self::new(Code::Conflict, &error.to_string()),
            BackupError::TooOften(wait) => {
                Self::new(Code::Busy, &error.to_string()).detail("send it again later").retry_after(wait.as_secs())
            }
            BackupError::Policy(error) => error.into(),
            BackupError::Store(error) => error.into(),
        }
    }
}

impl From<OfflineError> for Refusal {
    fn from(error: OfflineError) -> Self {
        match error {
            OfflineError::NotFound => Self::not_found(),
            OfflineError::NotEnrolled => Self::new(Code::Conflict, &error.to_string()),
            OfflineError::NothingYet => Self::new(Code::Busy, &error.to_string()).detail("it enrolled a moment ago").retry_after(5),
            OfflineError::Unreadable => Self::malformed(error.to_string()),
            OfflineError::NotSigned => Self::new(Code::Forbidden, "the answer is refused").detail(error.to_string()),
            OfflineError::Sign(error) => Self::internal(error),
            OfflineError::Authority(error) => error.into(),
            OfflineError::Vendor(error) => error.into(),
            OfflineError::Turn(error) => error.into(),
            OfflineError::Policy(error) => error.into(),
            OfflineError::Store(error) => error.into(),
        }
    }
}

impl From<PartError> for Refusal {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Receipt(error) => error.into(),
            PartError::Taken(error) => error.into(),
            PartError::Issue(error) => error.into(),
        }
    }
}

impl From<ApplyError> for Refusal {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Invalid(findings) => {
                let mut refusal = Self::new(Code::InvalidDocuments, "the documents have errors").detail("nothing was applied");
                refusal.problem.findings = findings;
                refusal
            }
            ApplyError::WouldLockOut(preview) => {
                let mut refusal = Self::new(Code::WouldLockOut, "devices could no longer sign in")
                    .detail("nothing was applied; if this is meant, allow that many devices to be locked out");
                refusal.problem.locked_out = preview.locked_out;
                refusal
            }
            ApplyError::OverQuota(preview) => {
                let mut refusal = Self::new(Code::OverQuota, "more certificates are asked for than an account may have")
                    .detail("nothing was applied; revoke what is not needed, or allow that many slots to wait");
                refusal.problem.over_quota = preview.over_quota;
                refusal
            }
            ApplyError::Approval(error) => error.into(),
            ApplyError::Store(error) => error.into(),
        }
    }
}

impl From<ReceiptError> for Refusal {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::Unreadable(_) => Self::malformed(error.to_string()),
            ReceiptError::NotSigned { .. } | ReceiptError::NotYours { .. } => {
                Self::new(Code::Forbidden, "the receipt is refused").detail(error.to_string())
            }
            ReceiptError::Policy(error) => error.into(),
            ReceiptError::Store(error) => error.into(),
        }
    }
}

impl From<RecoverError> for Refusal {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::NotRestored => Self::new(Code::Conflict, "there is nothing to recover from").detail(error.to_string()),
            RecoverError::NoNote => Self::malformed(error.to_string()),
            RecoverError::Store(error) => error.into(),
        }
    }
}

impl From<CodeError> for Refusal {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::NotFound => Self::not_found(),
            CodeError::Policy(error) => error.into(),
            CodeError::Store(error) => error.into(),
        }
    }
}

impl From<EnrollError> for Refusal {
    fn from(error: EnrollError) -> Self {
        match error {
            EnrollError::Refused => Self::new(Code::CodeRefused, "the code was refused").detail(
                "it is mistyped, spent, expired, used, or for another device; ask for a new one, or wait ten minutes if several new ones failed",
            ),
            EnrollError::Request(error) => Self::request_refused(error.to_string()),
            EnrollError::Key(why) => Self::request_refused(why),
            EnrollError::Sign(error) => Self::internal(error),
            EnrollError::Ask(error) => error.into(),
            EnrollError::Store(error) => error.into(),
        }
    }
}

impl From<IssueError> for Refusal {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Nobody => Self::unauthorized(),
            IssueError::NotFound => Self::not_found(),
            IssueError::Closed => Self::new(Code::OrderClosed, "the order is not open any more")
                .detail("it was taken back, or it ended in a certificate for another key; discard what was made for it"),
            IssueError::Request(_) | IssueError::WrongKey { .. } => Self::request_refused(error.to_string()),
            IssueError::Authority(AuthorityError::Unknown) => Self::internal(error),
            IssueError::Authority(error) => error.into(),
            IssueError::Ask(error) => error.into(),
            IssueError::Key(error) => Self::internal(error),
            IssueError::Store(error) => error.into(),
        }
    }
}

impl From<AuthorityError> for Refusal {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Unknown => Self::not_found(),
            AuthorityError::Policy(error) => error.into(),
            AuthorityError::Store(error) => error.into(),
            error @ (AuthorityError::Unusable { .. } | AuthorityError::NotMade { .. } | AuthorityError::Unlikely { .. }) => {
                Self::internal(error)
            }
        }
    }
}

impl Refusal {
    fn request_refused(detail: impl Into<String>) -> Self {
        Self::new(Code::RequestRefused, "the certificate request is not acceptable").detail(detail)
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::malformed(rejection.body_text()).status(match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        })
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::malformed(rejection.body_text())
    }
}
