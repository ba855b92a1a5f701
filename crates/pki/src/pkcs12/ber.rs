//! BER, the loose parent of DER (X.690, section 8): read into a tree, and written again as DER.
//!
//! Java tools and NSS write PKCS#12 with lengths left open and byte strings in pieces, which readers of DER refuse.

use x509_parser::asn1_rs::{Class, FromBer as _, Header, Length, Oid, Tag, ToDer as _};
use zeroize::Zeroize as _;

/// How deep objects may be nested. A bundle needs about 12.
const DEPTH_MAX: usize = 32;

/// How many objects are looked at. A bundle with a long chain has some hundreds.
const NODES_MAX: usize = 20_000;

/// One object.
#[derive(Debug)]
pub(super) struct Node {
    class: Class,
    pub(super) tag: Tag,
    pub(super) content: Content,
}

/// What an object consists of.
#[derive(Debug)]
pub(super) enum Content {
    /// A primitive object.
    Bytes(Vec<u8>),
    /// A constructed object.
    Parts(Vec<Node>),
}

/// Reads one object with nothing after it.
pub(super) fn read(bytes: &[u8]) -> Option<Node> {
    let mut nodes_left = NODES_MAX;
    match node(bytes, DEPTH_MAX, &mut nodes_left)? {
        (node, []) => Some(node),
        _ => None,
    }
}

/// Putting objects together.
impl Node {
    fn new(class: Class, tag: Tag, content: Content) -> Self {
        Self { class, tag, content }
    }

    pub(super) fn sequence(parts: Vec<Node>) -> Self {
        Self::new(Class::Universal, Tag::Sequence, Content::Parts(parts))
    }

    /// SET OF: its parts are sorted by what they are written as (X.690, section 11.6).
    pub(super) fn set(mut parts: Vec<Node>) -> Self {
        parts.sort_by_cached_key(Node::to_der);
        Self::new(Class::Universal, Tag::Set, Content::Parts(parts))
    }

    /// [0] EXPLICIT.
    pub(super) fn surrounding(parts: Vec<Node>) -> Self {
        Self::new(Class::ContextSpecific, Tag(0), Content::Parts(parts))
    }

    /// [0] IMPLICIT OCTET STRING.
    pub(super) fn implicit(bytes: &[u8]) -> Self {
        Self::new(Class::ContextSpecific, Tag(0), Content::Bytes(bytes.to_vec()))
    }

    pub(super) fn octets(bytes: &[u8]) -> Self {
        Self::new(Class::Universal, Tag::OctetString, Content::Bytes(bytes.to_vec()))
    }

    pub(super) fn oid(oid: &Oid<'_>) -> Self {
        Self::new(Class::Universal, Tag::Oid, Content::Bytes(oid.as_bytes().to_vec()))
    }

    pub(super) fn null() -> Self {
        Self::new(Class::Universal, Tag::Null, Content::Bytes(Vec::new()))
    }

    pub(super) fn bmp_string(text: &str) -> Self {
        let bytes = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        Self::new(Class::Universal, Tag::BmpString, Content::Bytes(bytes))
    }

    /// A number, in as few bytes as keep it positive.
    pub(super) fn integer(number: u32) -> Self {
        let bytes = i64::from(number).to_be_bytes();
        let needed = bytes.len() - 1 - bytes.windows(2).take_while(|pair| pair[0] == 0 && pair[1] < 0x80).count();
        Self::new(Class::Universal, Tag::Integer, Content::Bytes(bytes[bytes.len() - 1 - needed..].to_vec()))
    }
}

/// Looking into objects, and writing them.
impl Node {
    /// Its parts; none if it is primitive.
    pub(super) fn parts(&self) -> &[Node] {
        match &self.content {
            Content::Parts(parts) => parts,
            Content::Bytes(_) => &[],
        }
    }

    /// Its bytes, if it is a primitive object of this kind.
    pub(super) fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        match &self.content {
            Content::Bytes(bytes) if self.is(tag) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of a primitive object whose kind is replaced by a number of its context.
    pub(super) fn implicit_bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Bytes(bytes) if self.class == Class::ContextSpecific => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn is(&self, tag: Tag) -> bool {
        self.class == Class::Universal && self.tag == tag
    }

    /// Overwrites what it holds, for what was encrypted before.
    pub(super) fn wipe(&mut self) {
        match &mut self.content {
            Content::Bytes(bytes) => bytes.zeroize(),
            Content::Parts(parts) => parts.iter_mut().for_each(Node::wipe),
        }
    }

    /// Writes it as DER. The order inside of a SET stays: readers sort for themselves.
    pub(super) fn to_der(&self) -> Option<Vec<u8>> {
        let content = match &self.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Parts(parts) => parts.iter().map(Node::to_der).collect::<Option<Vec<_>>>()?.concat(),
        };
        let constructed = matches!(self.content, Content::Parts(_));
        let mut der = Vec::with_capacity(content.len() + 6);
        let header = Header::new(self.class, constructed, self.tag, Length::Definite(content.len()));
        header.write_der_header(&mut der).ok()?;
        der.extend_from_slice(&content);
        Some(der)
    }
}

fn node<'a>(bytes: &'a [u8], depth_left: usize, nodes_left: &mut usize) -> Option<(Node, &'a [u8])> {
    let depth_left = depth_left.checked_sub(1)?;
    *nodes_left = nodes_left.checked_sub(1)?;
    let (rest, header) = Header::from_ber(bytes).ok()?;
    let (content, rest) = match header.length() {
        Length::Definite(length) => {
            let (inside, rest) = rest.split_at_checked(length)?;
            let content = if header.is_constructed() {
                Content::Parts(all(inside, depth_left, nodes_left)?)
            } else {
                Content::Bytes(inside.to_vec())
            };
            (content, rest)
        }
        Length::Indefinite => {
            let (parts, rest) = until_end(rest, depth_left, nodes_left)?;
            (Content::Parts(parts), rest)
        }
    };
    let node = Node { class: header.class(), tag: header.tag(), content };
    Some((in_one_piece(node)?, rest))
}

fn all(mut inside: &[u8], depth_left: usize, nodes_left: &mut usize) -> Option<Vec<Node>> {
    let mut parts = Vec::new();
    while !inside.is_empty() {
        let (part, rest) = node(inside, depth_left, nodes_left)?;
        parts.push(part);
        inside = rest;
    }
    Some(parts)
}

/// Reads parts up to the end-of-contents octets (X.690, section 8.1.5).
fn until_end<'a>(mut bytes: &'a [u8], depth_left: usize, nodes_left: &mut usize) -> Option<(Vec<Node>, &'a [u8])> {
    let mut parts = Vec::new();
    loop {
        if let Some(rest) = bytes.strip_prefix(&[0, 0]) {
            return Some((parts, rest));
        }
        let (part, rest) = node(bytes, depth_left, nodes_left)?;
        parts.push(part);
        bytes = rest;
    }
}

/// Joins byte strings that were written in pieces.
fn in_one_piece(mut node: Node) -> Option<Node> {
    if node.is(Tag::OctetString) {
        node.content = joined(node.content)?;
    }
    // EncryptedContentInfo (RFC 5652, section 8): its [0] replaces the tag of a byte string; everywhere else in a bundle [0] surrounds.
    if let (true, Content::Parts(parts)) = (node.is(Tag::Sequence), &mut node.content)
        && let [kind, algorithm, encrypted] = parts.as_mut_slice()
        && kind.is(Tag::Oid)
        && algorithm.is(Tag::Sequence)
        && encrypted.class == Class::ContextSpecific
    {
        encrypted.content = joined(std::mem::replace(&mut encrypted.content, Content::Bytes(Vec::new())))?;
    }
    Some(node)
}

fn joined(content: Content) -> Option<Content> {
    let Content::Parts(pieces) = content else { return Some(content) };
    let pieces = pieces.iter().map(|piece| piece.bytes(Tag::OctetString)).collect::<Option<Vec<_>>>()?;
    Some(Content::Bytes(pieces.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(ber: &[u8]) -> Option<Vec<u8>> {
        read(ber)?.to_der()
    }

    #[test]
    fn open_lengths_are_closed_and_pieces_are_joined() {
        assert_eq!(der(&[0x30, 0x80, 0x02, 0x01, 0x03, 0, 0]).unwrap(), [0x30, 3, 2, 1, 3]);
        assert_eq!(der(&[0x24, 0x80, 0x04, 1, 7, 0x04, 2, 8, 9, 0, 0]).unwrap(), [0x04, 3, 7, 8, 9]);
        assert_eq!(der(&[0x30, 0x81, 0x03, 0x02, 0x01, 0x03]).unwrap(), [0x30, 3, 2, 1, 3]);
        let encrypted = [0x30, 0x80, 0x06, 1, 42, 0x30, 0, 0xa0, 0x80, 0x04, 1, 7, 0x04, 1, 8, 0, 0, 0, 0];
        assert_eq!(der(&encrypted).unwrap(), [0x30, 9, 6, 1, 42, 0x30, 0, 0x80, 2, 7, 8]);
    }

    #[test]
    fn der_stays_as_it_is() {
        let long = [&[0x30, 0x81, 0x85, 0x04, 0x81, 0x82][..], &[9; 130]].concat();
        assert_eq!(der(&long).unwrap(), long);
        let tagged = [0xa0, 4, 0x9f, 0x81, 0x01, 0];
        assert_eq!(der(&tagged).unwrap(), tagged);
    }

    #[test]
    fn numbers_are_short_and_positive() {
        for (number, written) in [(0, &[2, 1, 0][..]), (127, &[2, 1, 127]), (128, &[2, 2, 0, 128]), (10_000, &[2, 2, 0x27, 0x10])] {
            assert_eq!(Node::integer(number).to_der().unwrap(), written, "{number}");
        }
    }

    #[test]
    fn the_parts_of_a_set_are_in_order() {
        assert_eq!(Node::set(vec![Node::integer(300), Node::integer(3)]).to_der().unwrap(), [0x31, 7, 2, 1, 3, 2, 2, 1, 44]);
    }

    #[test]
    fn what_never_ends_is_refused() {
        assert!(read(&[]).is_none());
        assert!(read(&[0x30, 0x80]).is_none());
        assert!(read(&[0x30, 3, 2, 1]).is_none());
        assert!(read(&[2, 1, 3, 0]).is_none(), "bytes follow");
        assert!(read(&[0x24, 3, 2, 1, 3]).is_none(), "a byte string of numbers");
        assert!(read(&[0x30; 1000]).is_none());
        assert!(read(&[0x30, 0x80].repeat(100_000)).is_none(), "too deep");
        assert!(read(&[&[0x30, 0x80][..], &[5, 0].repeat(100_000), &[0, 0]].concat()).is_none(), "too many");
    }
}
