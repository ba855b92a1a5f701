//! Collects what is wrong while a document is read, instead of stopping at the first mistake.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::str::FromStr;

use tegata_core::name::NameError;

use super::{FINDINGS_MAX, Source};
use crate::hint::quote;
use crate::v1::problem::Finding;

/// A place inside a document, kept as a chain of steps: it becomes a text only when something is wrong there.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    above: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Item(usize),
}

impl At<'_> {
    pub const ROOT: At<'static> = At { above: None, step: Step::Root };

    /// The value of a key in here.
    pub fn key<'b>(&'b self, key: &'b str) -> At<'b> {
        At { above: Some(self), step: Step::Key(key) }
    }

    /// The item with this number, from 0, in here.
    pub fn item(&self, index: usize) -> At<'_> {
        At { above: Some(self), step: Step::Item(index) }
    }

    /// The same as a JSON pointer (RFC 6901).
    pub fn pointer(&self) -> String {
        let above = self.above.map(At::pointer).unwrap_or_default();
        match self.step {
            Step::Root => above,
            Step::Key(key) => format!("{above}/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Item(index) => format!("{above}/{index}"),
        }
    }
}

/// What is wrong with a text, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub message: String,
    pub hint: Option<String>,
}

impl Wrong {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// What is wrong with one document.
pub(super) struct Gather<'a> {
    source: &'a Source,
    pub findings: Vec<Finding>,
}

impl<'a> Gather<'a> {
    pub fn new(source: &'a Source) -> Self {
        Self { source, findings: Vec::new() }
    }

    /// True for a document that comes from a file. One that is stored was accepted before, by the rules of its day, and stays in force.
    pub fn is_new(&self) -> bool {
        self.source.tree.is_some()
    }

    /// True once so much is wrong that more would not be shown anyway: time to stop looking.
    pub fn is_full(&self) -> bool {
        self.findings.len() > FINDINGS_MAX
    }

    /// Something is wrong with the value at this place.
    pub fn say(&mut self, at: &At<'_>, wrong: Wrong) {
        if self.is_full() {
            return;
        }
        let pointer = at.pointer();
        let finding = self.source.finding(&pointer, self.source.place_of(&pointer), wrong);
        self.findings.push(finding);
    }

    /// Something is wrong with the key at this place.
    pub fn say_of_key(&mut self, at: &At<'_>, wrong: Wrong) {
        if self.is_full() {
            return;
        }
        let pointer = at.pointer();
        let finding = self.source.finding(&pointer, self.source.place_of_key(&pointer), wrong);
        self.findings.push(finding);
    }

    /// Takes what was read, or says why it could not be.
    pub fn take<T>(&mut self, at: &At<'_>, read: Result<T, Wrong>) -> Option<T> {
        read.map_err(|wrong| self.say(at, wrong)).ok()
    }

    /// Reads a name or another checked text.
    pub fn name<T: FromStr<Err = NameError>>(&mut self, at: &At<'_>, text: &str) -> Option<T> {
        self.take(at, text.parse().map_err(|error| not_a_name::<T>(text, error)))
    }

    /// Puts something in a map under its name, or says that the name is there already.
    pub fn unique<K: Ord + ToString, V>(&mut self, into: &mut BTreeMap<K, V>, at: &At<'_>, what: &str, key: K, value: V) {
        match into.entry(key) {
            Entry::Vacant(place) => drop(place.insert(value)),
            Entry::Occupied(place) => {
                let message = format!("there are two {what} named {}", quote(&place.key().to_string()));
                self.say(at, Wrong::new(message, "each needs a name of its own"));
            }
        }
    }
}

fn not_a_name<T: FromStr<Err = NameError>>(text: &str, error: NameError) -> Wrong {
    let tidied: String =
        text.trim().chars().flat_map(char::to_lowercase).map(|c| if matches!(c, ' ' | '_' | '.') { '-' } else { c }).collect();
    let rule = format!("{} must be {}", error.expected, error.rule);
    let hint = if tidied != text && tidied.parse::<T>().is_ok() { format!("{rule}; did you mean {}?", quote(&tidied)) } else { rule };
    Wrong::new(format!("{} is not {}", quote(text), error.expected), hint)
}
