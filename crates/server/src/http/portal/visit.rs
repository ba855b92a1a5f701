//! One request to the portal: where, in which language, by whom, and how it is answered.

use std::collections::BTreeMap;

use axum::extract::{FromRef, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE,
    USER_AGENT, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tegata_pki::key::same;

use crate::http::refuse::{Refusal, page_status};
use crate::portal::pages::{View, root};
use crate::portal::sign_in::Session;
use crate::portal::words::Lang;
use crate::portal::{Desk, Place, PortalError};
use crate::store::portal::PortalCertificateRow;

/// Who is signed in. `__Host-` binds it to this host over TLS (RFC 6265bis, section 4.1.3.2).
const COOKIE_NAME: &str = "__Host-tegata-portal";
/// Which language was chosen.
const LANG_COOKIE: &str = "tegata-lang";
/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// One request to a clinic's portal.
pub struct Visit {
    /// Who serves.
    pub desk: Desk,
    /// Where.
    pub place: Place,
    /// In which language.
    pub lang: Lang,
    /// Who is signed in.
    pub session: Option<Session>,
    /// The query.
    pub query: BTreeMap<String, String>,
    /// What the browser calls itself.
    pub agent: String,
    serial: String,
    chosen: Option<Lang>,
    /// The address that was asked for, if asking again does no harm.
    again: Option<String>,
}

/// A page that is being made.
pub struct Page<'a> {
    /// What all pages have in common.
    pub view: View<'a>,
    status: StatusCode,
}

impl<S> FromRequestParts<S> for Visit
where
    S: Send + Sync,
    Desk: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let desk = Desk::from_ref(state);
        let names = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Refusal::not_found().into_response())?;
        let name = |wanted: &str| names.iter().find(|(name, _)| *name == wanted).map(|(_, text)| text.to_owned()).unwrap_or_default();
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let chosen = query.get("lang").and_then(|tag| Lang::read(tag));
        let lang = chosen.unwrap_or_else(|| lang(&parts.headers));
        let place = desk.place(&name("tenant"), &name("clinic")).await.map_err(|error| nowhere(lang, &error))?;
        let session = match desk.session(&place, cookie(&parts.headers, COOKIE_NAME)).await {
            Ok(session) => Some(session),
            Err(PortalError::SignedOut) => None,
            Err(error) => return Err(nowhere(lang, &error)),
        };
        let again = (parts.method == Method::GET).then(|| parts.uri.path().to_owned());
        let agent = text(&parts.headers, &USER_AGENT).to_owned();
        Ok(Self { desk, place, lang, session, query, agent, serial: name("serial"), chosen, again })
    }
}

impl Visit {
    /// A page as it should be.
    pub fn page(&self) -> Page<'_> {
        Page { view: self.view(None), status: StatusCode::OK }
    }

    /// A page with something wrong.
    pub fn troubled<'a>(&'a self, trouble: &'a PortalError) -> Page<'a> {
        Page { view: self.view(Some(trouble)), status: page_status(trouble) }
    }

    fn view<'a>(&'a self, trouble: Option<&'a PortalError>) -> View<'a> {
        let switch = self.again.as_ref().map(|path| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(self.query.iter().filter(|(key, _)| *key != "lang"));
            format!("{path}?{}", query.append_pair("lang", self.lang.other().tag()).finish())
        });
        View { place: Some(&self.place), lang: self.lang, session: self.session.as_ref(), switch, trouble }
    }

    /// Answers with a page.
    pub fn show(&self, page: &Page<'_>, name: &str, data: Value) -> Response {
        let mut response = shown(&page.view, page.status, name, data);
        if let Some(lang) = self.chosen {
            let cookie = format!("{LANG_COOKIE}={}; Path=/portal; Max-Age=31536000; Secure; SameSite=Lax", lang.tag());
            set_cookie(&mut response, &cookie);
        }
        response
    }

    /// Answers with nothing but what went wrong.
    pub fn problem(&self, error: &PortalError) -> Response {
        if page_status(error).is_server_error() {
            tracing::error!(%error, "the portal failed");
        }
        self.show(&self.troubled(error), "problem.html", json!({}))
    }

    /// Sends somebody who is not signed in to the beginning; tells everybody else what went wrong.
    pub fn out(&self, error: &PortalError) -> Response {
        if matches!(error, PortalError::SignedOut) && self.again.is_some() { self.go("") } else { self.problem(error) }
    }

    /// Sends the browser to another page of this portal.
    pub fn go(&self, rest: &str) -> Response {
        let place = HeaderValue::from_str(&format!("{}{rest}", root(&self.place)));
        let mut response = bare(StatusCode::SEE_OTHER.into_response(), "no-store");
        if let Ok(place) = place {
            response.headers_mut().insert(LOCATION, place);
        }
        response
    }

    /// Gives the cookie, and shows the list.
    pub fn welcome(&self, cookie: &str) -> Response {
        let mut response = self.go("/certificates");
        set_cookie(&mut response, &format!("{COOKIE_NAME}={cookie}; Path=/; Max-Age=1800; Secure; HttpOnly; SameSite=Strict"));
        response
    }

    /// Takes the cookie back.
    pub fn farewell(&self) -> Response {
        let mut response = self.go("");
        set_cookie(&mut response, &format!("{COOKIE_NAME}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"));
        response
    }

    /// Who is signed in, and has sent this form from our own page.
    pub fn signed_in(&self, form: Option<&Filled>) -> Result<&Session, PortalError> {
        let session = self.session.as_ref().ok_or(PortalError::SignedOut)?;
        if let Some(form) = form {
            form.own_page()?;
            if !same(form.text("token").as_bytes(), session.form_token.as_bytes()) {
                return Err(PortalError::Forged);
            }
        }
        Ok(session)
    }

    /// The certificate that the path names, if it is the account's own.
    pub async fn own(&self, form: Option<&Filled>) -> Result<PortalCertificateRow, PortalError> {
        let session = self.signed_in(form)?;
        self.desk.certificate(&session.account, &self.serial).await
    }
}

/// A form that somebody has filled in.
pub struct Filled {
    fields: BTreeMap<String, String>,
    is_own: bool,
}

impl<S: Send + Sync> FromRequest<S> for Filled {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let is_own = is_own(request.headers());
        let body = axum::body::Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        Ok(Self { fields: form_urlencoded::parse(&body).into_owned().collect(), is_own })
    }
}

impl Filled {
    /// A field; empty if it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Refuses what another site's page has sent.
    pub fn own_page(&self) -> Result<(), PortalError> {
        if self.is_own { Ok(()) } else { Err(PortalError::Forged) }
    }
}

/// Browsers say where a request comes from: by Sec-Fetch-Site, older ones by Origin (RFC 6454, section 7). What says nothing is no browser.
fn is_own(headers: &HeaderMap) -> bool {
    match (text(headers, &HeaderName::from_static("sec-fetch-site")), text(headers, &ORIGIN)) {
        ("same-origin" | "none", _) => true,
        ("", "") => true,
        ("", origin) => origin.strip_prefix("https://") == Some(text(headers, &HOST)),
        _ => false,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|cookies| cookies.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn lang(headers: &HeaderMap) -> Lang {
    let chosen = cookie(headers, LANG_COOKIE).and_then(Lang::read);
    chosen.or_else(|| Lang::accepted(text(headers, &ACCEPT_LANGUAGE))).unwrap_or(Lang::Ja)
}

fn nowhere(lang: Lang, error: &PortalError) -> Response {
    let view = View { place: None, lang, session: None, switch: None, trouble: Some(error) };
    if page_status(error).is_server_error() {
        tracing::error!(%error, "the portal failed");
    }
    shown(&view, page_status(error), "problem.html", json!({}))
}

fn shown(view: &View<'_>, status: StatusCode, name: &str, data: Value) -> Response {
    match view.page(name, data) {
        Ok(html) => bare((status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(), "no-store"),
        Err(error) => {
            tracing::error!(page = name, %error, "a page cannot be made");
            Refusal::broken_page().into_response()
        }
    }
}

/// What every answer of the portal says about itself.
pub fn bare(mut response: Response, cache: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        let cases = [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://a.example"), ("host", "a.example")], false),
            (&[("origin", "https://a.example:8443"), ("host", "a.example:8443")], true),
            (&[("origin", "https://b.example"), ("host", "a.example")], false),
            (&[("origin", "null"), ("host", "a.example")], false),
            (&[], true),
        ];
        for (list, own) in cases {
            assert_eq!(is_own(&headers(list)), own, "{list:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = headers(&[("cookie", "x__Host-tegata-portal=no; __Host-tegata-portal=yes; tegata-lang=en")]);
        assert_eq!((cookie(&headers, COOKIE_NAME), cookie(&headers, LANG_COOKIE)), (Some("yes"), Some("en")));
        assert_eq!(cookie(&headers, "tegata"), None);
    }
}
