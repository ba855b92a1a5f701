//! Source files that no `mod` names are never compiled, and their tests never run.

use std::collections::BTreeSet;

use syn::Item;

use super::{Finding, Tree, source};

/// Every `.rs` file is reached from a target of its package.
pub fn orphans(tree: &Tree) -> Vec<Finding> {
    let mut reached = BTreeSet::new();
    for target in tree.members().flat_map(|member| member.targets()) {
        let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        reach(tree, &target, &folder, &mut reached);
    }
    let forgotten = tree.with_extension("rs").filter(|(path, _)| !reached.contains(*path));
    let message = "no `mod` names this file: nothing in it is compiled or tested";
    forgotten.map(|(path, _)| Finding { file: path.to_owned(), line: 1, message: message.to_owned() }).collect()
}

/// Every `.rs` file begins with `//!`: what the module is for. A `tests.rs` has said it by its name.
pub fn headers(tree: &Tree) -> Vec<Finding> {
    let silent = tree.with_extension("rs").filter(|(path, text)| !path.ends_with("/tests.rs") && !text.starts_with("//! "));
    let message = "the first line does not say what the module is for (`//! …`)";
    silent.map(|(path, _)| Finding { file: path.to_owned(), line: 1, message: message.to_owned() }).collect()
}

/// Notes `path` and what its modules reach; `folder` is where the files of its modules lie.
fn reach(tree: &Tree, path: &str, folder: &str, reached: &mut BTreeSet<String>) {
    if !reached.insert(path.to_owned()) {
        return;
    }
    if let Some(file) = tree.files.get(path).and_then(|text| source::parse(text)) {
        reach_modules(tree, &file.items, path, folder, reached);
    }
}

fn reach_modules(tree: &Tree, items: &[Item], path: &str, folder: &str, reached: &mut BTreeSet<String>) {
    for item in items {
        let Item::Mod(module) = item else { continue };
        let inner = format!("{folder}/{}", module.ident);
        match (&module.content, named_file(module)) {
            (Some((_, items)), _) => reach_modules(tree, items, path, &inner, reached),
            (None, Some(file)) => {
                let beside = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                reach(tree, &format!("{beside}/{file}"), &inner, reached);
            }
            (None, None) => reach(tree, &format!("{inner}.rs"), &inner, reached),
        }
    }
}

/// The file of `#[path = "…"]`.
fn named_file(module: &syn::ItemMod) -> Option<String> {
    module.attrs.iter().filter(|attribute| attribute.path().is_ident("path")).find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{package, shown, tree};
    use super::*;

    #[test]
    fn a_file_that_no_mod_names_is_found() {
        let bad = tree(&[
            ("crates/a/src/lib.rs", "mod plan;\nmod inline { mod deep; }\n"),
            ("crates/a/src/plan.rs", "mod pace;"),
            ("crates/a/src/plan/pace.rs", ""),
            ("crates/a/src/plan/forgotten.rs", ""),
            ("crates/a/src/inline/deep.rs", ""),
            ("crates/a/src/pace.rs", ""),
        ])
        .with(package("a", &[]));
        assert_eq!(
            shown(&orphans(&bad)),
            [
                "crates/a/src/pace.rs:1: no `mod` names this file: nothing in it is compiled or tested",
                "crates/a/src/plan/forgotten.rs:1: no `mod` names this file: nothing in it is compiled or tested",
            ]
        );
    }

    #[test]
    fn a_path_attribute_is_followed() {
        let good =
            tree(&[("crates/a/src/lib.rs", "#[path = \"other.rs\"] mod plan;"), ("crates/a/src/other.rs", "")]).with(package("a", &[]));
        assert_eq!(orphans(&good), []);
    }

    #[test]
    fn a_module_that_does_not_say_what_it_is_for_is_found() {
        let bad = tree(&[("a.rs", "//! Plans.\n"), ("b.rs", "use std::fmt;\n//! Too late.\n"), ("a/tests.rs", "use super::*;")]);
        assert_eq!(shown(&headers(&bad)), ["b.rs:1: the first line does not say what the module is for (`//! …`)"]);
    }
}
