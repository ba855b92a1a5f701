//! `tegata get access` and `tegata describe access`: who may do what.

use tegata_api::v1::access::Binding;

use crate::get::named::Named;
use crate::output::Look;
use crate::table::{Field, Table};

impl Named for Binding {
    const WHAT: &'static str = "binding";

    fn is_called(&self, name: &str) -> bool {
        self.name == name
    }
}

/// Bindings as a table.
pub fn table(bindings: &[Binding], look: &Look) -> String {
    let mut table = Table::new(look, ["NAME", "SUBJECT", "ROLE", "CLINICS", "ALONE", "STATE", "UNTIL"]);
    for binding in bindings {
        table.row([
            (*binding.name).into(),
            (*binding.subject).into(),
            (*binding.role).into(),
            reached(binding).into(),
            binding.alone.map(|devices| devices.to_string()).into(),
            Field::State(state(binding).into()),
            super::moment(binding.not_after),
        ]);
    }
    table.or("No AccessBindings: nobody but the installation's owners may do anything here.")
}

/// One binding in full.
pub fn one(binding: &Binding, look: &Look) -> String {
    let rights = binding.rights.iter().map(|right| format!("\n  {right}")).collect::<String>();
    format!("{}\n\nRights of the role {}{rights}", table(std::slice::from_ref(binding), look), binding.role)
}

fn reached(binding: &Binding) -> String {
    binding.clinics.as_ref().map_or_else(|| "(all)".to_owned(), |clinics| clinics.join(", "))
}

fn state(binding: &Binding) -> &'static str {
    if binding.in_force { "in-force" } else { "expired" }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn a_binding_says_who_may_do_what_and_where() {
        let look = test_look();
        let binding = |name: &str, clinics: Option<&[&str]>, in_force: bool| Binding {
            name: name.into(),
            subject: "token ito".into(),
            role: "auditor".into(),
            rights: vec!["read-fleet".into(), "read-audit".into()],
            clinics: clinics.map(|clinics| clinics.iter().map(ToString::to_string).collect()),
            not_after: Some(look.now.unix() + 86_400),
            alone: in_force.then_some(20),
            in_force,
        };
        let list = [binding("ito", None, true), binding("old", Some(&["kaede", "sakura"]), false)];
        expect![[r#"
            NAME  SUBJECT    ROLE     CLINICS        ALONE  STATE     UNTIL
            ito   token ito  auditor  (all)          20     in-force  2026-11-19 20:06 (in 24 h)
            old   token ito  auditor  kaede, sakura  –      expired   2026-11-19 20:06 (in 24 h)"#]]
        .assert_eq(&table(&list, &look));
        assert!(one(&list[0], &look).ends_with("Rights of the role auditor\n  read-fleet\n  read-audit"));
    }
}
