//! A list of policies whose elements are numbered values, as in the Windows registry. Others write into the same list: their elements are
//! never changed and keep their numbers. Ours are those that we remember, by number and text both; nothing else is taken for ours.

use std::collections::{BTreeMap, BTreeSet};

/// What is in the list: every value's name, and its text if it is one.
pub(super) type List = BTreeMap<String, Option<String>>;
/// Elements of ours: name and text. While they are being written, a name may be there with its old and with its new text.
pub(super) type Elements = BTreeSet<(String, String)>;

/// What has to be done, and what is ours once it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) write: BTreeMap<String, String>,
    pub(super) remove: BTreeSet<String>,
    pub(super) ours: Elements,
}

impl Change {
    pub(super) fn is_none(&self) -> bool {
        self.write.is_empty() && self.remove.is_empty()
    }
}

/// What makes ours the `wanted` ones, each once. A text that goes gives its number to one that comes, so that it is replaced in one step.
/// Browsers pass over gaps in the numbers (Chromium, `registry_dict.cc`).
pub(super) fn change(list: &List, remembered: &Elements, wanted: &BTreeSet<String>) -> Change {
    let (mut ours, mut kept, mut left) = (Elements::new(), BTreeSet::new(), BTreeSet::new());
    for (name, text) in list.iter().filter(|(name, text)| is_ours(name, text.as_deref(), remembered)) {
        let text = text.clone().unwrap_or_default();
        if wanted.contains(&text) && kept.insert(text.clone()) {
            ours.insert((name.clone(), text));
        } else {
            left.insert(name.clone());
        }
    }
    let free = (1_u32..).map(|number| number.to_string()).filter(|name| !list.contains_key(name));
    let names = left.clone().into_iter().chain(free);
    let write: BTreeMap<String, String> = names.zip(wanted.difference(&kept).cloned()).collect();
    ours.extend(write.clone());
    Change { remove: left.into_iter().filter(|name| !write.contains_key(name)).collect(), write, ours }
}

/// True if there is an element of somebody else's.
pub(super) fn has_foreign(list: &List, remembered: &Elements) -> bool {
    list.iter().any(|(name, text)| !is_ours(name, text.as_deref(), remembered))
}

fn is_ours(name: &str, text: Option<&str>, remembered: &Elements) -> bool {
    text.is_some_and(|text| remembered.contains(&(name.to_owned(), text.to_owned())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(texts: &[(&str, &str)]) -> List {
        texts.iter().map(|(name, text)| ((*name).to_owned(), Some((*text).to_owned()))).collect()
    }

    fn elements(texts: &[(&str, &str)]) -> Elements {
        texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn carry_out(list: &mut List, change: &Change) {
        list.extend(change.write.iter().map(|(name, text)| (name.clone(), Some(text.clone()))));
        list.retain(|name, _| !change.remove.contains(name));
    }

    #[test]
    fn ours_come_beside_those_of_others_and_change_in_their_own_places() {
        for (case, there, remembered, wanted, after) in [
            ("an empty list", &[][..], &[][..], &["a", "b"][..], &[("1", "a"), ("2", "b")][..]),
            ("others keep their numbers", &[("1", "x"), ("3", "y")], &[], &["a", "b"], &[("1", "x"), ("2", "a"), ("3", "y"), ("4", "b")]),
            ("one is replaced", &[("1", "x"), ("2", "a")], &[("2", "a")], &["b"], &[("1", "x"), ("2", "b")]),
            ("one goes", &[("1", "a"), ("2", "x"), ("3", "b")], &[("1", "a"), ("3", "b")], &["b"], &[("2", "x"), ("3", "b")]),
            ("all go", &[("1", "x"), ("2", "a")], &[("2", "a")], &[], &[("1", "x")]),
            ("our number has another's text now", &[("1", "x")], &[("1", "a")], &["a"], &[("1", "x"), ("2", "a")]),
            ("another has written the same", &[("1", "a")], &[], &["a"], &[("1", "a"), ("2", "a")]),
            ("a crash before a text was replaced", &[("1", "a")], &[("1", "a"), ("1", "b")], &["b"], &[("1", "b")]),
            ("a crash after that", &[("1", "b")], &[("1", "a"), ("1", "b")], &["b"], &[("1", "b")]),
            ("one twice", &[("1", "a"), ("2", "a")], &[("1", "a"), ("2", "a")], &["a"], &[("1", "a")]),
        ] {
            let mut there = list(there);
            let change = change(&there, &elements(remembered), &wanted.iter().map(ToString::to_string).collect());
            carry_out(&mut there, &change);
            assert_eq!(there, list(after), "{case}");
        }
    }

    #[test]
    fn what_is_no_text_is_somebody_elses() {
        let there = List::from([("1".to_owned(), None)]);
        let remembered = elements(&[("1", "")]);
        assert!(has_foreign(&there, &remembered));
        let change = change(&there, &remembered, &BTreeSet::from(["a".to_owned()]));
        assert_eq!(change.write, BTreeMap::from([("2".to_owned(), "a".to_owned())]));
        assert!(change.remove.is_empty());
    }

    fn any_list() -> impl Strategy<Value = List> {
        proptest::collection::btree_map("[1-6]|x", proptest::option::of("[a-d]"), 0..6)
    }

    proptest! {
        /// Whatever was there and whatever is remembered, even of a crash.
        #[test]
        fn others_stay_as_they_are_ours_are_exactly_the_wanted_and_a_second_time_nothing_is_done(
            there in any_list(),
            remembered in proptest::collection::btree_set(("[1-6]", "[a-d]"), 0..8),
            wanted in proptest::collection::btree_set("[a-f]", 0..5),
        ) {
            let is_foreign = |(name, text): &(&String, &Option<String>)| !is_ours(name, text.as_deref(), &remembered);
            let foreign: List = there.iter().filter(is_foreign).map(|(name, text)| (name.clone(), text.clone())).collect();
            let first = change(&there, &remembered, &wanted);
            let mut after = there.clone();
            carry_out(&mut after, &first);
            let others: List = after.clone().into_iter().filter(|(name, _)| !first.ours.iter().any(|(ours, _)| ours == name)).collect();
            prop_assert_eq!(others, foreign);
            let texts: Vec<&String> = first.ours.iter().map(|(_, text)| text).collect();
            prop_assert_eq!(texts.len(), wanted.len());
            prop_assert!(texts.iter().all(|text| wanted.contains(*text)));
            let again = change(&after, &first.ours, &wanted);
            prop_assert!(again.is_none());
            prop_assert_eq!(again.ours, first.ours);
        }

        /// However far a change came before the power failed: what was meant is remembered first.
        #[test]
        fn a_crash_between_any_two_writes_heals(
            there in any_list(),
            wanted in proptest::collection::btree_set("[a-f]", 0..5),
            later in proptest::collection::btree_set("[a-f]", 0..5),
            steps in 0_usize..8,
        ) {
            let first = change(&there, &Elements::new(), &wanted);
            let mut now = there.clone();
            carry_out(&mut now, &first);
            let second = change(&now, &first.ours, &later);
            let meant: Elements = first.ours.union(&second.ours).cloned().collect();
            let writes = second.write.iter().map(|(name, text)| (name, Some(text)));
            let removals = second.remove.iter().map(|name| (name, None));
            for (name, text) in writes.chain(removals).take(steps) {
                match text {
                    Some(text) => now.insert(name.clone(), Some(text.clone())),
                    None => now.remove(name),
                };
            }
            let none = change(&now, &meant, &BTreeSet::new());
            carry_out(&mut now, &none);
            prop_assert_eq!(now, there);
        }
    }
}
