//! Functions fit on a screen, files can be read in one sitting.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{Finding, Tree, source};

/// Lines from signature to closing brace.
const FUNCTION_MAX: usize = 70;
/// Lines of a file without its tests.
const FILE_MAX: usize = 600;

/// No function is longer than [`FUNCTION_MAX`] lines.
pub fn functions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension("rs") {
        let Some(file) = source::parse(text) else { continue };
        let mut functions = Functions::default();
        functions.visit_file(&file);
        for (name, line, lines) in functions.found.into_iter().filter(|(_, _, lines)| *lines > FUNCTION_MAX) {
            let message = format!("`{name}` has {lines} lines; {FUNCTION_MAX} are allowed: split it into named pieces");
            findings.push(Finding { file: path.to_owned(), line, message });
        }
    }
    findings
}

/// Name, first line and number of lines of each function.
#[derive(Default)]
struct Functions {
    found: Vec<(String, usize, usize)>,
}

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let (first, last) = (signature.span().start().line, body.span().end().line);
        self.found.push((signature.ident.to_string(), first, last + 1 - first));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// No file is longer than [`FILE_MAX`] lines, tests aside.
pub fn files(tree: &Tree) -> Vec<Finding> {
    let shipped = tree.with_extension("rs").filter(|(path, _)| !is_test_file(path));
    let too_long = shipped.filter_map(|(path, text)| {
        let lines = shipped_lines(text);
        let message = format!("{lines} lines without tests; {FILE_MAX} are allowed: split it by what a reader looks for");
        (lines > FILE_MAX).then(|| Finding { file: path.to_owned(), line: 1, message })
    });
    too_long.collect()
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn shipped_lines(text: &str) -> usize {
    let Some(file) = source::parse(text) else { return text.lines().count() };
    let tests = file.items.iter().filter(|item| source::is_for_tests(source::attributes(item)));
    let test_lines: usize = tests.map(|item| item.span().end().line + 1 - item.span().start().line).sum();
    text.lines().count() - test_lines
}

#[cfg(test)]
mod tests {
    use super::super::samples::{shown, tree};
    use super::*;

    #[test]
    fn a_function_of_71_lines_is_too_long_and_one_of_70_is_not() {
        let function = |lines: usize| format!("/// Says nothing.\nfn endless() {{\n{}}}\n", "    f();\n".repeat(lines - 2));
        assert_eq!(functions(&tree(&[("a.rs", &function(70))])), []);
        assert_eq!(
            shown(&functions(&tree(&[("a.rs", &function(71))]))),
            ["a.rs:2: `endless` has 71 lines; 70 are allowed: split it into named pieces"]
        );
    }

    #[test]
    fn methods_and_functions_inside_functions_count_too() {
        let body = "f();\n".repeat(80);
        let text = format!("impl X {{ fn a() {{ {body} }} }}\ntrait T {{ fn b() {{ {body} }} }}\nfn c() {{ fn d() {{ {body} }} }}");
        let names: Vec<String> = functions(&tree(&[("a.rs", &text)])).into_iter().map(|finding| finding.message[..3].to_owned()).collect();
        assert_eq!(names, ["`a`", "`b`", "`c`", "`d`"]);
    }

    #[test]
    fn a_long_file_is_found_but_its_tests_are_free() {
        let code = "const A: u8 = 1;\n".repeat(601);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert_eq!(files(&tree(&[("a.rs", &tests), ("tests/e2e/b.rs", &code)])), []);
        assert_eq!(
            shown(&files(&tree(&[("a.rs", &code)]))),
            ["a.rs:1: 601 lines without tests; 600 are allowed: split it by what a reader looks for"]
        );
    }
}
