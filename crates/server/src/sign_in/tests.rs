//! Tokens signed by real keys, and a provider on this machine that says whatever a test has it say.

mod flow;
mod stand_in;
mod tokens;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tegata_api::v1::fleet::File;
use tegata_api::yaml;
use tegata_core::policy::KeyAlgorithm;
use tegata_pki::key::PrivateKey;

use super::provider::ProviderSettings;

/// A key that a provider signs by.
struct Key {
    id: Option<&'static str>,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Key {
    fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let pkcs8 = |algorithm| PrivateKey::generate(algorithm).unwrap().to_pkcs8();
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&pkcs8(KeyAlgorithm::EcdsaP256)),
            Algorithm::ES384 => EncodingKey::from_ec_der(&pkcs8(KeyAlgorithm::EcdsaP384)),
            // What stands in the PKCS#8 is a key as PKCS#1 writes it.
            _ => EncodingKey::from_rsa_der(&pkcs8(KeyAlgorithm::Rsa2048)[26..]),
        };
        Self { id: Some(id), algorithm, key }
    }

    /// As the provider publishes it.
    fn published(&self) -> Value {
        let mut key = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        key["kid"] = json!(self.id);
        key
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: self.id.map(str::to_owned), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }
}

fn set(keys: &[&Key]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.published()).collect::<Vec<_>>() })
}

/// A provider `id` of `aozora`, as it is written.
fn settings(issuer: &str, more: &str) -> ProviderSettings {
    let text = format!(
        "apiVersion: tegata.dev/v1alpha1\nkind: OpenIdProvider\nmetadata: {{ name: id }}\nspec:\n  tenants: [aozora]\n  issuer: {issuer}\n  clientId: tegata\n{more}"
    );
    let provider = yaml::providers(&File { name: "oidc.yaml".into(), text }).unwrap().remove(0);
    ProviderSettings { provider, secret: None, authority: None }
}
