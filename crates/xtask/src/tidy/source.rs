//! Rust files as tokens and items, with line numbers.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item};

/// A path such as `std::time::SystemTime` as it appears somewhere in the code, macros and `use` groups included.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    /// Its parts.
    pub parts: Vec<String>,
    /// The line of its first part, from 1.
    pub line: usize,
    /// Whether a `!` follows: a macro call.
    pub called: bool,
}

/// Reads a file; one that is not Rust is the compiler's business, not ours.
pub fn parse(text: &str) -> Option<syn::File> {
    syn::parse_file(text).ok()
}

/// Every path in `tokens`, single words included.
pub fn paths(tokens: TokenStream) -> Vec<Path> {
    let mut found = Vec::new();
    collect(tokens, &[], &mut found);
    found
}

/// Walks over `tokens`; `prefix` is what stands before a `use` group.
fn collect(tokens: TokenStream, prefix: &[String], found: &mut Vec<Path>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(first) => {
                let line = first.span().start().line;
                let mut parts = prefix.to_vec();
                parts.push(first.to_string());
                at += 1;
                while let Some(TokenTree::Ident(next)) = after_colons(&tokens, at) {
                    parts.push(next.to_string());
                    at += 3;
                }
                match after_colons(&tokens, at) {
                    Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                        collect(group.stream(), &parts, found);
                        at += 3;
                    }
                    _ => found.push(Path { parts, line, called: is_punct(tokens.get(at), '!') }),
                }
            }
            TokenTree::Group(group) => {
                collect(group.stream(), &[], found);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// The token after `::` at `at`, if that is what stands there.
fn after_colons(tokens: &[TokenTree], at: usize) -> Option<&TokenTree> {
    (is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')).then(|| tokens.get(at + 2)).flatten()
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// The items of a file that are compiled outside tests.
pub fn shipped(file: syn::File) -> impl Iterator<Item = Item> {
    file.items.into_iter().filter(|item| !is_for_tests(attributes(item)))
}

/// True for `#[cfg(test)]`.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && attribute.meta.to_token_stream().to_string().contains("test"))
}

/// What is written above an item in `#[…]`.
pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<String> {
        let paths = paths(text.parse().unwrap());
        paths.iter().map(|path| format!("{}:{}{}", path.line, path.parts.join("::"), if path.called { "!" } else { "" })).collect()
    }

    #[test]
    fn groups_of_a_use_are_spelled_out() {
        assert_eq!(
            written("use std::{fs, time::{Instant, SystemTime}};"),
            ["1:use", "1:std::fs", "1:std::time::Instant", "1:std::time::SystemTime"]
        );
    }

    #[test]
    fn macros_are_looked_into() {
        assert_eq!(written("fn f() {\n println!(\"{}\", std::env::var(\"X\")) }"), ["1:fn", "1:f", "2:println!", "2:std::env::var"]);
    }
}
