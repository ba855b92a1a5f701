//! One document as a tree that remembers where each of its parts stands.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_yaml::{Location, Spanned};

/// The longest key, in bytes.
pub(super) const KEY_MAX: usize = 256;
/// The key that would merge another mapping into this one.
pub(super) const MERGE_KEY: &str = "<<";

/// A line and a column, both from 1; 0 where unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub line: u32,
    pub column: u32,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: narrow(location.line()), column: narrow(location.column()) }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub at: Place,
    pub node: Node,
}

/// A value. A mapping keeps its order and even keys that are there twice.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Scalar(Value),
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>),
}

/// A key and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub text: String,
    pub at: Place,
}

impl Tree {
    /// How many nodes there are, keys included.
    pub fn size(&self) -> usize {
        1 + match &self.node {
            Node::Scalar(_) => 0,
            Node::List(items) => items.iter().map(Self::size).sum(),
            Node::Map(entries) => entries.iter().map(|(_, value)| 1 + value.size()).sum(),
        }
    }

    /// Its entries, if it is a mapping.
    pub fn entries(&self) -> &[(Key, Self)] {
        if let Node::Map(entries) = &self.node { entries } else { &[] }
    }

    /// Its items, if it is a list.
    pub fn items(&self) -> &[Self] {
        if let Node::List(items) = &self.node { items } else { &[] }
    }

    /// The same without places. Of keys that are there twice, the first counts; keys that no policy can have are left out.
    pub fn value(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::List(items) => items.iter().map(Self::value).collect(),
            Node::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries.iter().filter(|(key, _)| key.text != MERGE_KEY && key.text.len() <= KEY_MAX) {
                    map.entry(key.text.clone()).or_insert_with(|| value.value());
                }
                Value::Object(map)
            }
        }
    }

    /// Where the value at a JSON pointer stands; the nearest value above it if there is none.
    pub fn place_of(&self, pointer: &str) -> Place {
        self.walk(pointer).1
    }

    /// Where the key at a JSON pointer stands; for an item of a list, where the item begins.
    pub fn place_of_key(&self, pointer: &str) -> Place {
        self.walk(pointer).0
    }

    fn walk(&self, pointer: &str) -> (Place, Place) {
        let mut places = (self.at, self.at);
        let mut tree = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &tree.node {
                Node::Map(entries) => entries.iter().find(|(key, _)| key.text == step).map(|(key, value)| (key.at, value)),
                Node::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)).map(|item| (item.at, item)),
                Node::Scalar(_) => None,
            };
            let Some((key, value)) = next else { return places };
            places = (key, value.at);
            tree = value;
        }
        places
    }

    /// Moves everything down by as many lines.
    pub fn move_down(&mut self, lines: u32) {
        self.at.line += lines;
        match &mut self.node {
            Node::Scalar(_) => {}
            Node::List(items) => items.iter_mut().for_each(|item| item.move_down(lines)),
            Node::Map(entries) => {
                for (key, value) in entries {
                    key.at.line += lines;
                    value.move_down(lines);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Node>::deserialize(deserializer)?;
        Ok(Self { at: spanned.referenced.into(), node: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string().into()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string().into()))
    }

    /// `50.0` means 50.
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        if value.fract() == 0.0 && value.abs() < 9e15 {
            return Ok(Node::Scalar((value as i64).into()));
        }
        Ok(Node::Scalar(Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            entries.push((Key { text: key.value, at: key.referenced.into() }, map.next_value()?));
        }
        Ok(Node::Map(entries))
    }
}
