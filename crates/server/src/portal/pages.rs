//! What people see: templates that are strict about what is missing, and escape whatever they are given.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Value, json};
use tegata_core::time::{DAY, Timestamp};

use super::account::{Holdings, RoomLeft};
use super::issue::Handed;
use super::sign_in::Session;
use super::words::{self, Lang};
use super::{Place, PortalError};
use crate::fleet::ANSWERS_WITHIN;
use crate::store::CertificateRow;
use crate::store::portal::PortalCertificateRow;

/// The style sheet.
pub const STYLE: &str = include_str!("pages/portal.css");
/// The script, without which everything works too.
pub const SCRIPT: &str = include_str!("pages/portal.js");

/// Where a clinic's hours name no time zone.
const ZONE: &str = "Asia/Tokyo";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    let pages = [
        ("base.html", include_str!("pages/base.html")),
        ("checks.html", include_str!("pages/checks.html")),
        ("start.html", include_str!("pages/start.html")),
        ("code.html", include_str!("pages/code.html")),
        ("list.html", include_str!("pages/list.html")),
        ("new.html", include_str!("pages/new.html")),
        ("issued.html", include_str!("pages/issued.html")),
        ("revoke.html", include_str!("pages/revoke.html")),
        ("problem.html", include_str!("pages/problem.html")),
    ];
    for (name, text) in pages {
        templates.add_template(name, text).expect("the pages are part of the program and tested with it");
    }
    templates
});

/// What every page of a visit has in common.
pub struct View<'a> {
    /// Where; `None` where there is no portal.
    pub place: Option<&'a Place>,
    /// In which language.
    pub lang: Lang,
    /// Who is signed in.
    pub session: Option<&'a Session>,
    /// The same page in the other language, if it can be had again.
    pub switch: Option<String>,
    /// What went wrong.
    pub trouble: Option<&'a PortalError>,
}

impl View<'_> {
    /// Fills a page.
    ///
    /// # Errors
    /// If the page asks for something that it was not given.
    pub fn page(&self, name: &str, own: Value) -> Result<String, minijinja::Error> {
        let mut data = json!({
            "lang": self.lang.tag(),
            "other": self.lang.other().tag(),
            "t": words::all(self.lang),
            "clinic": self.place.map_or("Tegata", |place| place.clinic().display_name.as_str()),
            "root": self.place.map(root).unwrap_or_default(),
            "account": self.session.map(|session| session.account.account.to_string()),
            "token": self.session.map(|session| session.form_token.clone()),
            "switch": self.switch,
            "trouble": self.trouble.map(|trouble| self.trouble(trouble)),
        });
        if let (Value::Object(data), Value::Object(own)) = (&mut data, own) {
            data.extend(own);
        }
        TEMPLATES.get_template(name)?.render(Serde(&data))
    }

    fn trouble(&self, error: &PortalError) -> Value {
        let (title, text) = words::trouble(self.lang, error);
        let (other_title, other_text) = words::trouble(self.lang.other(), error);
        let candidates: Vec<Value> = match (error, self.place, self.session) {
            (PortalError::Full { candidates, .. }, Some(place), Some(_)) => {
                let one = |row: &super::account::Candidate| json!({ "serial": row.serial.to_string(), "memo": row.memo, "until": day(place, row.not_after) });
                candidates.iter().map(one).collect()
            }
            _ => vec![],
        };
        json!({ "title": title, "text": text, "other_title": other_title, "other_text": other_text, "candidates": candidates })
    }

    fn word(&self, key: &str) -> String {
        words::all(self.lang).get(key).copied().unwrap_or_default().to_owned()
    }

    fn check(&self, key: &str, state: &str, says: &str, filled: &[(&str, String)]) -> Value {
        let says = filled.iter().fold(self.word(says), |text, (name, value)| text.replace(name, value));
        json!({ "what": self.word(key), "state": state, "says": says })
    }

    /// What is seen to before an unknown person's code begins to run out.
    pub fn first_checks(&self, place: &Place, agent: &str, has_mail: bool) -> Vec<Value> {
        let mail = if has_mail { ("ok", "check_mail_ok") } else { ("bad", "check_mail_bad") };
        let limit = place.portal().quota.certificates.to_string();
        vec![
            self.browser(agent),
            self.check("check_mail", mail.0, mail.1, &[]),
            self.check("check_quota", "", "check_quota_unknown", &[("{limit}", limit)]),
        ]
    }

    /// What is seen to before somebody who is signed in fills in the form.
    pub fn account_checks(&self, agent: &str, room: RoomLeft, (heard, all): (usize, usize)) -> Vec<Value> {
        let quota = if room.is_full() { ("bad", "check_quota_bad") } else { ("ok", "check_quota_ok") };
        let counts = [("{used}", room.used.to_string()), ("{limit}", room.limit.to_string())];
        let agents = if all == 0 {
            self.check("check_agent", "", "check_agent_none", &[])
        } else {
            let state = if heard > 0 { "ok" } else { "" };
            self.check("check_agent", state, "check_agent_some", &[("{heard}", heard.to_string()), ("{all}", all.to_string())])
        };
        vec![self.browser(agent), self.check("check_quota", quota.0, quota.1, &counts), agents]
    }

    fn browser(&self, agent: &str) -> Value {
        let is_known = ["Chrome/", "Firefox/", "Safari/"].iter().any(|name| agent.contains(name));
        let state = if is_known { ("ok", "check_browser_ok") } else { ("bad", "check_browser_bad") };
        self.check("check_browser", state.0, state.1, &[])
    }

    /// The rows of the list, newest first; those of devices after them.
    pub fn rows(&self, place: &Place, holdings: &Holdings, now: Timestamp) -> Vec<Value> {
        let own = holdings.certificates.iter().map(|row| self.row(place, row, now));
        own.chain(holdings.on_devices.iter().map(|row| self.device_row(place, row, now))).collect()
    }

    fn row(&self, place: &Place, row: &PortalCertificateRow, now: Timestamp) -> Value {
        let state = state(place, row, now);
        let draft = &row.draft;
        json!({
            "serial": draft.serial.to_string(),
            "common_name": draft.common_name, "organization": draft.organization,
            "state": state, "state_text": self.word(&format!("state_{state}")),
            "type": self.word("type_client"),
            "until": day(place, draft.not_after), "left": self.left(draft.not_after, now, row.is_valid(now)),
            "applied": day(place, draft.applied_at),
            "memo": draft.memo, "label": draft.label, "remarks": draft.remarks,
            "can_fetch": row.is_valid(now),
            "can_renew": row.revoked_at.is_none() && row.followed_by.is_none(),
            "can_revoke": row.is_valid(now),
        })
    }

    fn device_row(&self, place: &Place, row: &CertificateRow, now: Timestamp) -> Value {
        json!({
            "serial": null, "common_name": row.template.common_name, "organization": row.template.organization,
            "state": "valid", "state_text": self.word("state_valid"), "type": self.word("type_device"),
            "until": day(place, row.not_after), "left": self.left(row.not_after, now, true), "applied": day(place, row.issued_at),
            "memo": row.slot.device.to_string(), "label": null, "remarks": "",
            "can_fetch": false, "can_renew": false, "can_revoke": false,
        })
    }

    fn left(&self, until: Timestamp, now: Timestamp, is_valid: bool) -> Option<String> {
        let days = until.since(now).as_secs() / DAY.as_secs();
        is_valid.then(|| self.word("days_left").replace("{n}", &days.to_string()))
    }

    /// What a page says about a certificate that was handed over.
    pub fn handed(&self, place: &Place, handed: &Handed, memo: &str) -> Value {
        json!({
            "serial": handed.serial.to_string(), "memo": memo, "common_name": handed.names.common_name,
            "organization": handed.names.organization, "file_name": handed.names.file_name,
            "until": day(place, handed.not_after), "password": handed.password.as_str(),
        })
    }
}

/// Where a clinic's portal begins.
pub fn root(place: &Place) -> String {
    format!("/portal/{}/{}", place.tenant(), place.clinic().name)
}

/// How many of a clinic's devices were heard within the last hour, of how many.
pub fn heard(devices: &[crate::store::DeviceRow], place: &Place, now: Timestamp) -> (usize, usize) {
    let own: Vec<_> = devices.iter().filter(|row| row.device.clinic == place.clinic().name && row.revoked_at.is_none()).collect();
    (own.iter().filter(|row| now.since(row.last_seen) < ANSWERS_WITHIN).count(), own.len())
}

/// Memos that come to mind: where the clinic's devices stand.
pub fn memos(place: &Place) -> Vec<String> {
    place.clinic().devices.values().filter_map(|device| device.memo.as_ref()).map(ToString::to_string).collect()
}

fn state(place: &Place, row: &PortalCertificateRow, now: Timestamp) -> &'static str {
    if row.revoked_at.is_some() {
        "revoked"
    } else if now > row.draft.not_after {
        "expired"
    } else if row.followed_by.is_some() {
        "followed"
    } else if now >= row.draft.not_after.before(place.portal().renew_within) {
        "soon"
    } else {
        "valid"
    }
}

/// A day as the clinic's calendar has it.
fn day(place: &Place, at: Timestamp) -> String {
    written(place, at, "%Y-%m-%d")
}

/// A moment as the clinic's clocks show it.
pub fn moment(place: &Place, at: Timestamp, lang: Lang) -> String {
    match lang {
        Lang::Ja => written(place, at, "%Y-%m-%d %H:%M:%S"),
        Lang::En => written(place, at, "%Y-%m-%d %H:%M:%S (UTC%:z)"),
    }
}

fn written(place: &Place, at: Timestamp, format: &str) -> String {
    let zone = place.clinic().hours.time_zone.as_deref().unwrap_or(ZONE);
    let zone = TimeZoneDatabase::bundled().get(zone).unwrap_or(TimeZone::UTC);
    jiff::Timestamp::from_second(at.unix()).map_or_else(|_| at.to_string(), |at| at.to_zoned(zone).strftime(format).to_string())
}
