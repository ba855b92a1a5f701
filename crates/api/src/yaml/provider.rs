//! Reads the providers by which people sign in, by the same door as policies.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jsonschema::Validator;
use serde_json::Value;
use tegata_core::name::{ProviderName, TenantName};
use tegata_core::time::{DAY, HOUR, MINUTE};

use super::convert::access::{id, issuer_of};
use super::draft::of_one_kind;
use super::gather::{At, Gather, Wrong};
use super::schema::{self, compiled};
use super::tree::Tree;
use super::{Source, in_order, read, written};
use crate::hint::quote;
use crate::v1::fleet::File;
use crate::v1::policy::Envelope;
use crate::v1::problem::Finding;
use crate::v1::sign_in::OpenIdProviderSpec;

/// What stands after `kind:`.
pub(super) const KIND: &str = "OpenIdProvider";
/// The tenant that takes no bindings.
const INSTANCE: &str = "tegata";

const LIFE: Duration = HOUR.saturating_mul(8);
const LIFE_MIN: Duration = MINUTE.saturating_mul(5);
const LIFE_MAX: Duration = DAY;

/// A provider as it was read. Files that it names are not opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIdProvider {
    /// Its name.
    pub name: ProviderName,
    /// The tenants that it is for.
    pub tenants: BTreeSet<TenantName>,
    /// Its address, as it stands in its tokens.
    pub issuer: String,
    /// What it knows the server by.
    pub client_id: String,
    /// Where the secret is, if there is one.
    pub secret_file: Option<PathBuf>,
    /// Where the authorities of its certificate are, if they are not the operating system's.
    pub authority_file: Option<PathBuf>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that lists groups.
    pub groups_claim: String,
    /// Whom tokens may be for beside the server.
    pub audience: BTreeSet<String>,
    /// How long a session lives.
    pub life: Duration,
    /// Of these ways to sign in it has to be one, unless there are none.
    pub acr: Vec<String>,
    /// At least one of these means has to have been used, unless there are none.
    pub amr: Vec<String>,
}

/// Reads the providers of a file.
///
/// # Errors
/// Everything that is wrong with them.
pub fn providers(file: &File) -> Result<Vec<OpenIdProvider>, Vec<Finding>> {
    let mut findings = Vec::new();
    let read = read::read(file, &mut findings);
    if read.trees.is_empty() && findings.is_empty() {
        findings.push(read::about_file(&file.name, "there is no provider in this file".into(), "write one, or leave --oidc out"));
    }
    let mut providers: Vec<OpenIdProvider> = Vec::new();
    for tree in read.trees {
        let Some((provider, source)) = from_tree(&file.name, tree, &mut findings) else { continue };
        if providers.iter().any(|other| other.name == provider.name) {
            let mut gather = Gather::new(&source);
            let message = format!("there are two providers named {}", quote(provider.name.as_str()));
            gather.say(&At::ROOT.key("metadata").key("name"), Wrong::new(message, "each needs a name of its own"));
            findings.append(&mut gather.findings);
        }
        providers.push(provider);
    }
    if findings.is_empty() { Ok(providers) } else { Err(in_order(findings, std::slice::from_ref(file))) }
}

fn from_tree(file: &str, tree: Tree, findings: &mut Vec<Finding>) -> Option<(OpenIdProvider, Source)> {
    let body = tree.value();
    let source = Source { file: file.to_owned(), tree: Some(Arc::new(tree)) };
    let read = match of_one_kind((KIND, &COMPILED), &source, &body) {
        Ok(read) => read,
        Err(mut found) => {
            findings.append(&mut found);
            return None;
        }
    };
    let mut gather = Gather::new(&source);
    let provider = convert(&read, &mut gather);
    let mut found = gather.findings;
    let is_whole = found.is_empty();
    findings.append(&mut found);
    provider.filter(|_| is_whole).map(|provider| (provider, source))
}

fn convert(read: &Envelope<OpenIdProviderSpec>, gather: &mut Gather<'_>) -> Option<OpenIdProvider> {
    let Envelope { metadata, spec, .. } = read;
    let at = At::ROOT.key("spec");
    let name = gather.name(&At::ROOT.key("metadata").key("name"), &metadata.name.0);
    if metadata.namespace.is_some() {
        let hint = "leave namespace out, and write spec.tenants";
        gather.say_of_key(&At::ROOT.key("metadata").key("namespace"), Wrong::new("a provider belongs to the installation", hint));
    }
    let mut tenants = BTreeSet::new();
    for (index, tenant) in spec.tenants.iter().enumerate() {
        let (list, text) = (at.key("tenants"), &tenant.0);
        if text == INSTANCE {
            let hint = "its people are the installation's owners, who are known by tokens alone";
            gather.say(&list.item(index), Wrong::new(format!("nobody signs in to the tenant '{INSTANCE}'"), hint));
        }
        tenants.extend(gather.name::<TenantName>(&list.item(index), text));
    }
    let issuer = issuer_of(&spec.issuer, &at.key("issuer"), gather);
    let client_id = id(&spec.client_id, &at.key("clientId"), gather);
    for (index, scope) in spec.scopes.iter().enumerate() {
        let fits = !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        let wrong = || Wrong::new(format!("{} is not a scope", quote(scope)), "write one word for each item, such as groups");
        gather.take(&at.key("scopes").item(index), if fits { Ok(()) } else { Err(wrong()) });
    }
    let life = spec.session.as_ref().map_or(Some(LIFE), |text| gather.take(&at.key("session"), life(text)));
    Some(OpenIdProvider {
        name: name?,
        tenants,
        issuer: issuer?,
        client_id: client_id?,
        secret_file: spec.client_secret_file.clone().map(PathBuf::from),
        authority_file: spec.authority_file.clone().map(PathBuf::from),
        scopes: spec.scopes.clone(),
        groups_claim: spec.groups_claim.clone().unwrap_or_else(|| "groups".into()),
        audience: spec.audience.iter().cloned().collect(),
        life: life?,
        acr: spec.acr.clone(),
        amr: spec.amr.clone(),
    })
}

fn life(text: &str) -> Result<Duration, Wrong> {
    let life = written::span(text)?;
    let wrong = || Wrong::new(format!("a session of {} is too short or too long", quote(text)), "write from 5min to 24h");
    if (LIFE_MIN..=LIFE_MAX).contains(&life) { Ok(life) } else { Err(wrong()) }
}

/// The JSON Schema of providers.
pub(super) fn schema() -> Value {
    COMPILED.0.clone()
}

static COMPILED: LazyLock<(Value, Validator)> = LazyLock::new(|| compiled(schema::generated::<OpenIdProviderSpec>(KIND)));

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const HEAD: &str = "apiVersion: tegata.dev/v1alpha1\nkind: OpenIdProvider\nmetadata: { name: staff }\n";

    fn read(text: &str) -> Result<Vec<OpenIdProvider>, String> {
        let file = File { name: "oidc.yaml".into(), text: text.into() };
        providers(&file).map_err(|findings| super::super::render(&findings, std::slice::from_ref(&file)))
    }

    #[test]
    fn what_is_left_out_is_the_narrow_choice() {
        let spec = "spec: { tenants: [aozora], issuer: https://login.example.jp/, clientId: tegata }\n";
        let [provider] = &read(&format!("{HEAD}{spec}")).unwrap()[..] else { panic!() };
        assert_eq!(
            (provider.life, &provider.groups_claim[..], provider.issuer.as_str()),
            (8 * HOUR, "groups", "https://login.example.jp/")
        );
        assert!(provider.audience.is_empty() && provider.scopes.is_empty() && provider.secret_file.is_none());
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_places() {
        let twice = "spec: { tenants: [aozora], issuer: https://x.example, clientId: a }\n";
        let wrong = read(&format!("{HEAD}{twice}---\n{HEAD}{twice}---\n{HEAD}spec: {{ tenants: [], issuers: a }}\n---\nkind: Issuer\n"));
        expect![[r#"
            error: there are two providers named 'staff'
             --> oidc.yaml:8:19
              |
            8 | metadata: { name: staff }
              |                   ^
              = help: each needs a name of its own

            error: spec has no key 'clientId'
              --> oidc.yaml:14:1
               |
            14 | spec: { tenants: [], issuers: a }
               | ^
               = help: What it knows this server by

            error: spec has no key 'issuer'
              --> oidc.yaml:14:1
               |
            14 | spec: { tenants: [], issuers: a }
               | ^
               = help: Its address, exactly as it stands in its tokens (`iss`) and in the bindings

            error: spec.tenants is not acceptable: value has less than 1 item
              --> oidc.yaml:14:18
               |
            14 | spec: { tenants: [], issuers: a }
               |                  ^
               = help: The tenants that it is for

            error: spec has no place for a key 'issuers'
              --> oidc.yaml:14:22
               |
            14 | spec: { tenants: [], issuers: a }
               |                      ^
               = help: did you mean 'issuer'?

            error: this is a 'Issuer', no OpenIdProvider
              --> oidc.yaml:16:7
               |
            16 | kind: Issuer
               |       ^
               = help: choose from 'OpenIdProvider'
        "#]]
        .assert_eq(&wrong.unwrap_err());
    }

    #[test]
    fn what_is_written_well_has_to_make_sense() {
        let head = HEAD.replace("staff }", "staff, namespace: aozora }");
        let spec =
            "spec:\n  tenants: [aozora, tegata]\n  issuer: http://login.example.jp\n  clientId: ' x'\n  session: 25h\n  scopes: [a b]\n";
        expect![[r#"
            error: a provider belongs to the installation
             --> oidc.yaml:3:26
              |
            3 | metadata: { name: staff, namespace: aozora }
              |                          ^
              = help: leave namespace out, and write spec.tenants

            error: nobody signs in to the tenant 'tegata'
             --> oidc.yaml:5:21
              |
            5 |   tenants: [aozora, tegata]
              |                     ^
              = help: its people are the installation's owners, who are known by tokens alone

            error: 'http://login.example.jp' is not the address of a provider
             --> oidc.yaml:6:11
              |
            6 |   issuer: http://login.example.jp
              |           ^
              = help: it begins with https:// and has neither ? nor # (OpenID Connect Core, section 2); copy the iss of a token

            error: ' x' is no id that a provider gives
             --> oidc.yaml:7:13
              |
            7 |   clientId: ' x'
              |             ^
              = help: copy it from a token; 1 to 255 characters on one line

            error: a session of '25h' is too short or too long
             --> oidc.yaml:8:12
              |
            8 |   session: 25h
              |            ^
              = help: write from 5min to 24h

            error: 'a b' is not a scope
             --> oidc.yaml:9:12
              |
            9 |   scopes: [a b]
              |            ^
              = help: write one word for each item, such as groups
        "#]]
        .assert_eq(&read(&format!("{head}{spec}")).unwrap_err());
    }
}
