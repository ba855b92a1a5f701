//! The language of whoever sits in front of the screen, for the few things that clinic staff read here.

/// True if the surroundings ask for Japanese (POSIX: `LC_ALL`, then `LC_MESSAGES`, then `LANG`).
pub fn is_japanese() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).is_some_and(|locale| locale.starts_with("ja"))
}
