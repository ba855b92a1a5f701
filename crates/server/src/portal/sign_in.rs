//! Who somebody is: six digits by mail, five tries bound to that one code, and then a cookie for half an hour.
//!
//! An address that nobody has is answered in the same words, with a code of its own that no digits open, so that nobody learns who
//! has an account.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::{AccountName, Mail, Sha256};
use tegata_core::time::{DAY, MINUTE, Timestamp};
use tegata_pki::key::{hmac_sha256, random, same, sha256};
use zeroize::Zeroizing;

use super::{CLOCK_MAX, Desk, Place, PortalError, actor, said, words};
use crate::audit::Recorded;
use crate::enroll::code::{Secret, half_width};
use crate::mail::{Letter, Mailer};
use crate::store::portal::{AccountId, PortalChange, PortalCodeRow, PortalSessionRow};
use crate::store::{Batch, Change, StoreError};

/// Wrong digits that one code survives.
const TRIES: u32 = 5;
/// Codes for one address in a day. With five tries each, somebody who asks all year for the same address gets in with a chance of 4 %.
const CODES_A_DAY: u32 = 20;
/// How long a cookie is good for.
const SESSION_LIFE: Duration = MINUTE.saturating_mul(30);
/// What a person types.
const DIGITS: usize = 6;

/// What a browser checked before it asked for a code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checked {
    /// Its clock minus ours, in seconds, if it could say.
    pub clock_offset: Option<i64>,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who.
    pub account: AccountId,
    /// Until when.
    pub expires_at: Timestamp,
    /// What every form of theirs carries.
    pub form_token: String,
    digest: Sha256,
}

impl Desk {
    /// Mails a code to whoever has this address; gives the handle under which the digits are expected.
    ///
    /// # Errors
    /// [`PortalError`], before any code's time begins; never whether somebody has the address.
    pub async fn ask_for_code(&self, place: &Place, address: &str, checked: Checked) -> Result<String, PortalError> {
        let mailer = self.mailer.clone().ok_or(PortalError::NoMail)?;
        let off = checked.clock_offset.filter(|off| off.unsigned_abs() > CLOCK_MAX.as_secs());
        if let Some(off) = off {
            return Err(PortalError::ClockOff(off));
        }
        let address = read_address(address)?;
        let owner = owner(place, &address);
        let (now, handle, secret) = (self.clock.now(), HEXLOWER.encode(&random::<16>()), Secret::typed());
        let row = PortalCodeRow {
            handle: handle.clone(),
            tenant: place.tenant().clone(),
            clinic: place.clinic().name.clone(),
            subject: self.digest("address", address.as_str()),
            account: owner.as_ref().map(|(name, _)| name.clone()),
            digest: self.digest(&handle, secret.text()),
            tries_left: TRIES,
            made_at: now,
            expires_at: now.after(place.portal().code_life),
            used_at: None,
        };
        let change = Change::Portal(PortalChange::PutCode { code: row.clone(), since: now.before(DAY), most: CODES_A_DAY });
        let kept = match owner {
            Some((name, mail)) => self.mail_code(mailer, place, (name, mail), &row, &secret, change).await,
            None => self.ledger.note(Batch { records: vec![], changes: vec![change] }).await,
        };
        match kept {
            // As if it had been mailed: who asks too often must not learn that there is something to ask for.
            Err(StoreError::Conflict(_)) => tracing::warn!(clinic = %row.clinic, "too many codes for one address in a day"),
            kept => kept?,
        }
        Ok(handle)
    }

    /// When a code runs out, for its countdown.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn code_ends(&self, place: &Place, handle: &str) -> Result<Option<Timestamp>, PortalError> {
        let row = self.ledger.store().portal_code(handle).await?;
        let row = row.filter(|row| row.tenant == *place.tenant() && row.clinic == place.clinic().name);
        Ok(row.map(|row| row.expires_at))
    }

    /// Takes the digits; gives the cookie.
    ///
    /// # Errors
    /// [`PortalError`]: what is wrong with the code, never whose it is.
    pub async fn sign_in(&self, place: &Place, handle: &str, digits: &str) -> Result<Zeroizing<String>, PortalError> {
        let secret = Secret::read(digits).filter(|secret| secret.text().len() == DIGITS).ok_or(PortalError::NotACode)?;
        let row = self.ledger.store().portal_code(handle).await?;
        let row = row.filter(|row| row.tenant == *place.tenant() && row.clinic == place.clinic().name).ok_or(PortalError::SpentCode)?;
        let now = self.clock.now();
        if row.used_at.is_some() || row.tries_left == 0 {
            return Err(PortalError::SpentCode);
        }
        if now >= row.expires_at {
            return Err(PortalError::ExpiredCode);
        }
        self.spend_try(handle, now).await?;
        let is_right = same(&self.digest(handle, secret.text()).0, &row.digest.0);
        let account = row.account.clone().filter(|name| is_right && place.account(name).is_some());
        match account {
            Some(account) => self.open_session(place.id(account), handle, now).await,
            None => self.wrong(place, row, now).await,
        }
    }

    /// Who shows this cookie here.
    ///
    /// # Errors
    /// [`PortalError::SignedOut`], or that the database failed.
    pub async fn session(&self, place: &Place, cookie: Option<&str>) -> Result<Session, PortalError> {
        let cookie = cookie.ok_or(PortalError::SignedOut)?;
        let digest = sha256(cookie.as_bytes());
        let row = self.ledger.store().portal_session(&digest).await?.ok_or(PortalError::SignedOut)?;
        let is_here = row.account.tenant == *place.tenant() && row.account.clinic == place.clinic().name;
        // Policy may have dropped the account since.
        if !is_here || self.clock.now() >= row.expires_at || place.account(&row.account.account).is_none() {
            return Err(PortalError::SignedOut);
        }
        let form_token = self.digest("form", cookie).to_string();
        Ok(Session { account: row.account, expires_at: row.expires_at, form_token, digest })
    }

    /// Forgets a session.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sign_out(&self, session: &Session) -> Result<(), PortalError> {
        let change = Change::Portal(PortalChange::EndSession { digest: session.digest });
        Ok(self.ledger.note(Batch { records: vec![], changes: vec![change] }).await?)
    }

    /// The intention is on record before the letter leaves; what came of it is recorded when it is known. A letter that a crash has
    /// swallowed is asked for again by whoever waits for it: the digits are nowhere else.
    async fn mail_code(
        &self,
        mailer: Mailer,
        place: &Place,
        (name, mail): (AccountName, Mail),
        row: &PortalCodeRow,
        secret: &Secret,
        change: Change,
    ) -> Result<(), StoreError> {
        let account = place.id(name);
        let room = self.room_left(place, &account, row.made_at).await?;
        let letter = Letter {
            to: vec![mail],
            subject: words::letter_subject(place.clinic().display_name.as_str()),
            text: words::letter(place, secret.text(), row.expires_at, room),
            id: sha256(row.handle.as_bytes()).to_string(),
        };
        let record = said(&account, "anyone", Stage::Intended, "portal.code", row.made_at, json!({ "expiresAt": row.expires_at.unix() }));
        let letter = self.ledger.record(letter, Batch { records: vec![record], changes: vec![change] }).await?;
        let desk = self.clone();
        self.tasks.spawn(async move { desk.hand_in(&mailer, &account, letter).await });
        Ok(())
    }

    async fn hand_in(&self, mailer: &Mailer, account: &AccountId, letter: Recorded<Letter>) {
        let (stage, action, details) = match mailer.send(letter.get()).await {
            Ok(()) => (Stage::Done, "portal.code", json!({})),
            Err(error) => {
                tracing::error!(%error, account = %super::object(account), "a code could not be mailed");
                (Stage::Seen, "portal.code-not-mailed", json!({ "permanent": error.is_permanent() }))
            }
        };
        let record = said(account, crate::audit::TEGATA, stage, action, self.clock.now(), details);
        if let Err(error) = self.ledger.record((), Batch { records: vec![record], changes: vec![] }).await {
            tracing::error!(%error, "what came of a letter could not be recorded");
        }
    }

    /// Takes a try off, durably, before anything is compared.
    async fn spend_try(&self, handle: &str, now: Timestamp) -> Result<(), PortalError> {
        let spend = Change::Portal(PortalChange::SpendTry { handle: handle.to_owned(), now });
        match self.ledger.note(Batch { records: vec![], changes: vec![spend] }).await {
            Err(StoreError::Conflict(_)) => Err(PortalError::SpentCode),
            settled => Ok(settled?),
        }
    }

    async fn wrong(&self, place: &Place, row: PortalCodeRow, now: Timestamp) -> Result<Zeroizing<String>, PortalError> {
        let left = row.tries_left.saturating_sub(1);
        if let Some(name) = row.account {
            let record = said(&place.id(name), "anyone", Stage::Seen, "portal.code-refused", now, json!({ "triesLeft": left }));
            self.ledger.record((), Batch { records: vec![record], changes: vec![] }).await?;
        }
        Err(if left == 0 { PortalError::SpentCode } else { PortalError::WrongCode(left) })
    }

    async fn open_session(&self, account: AccountId, handle: &str, at: Timestamp) -> Result<Zeroizing<String>, PortalError> {
        let cookie = Zeroizing::new(BASE64URL_NOPAD.encode(Zeroizing::new(random::<32>()).as_slice()));
        let record = said(&account, &actor(&account), Stage::Done, "portal.sign-in", at, json!({}));
        let session = PortalSessionRow { digest: sha256(cookie.as_bytes()), account, expires_at: at.after(SESSION_LIFE) };
        let change = Change::Portal(PortalChange::UseCode { handle: handle.to_owned(), at, session });
        match self.ledger.record((), Batch { records: vec![record], changes: vec![change] }).await {
            Err(StoreError::Conflict(_)) => Err(PortalError::SpentCode),
            recorded => recorded.map(|_| cookie).map_err(PortalError::from),
        }
    }

    fn digest(&self, context: &str, text: &str) -> Sha256 {
        hmac_sha256(&*self.key.0, format!("{context}-{text}").as_bytes())
    }
}

/// Reads an address as it is typed on a Japanese keyboard. Upper and lower case are the same: no mail server tells them apart.
fn read_address(text: &str) -> Result<Mail, PortalError> {
    let plain: String = text.trim().chars().map(half_width).collect();
    plain.to_lowercase().parse().map_err(|_| PortalError::NotAnAddress)
}

fn owner(place: &Place, address: &Mail) -> Option<(AccountName, Mail)> {
    let accounts = place.clinic().accounts.iter().filter(|(_, account)| account.active);
    let mut found = accounts.filter_map(|(name, account)| {
        let mail = account.mail.clone()?;
        (mail.as_str().to_lowercase() == address.as_str()).then(|| (name.clone(), mail))
    });
    found.next()
}
