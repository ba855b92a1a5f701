//! Checks a document against the JSON Schema of its kind, and says in plain words what does not fit.
//!
//! The schema is made from the Rust types in [`crate::v1::policy`]: there is no second list of keys anywhere.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kinds};
use jsonschema::{JsonType, PatternOptions, ValidationError, Validator};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::hint::{did_you_mean, quote};
use crate::v1::policy::{
    API_VERSION, AccessBindingSpec, BackupTargetSpec, CertificateProfileSpec, ClinicNetworkSpec, Envelope, IssuerSpec, Kind,
};

/// Something that the schema does not allow.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// Which part of it is meant.
    pub part: Part,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Which part of a key and its value a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A key that should not be there. Without it, the rest can still be read.
    SurplusKey,
    /// A key whose value lacks something.
    Key,
    /// The value.
    Value,
    /// How a text is written. Spoken of only if the code that reads the text did not find a better word.
    Writing,
}

/// The JSON Schema of a kind.
pub(super) fn of(kind: Kind) -> Value {
    let name = kind.as_str();
    match kind {
        Kind::Issuer => generated::<IssuerSpec>(name),
        Kind::CertificateProfile => generated::<CertificateProfileSpec>(name),
        Kind::BackupTarget => generated::<BackupTargetSpec>(name),
        Kind::ClinicNetwork => generated::<ClinicNetworkSpec>(name),
        Kind::AccessBinding => generated::<AccessBindingSpec>(name),
    }
}

/// Finds everything in a document that the schema of its kind does not allow, at most `limit` faults.
pub(super) fn check(kind: Kind, document: &Value, limit: usize) -> Vec<Fault> {
    let Some((schema, validator)) = COMPILED.get(&kind) else { return Vec::new() };
    check_by(schema, validator, document, limit)
}

/// The same by any schema.
pub(super) fn check_by(schema: &Value, validator: &Validator, document: &Value, limit: usize) -> Vec<Fault> {
    validator.iter_errors(document).flat_map(|error| in_words(&error, schema)).take(limit).collect()
}

static COMPILED: LazyLock<BTreeMap<Kind, (Value, Validator)>> =
    LazyLock::new(|| Kind::ALL.into_iter().map(|kind| (kind, compiled(of(kind)))).collect());

/// A schema made from our own types, ready to check by.
pub(super) fn compiled(schema: Value) -> (Value, Validator) {
    let options = jsonschema::draft202012::options().with_pattern_options(PatternOptions::regex());
    let validator = options.build(&schema).expect("a schema made from our own types is a schema; a test builds all of them");
    (schema, validator)
}

pub(super) fn generated<Spec: JsonSchema>(kind: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let generator = settings.with_transform(RecursiveTransform(simplify)).into_generator();
    let mut schema = generator.into_root_schema_for::<Envelope<Spec>>().to_value();
    schema["title"] = json!(kind);
    schema["properties"]["kind"]["const"] = json!(kind);
    schema["properties"]["apiVersion"]["const"] = json!(API_VERSION);
    schema
}

/// Keeps to what Kubernetes calls a structural schema: no null beside a type, and a plain `enum` for a choice of words.
fn simplify(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    object.retain(|key, value| !(key == "default" && value.is_null()));
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&json!("null")));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            only.into_iter().for_each(|(key, value)| _ = object.entry(key).or_insert(value));
        }
    }
    if let Some(words) = object.get("oneOf").and_then(words_of) {
        object.remove("oneOf");
        let meanings: String = words.iter().map(|(word, meaning)| format!("\n- `{word}`: {meaning}")).collect();
        let description = object.get("description").and_then(Value::as_str).unwrap_or_default();
        object.insert("description".into(), json!(format!("{description}\n{meanings}").trim()));
        object.insert("type".into(), json!("string"));
        object.insert("enum".into(), words.into_iter().map(|(word, _)| word).collect());
    }
}

/// The words of a choice and what they mean, if it is one between words.
fn words_of(choices: &Value) -> Option<Vec<(String, String)>> {
    let word = |choice: &Value| {
        let meaning = choice["description"].as_str().unwrap_or_default();
        Some((choice["const"].as_str()?.to_owned(), meaning.to_owned()))
    };
    choices.as_array()?.iter().map(word).collect()
}

fn in_words(error: &ValidationError<'_>, schema: &Value) -> Vec<Fault> {
    let pointer = error.instance_path().as_str().to_owned();
    let found = error.instance().as_ref();
    let rule = rule_of(error, schema);
    let this = whereabouts(&pointer);
    let one = |part, message, hint| vec![Fault { pointer: pointer.clone(), part, message, hint }];
    match error.kind() {
        Kinds::AdditionalProperties { unexpected } => unexpected.iter().map(|key| surplus(&pointer, key, rule)).collect(),
        Kinds::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            one(Part::Key, format!("{this} has no key {}", quote(key)), meaning(rule.pointer(&format!("/properties/{key}"))))
        }
        Kinds::Type { kind } => {
            let (message, hint) = wrong_type(&this, kind, found, rule);
            one(Part::Value, message, hint)
        }
        Kinds::Enum { options } => {
            let words = options.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str);
            let found = found.as_str().unwrap_or_default();
            one(Part::Value, format!("{this} cannot be {}", quote(found)), did_you_mean(found, words))
        }
        Kinds::Constant { expected_value } => {
            let hint = format!("write {}", expected_value.as_str().unwrap_or_default());
            one(Part::Value, format!("{this} cannot be {}", shown(found)), Some(hint))
        }
        Kinds::Minimum { limit } => {
            one(Part::Value, format!("{this} must be at least {limit}, but is {}", shown(found)), meaning(Some(rule)))
        }
        Kinds::Maximum { limit } => {
            one(Part::Value, format!("{this} must be at most {limit}, but is {}", shown(found)), meaning(Some(rule)))
        }
        Kinds::MaxItems { limit } => {
            let items = found.as_array().map_or(0, Vec::len);
            one(Part::Key, format!("{this} has {items} items; at most {limit} are allowed"), meaning(Some(rule)))
        }
        Kinds::Pattern { .. } | Kinds::MinLength { .. } | Kinds::MaxLength { .. } => {
            one(Part::Writing, format!("{this} cannot be written {}", shown(found)), meaning(Some(rule)))
        }
        _ => one(Part::Value, format!("{this} is not acceptable: {}", error.masked()), meaning(Some(rule))),
    }
}

/// The schema that holds the keyword which was not satisfied.
fn rule_of<'a>(error: &ValidationError<'_>, schema: &'a Value) -> &'a Value {
    let keyword = error.schema_path().as_str();
    let holder = keyword.rsplit_once('/').map_or("", |(holder, _)| holder);
    schema.pointer(holder).unwrap_or(&Value::Null)
}

fn surplus(pointer: &str, key: &str, rule: &Value) -> Fault {
    let known = rule["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    Fault {
        pointer: format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        part: Part::SurplusKey,
        message: format!("{} has no place for a key {}", whereabouts(pointer), quote(key)),
        hint: did_you_mean(key, known),
    }
}

fn wrong_type(this: &str, expected: &TypeKind, found: &Value, rule: &Value) -> (String, Option<String>) {
    let expected = match expected {
        TypeKind::Single(single) => *single,
        TypeKind::Multiple(several) => several.iter().next().unwrap_or(JsonType::Null),
    };
    if found.is_null() {
        return (format!("{this} has no value; it must be {}", type_name(expected)), Some("write a value, or delete the key".into()));
    }
    let is_span = rule["pattern"].as_str().is_some_and(|pattern| pattern.contains("min|h|d|y"));
    let hint = match (expected, found) {
        (JsonType::String, Value::Number(_)) if is_span => Some(format!("write its unit too, such as {found}d")),
        (JsonType::String, Value::Number(_) | Value::Bool(_)) => Some(format!("put it in quotes: \"{found}\"")),
        (JsonType::Boolean, Value::String(_)) => Some("write true or false".into()),
        (JsonType::Integer | JsonType::Number, Value::String(text)) if text.trim_start_matches('0').parse::<u64>().is_ok() => {
            Some(format!("write {}, without quotes or leading zeros", text.trim_start_matches('0')))
        }
        (JsonType::Array, Value::String(text)) if text.len() <= 64 => Some(format!("write it as a list: [{text}]")),
        (JsonType::Array, Value::Object(_)) => Some("begin each item with '- '".into()),
        (JsonType::Object, Value::String(_)) => rule["required"][0].as_str().map(|key| format!("write keys and values: {{ {key}: … }}")),
        (JsonType::Object, Value::Array(_)) => Some("leave the '- ' out, and write key: value".into()),
        _ => None,
    };
    let hint = hint.or_else(|| meaning(Some(rule)));
    (format!("{this} must be {}, but is {}", type_name(expected), shown(found)), hint)
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "nothing",
        JsonType::Number => "a number",
        JsonType::Object => "a mapping of keys to values",
        JsonType::String => "text",
    }
}

/// A value in few words.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => quote(text),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a mapping".into(),
    }
}

/// The first sentence of what the schema says about a value.
fn meaning(rule: Option<&Value>) -> Option<String> {
    let description = rule?.get("description")?.as_str()?;
    let sentence = description.split("\n").next()?.split_inclusive(". ").next()?.trim().trim_end_matches('.');
    Some(sentence.to_owned()).filter(|sentence| !sentence.is_empty())
}

/// A JSON pointer as a person would say it: `spec.devices[2].name`.
pub(super) fn whereabouts(pointer: &str) -> String {
    let mut text = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if step.parse::<usize>().is_ok() {
            text.push_str(&format!("[{step}]"));
        } else {
            text.push_str(if text.is_empty() { "" } else { "." });
            text.push_str(quote(&step).trim_matches('\''));
        }
    }
    if text.is_empty() { "the document".into() } else { text }
}
