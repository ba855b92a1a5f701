//! A list of texts that others write into as well, such as an array of preferences: theirs stay as they are and where they are, and ours
//! come last. Ours are those that we remember; of a text that is there twice, one is somebody else's.

use std::collections::BTreeSet;

/// The list with exactly the `wanted` of ours, and which of its elements are ours. A text that somebody else has put there is in force
/// already, and stays theirs.
pub(super) fn merged(list: &[String], remembered: &BTreeSet<String>, wanted: &BTreeSet<String>) -> (Vec<String>, BTreeSet<String>) {
    let mut left = remembered.clone();
    // From the end: ours came last.
    let mut foreign: Vec<String> = list.iter().rev().filter(|text| !left.remove(*text)).cloned().collect();
    foreign.reverse();
    let ours: BTreeSet<String> = wanted.iter().filter(|text| !foreign.contains(text)).cloned().collect();
    (foreign.into_iter().chain(ours.clone()).collect(), ours)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ours_come_last_and_change_and_go_alone() {
        for (case, list, remembered, wanted, after, ours) in [
            ("an empty list", &[][..], &[][..], &["b", "a"][..], &["a", "b"][..], &["a", "b"][..]),
            ("others stay", &["x", "y"], &[], &["a"], &["x", "y", "a"], &["a"]),
            ("one is replaced", &["x", "a"], &["a"], &["b"], &["x", "b"], &["b"]),
            ("all go", &["x", "a"], &["a"], &[], &["x"], &[]),
            ("somebody came after us", &["a", "x"], &["a"], &["a"], &["x", "a"], &["a"]),
            ("somebody has written the same before", &["a"], &[], &["a"], &["a"], &[]),
            ("somebody has written the same after", &["a", "a"], &["a"], &[], &["a"], &[]),
            ("a crash before it was written", &["x"], &["a"], &["a"], &["x", "a"], &["a"]),
            ("a crash after that", &["x", "a"], &["a", "b"], &["b"], &["x", "b"], &["b"]),
        ] {
            let set = |list: &[&str]| texts(list).into_iter().collect::<BTreeSet<_>>();
            assert_eq!(merged(&texts(list), &set(remembered), &set(wanted)), (texts(after), set(ours)), "{case}");
        }
    }

    proptest! {
        /// What was there before us is there after us, whatever was wanted meanwhile, also if the power failed before or after a write.
        #[test]
        fn what_was_there_comes_back_in_its_order(
            before in proptest::collection::vec("[a-e]", 0..6),
            wanted in proptest::collection::btree_set("[a-h]", 0..5),
            later in proptest::collection::btree_set("[a-h]", 0..5),
            is_written: bool,
        ) {
            let (list, ours) = merged(&before, &BTreeSet::new(), &wanted);
            prop_assert!(wanted.iter().all(|text| list.contains(text)));
            prop_assert_eq!(&merged(&list, &ours, &wanted), &(list.clone(), ours.clone()));
            let (next, next_ours) = merged(&list, &ours, &later);
            let meant = ours.union(&next_ours).cloned().collect();
            let now = if is_written { next } else { list };
            prop_assert_eq!(merged(&now, &meant, &BTreeSet::new()), (before, BTreeSet::new()));
        }
    }
}
