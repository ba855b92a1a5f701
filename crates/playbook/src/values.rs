//! What texts of a playbook are filled with. A text is a value that travels on standard input; only files that are made from a template have
//! a language of their own, and there nothing is filled in unquoted.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde_json::json;
use tegata_core::policy::Platform;

use crate::host::Host;
use crate::quote::{self, Nul};

/// What `facts` finds out.
pub const FACTS: [&str; 9] = ["administrator", "arch", "chrome", "dpkg", "home", "init", "nss", "os", "user"];
/// What is known of a host from policy.
pub const HOST: [&str; 6] = ["address", "clinic", "device", "name", "platform", "user"];
/// What is known of its clinic.
pub const CLINIC: [&str; 3] = ["displayName", "facilitySlug", "name"];
/// What is known of the server.
pub const SERVER: [&str; 1] = ["url"];

/// What is known of one host at one moment of a run.
#[derive(Debug, Clone)]
pub struct Values {
    known: serde_json::Value,
}

impl Values {
    /// What is known before anything was asked.
    pub fn of(host: &Host, server: &str, variables: &BTreeMap<String, String>) -> Self {
        Self {
            known: json!({
                "host": {
                    "name": host.name(), "clinic": host.id.clinic.to_string(), "device": host.id.device.to_string(),
                    "platform": platform(host.platform), "address": host.address.host, "user": host.user,
                },
                "clinic": host.clinic,
                "server": { "url": server },
                "vars": variables,
            }),
        }
    }

    /// Adds what was found out.
    pub fn learn(&mut self, facts: &BTreeMap<String, String>) {
        self.known["facts"] = json!(facts);
    }

    /// A fact.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.known["facts"][name].as_str()
    }

    /// Fills a text.
    ///
    /// # Errors
    /// What stands in it is not known.
    pub fn text(&self, template: &str) -> Result<String, Error> {
        environment(AutoEscape::None).render_str(template, Serde(&self.known))
    }

    /// Fills a file that has a language of its own.
    ///
    /// # Errors
    /// What stands in it is not known, or not quoted.
    pub fn file(&self, template: &str) -> Result<String, Error> {
        environment(AutoEscape::Custom(QUOTED.into())).render_str(template, Serde(&self.known))
    }
}

/// The language of files in which every value is quoted.
const QUOTED: &str = "quoted";

fn environment(escape: AutoEscape) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(move |_| escape.clone());
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the usual syntax, but for its treatment of the last line"));
    environment.set_formatter(|out, state, value| {
        if matches!(state.auto_escape(), AutoEscape::Custom(_)) && !value.is_safe() {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "a value is not quoted: write {{ x | json }}, {{ x | sh }} or {{ x | ps }}",
            ));
        }
        write!(out, "{value}").map_err(Error::from)
    });
    environment.add_filter("json", |value: String| Value::from_safe_string(serde_json::Value::from(value).to_string()));
    environment.add_filter("sh", |value: String| quoted(quote::sh(&value)));
    environment.add_filter("ps", |value: String| quoted(quote::powershell(&value)));
    environment
}

fn quoted(text: Result<String, Nul>) -> Result<Value, Error> {
    text.map(Value::from_safe_string).map_err(|nul| Error::new(ErrorKind::InvalidOperation, nul.to_string()))
}

/// What a text asks for, such as `vars.agent`.
///
/// # Errors
/// It is no template.
pub fn asked_for(template: &str) -> Result<BTreeSet<String>, Error> {
    let environment = environment(AutoEscape::None);
    Ok(environment.template_from_str(template)?.undeclared_variables(true).into_iter().collect())
}

/// A platform as policy writes it.
pub fn platform(platform: Platform) -> &'static str {
    match platform {
        Platform::Windows => "windows",
        Platform::Macos => "macos",
        Platform::Linux => "linux",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values { known: json!({ "vars": { "note": "it's \"$(id)\" 日本語" }, "host": { "name": "sakura/pc-1" } }) }
    }

    #[test]
    fn a_text_is_filled_as_it_is_and_a_file_only_quoted() {
        let values = values();
        assert_eq!(values.text("{{ host.name }}: {{ vars.note }}").unwrap(), "sakura/pc-1: it's \"$(id)\" 日本語");
        assert_eq!(values.file("a={{ vars.note | sh }}\n").unwrap(), "a='it'\\''s \"$(id)\" 日本語'\n");
        assert_eq!(values.file("{\"a\": {{ vars.note | json }}}").unwrap(), "{\"a\": \"it's \\\"$(id)\\\" 日本語\"}");
        assert_eq!(values.file("$a = {{ vars.note | ps }}").unwrap(), "$a = 'it''s \"$(id)\" 日本語'");
        assert!(values.file("a={{ vars.note }}").is_err(), "what is not quoted is refused");
        assert!(values.file("a={{ 'b' ~ vars.note | sh }}").is_err(), "and what is joined to something quoted too");
    }

    #[test]
    fn what_is_not_known_is_an_error_and_not_nothing() {
        for template in ["{{ vars.other }}", "{{ facts.home }}", "{{ typo }}"] {
            assert!(values().text(template).is_err(), "{template}");
        }
        assert_eq!(asked_for("{{ vars.a }}{{ host.name }}").unwrap().into_iter().collect::<Vec<_>>(), ["host.name", "vars.a"]);
    }
}
