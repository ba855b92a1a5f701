//! Lets a test pull the plug between any two effects, or fill the disk. Compiled into tests only.

use std::cell::Cell;

thread_local! {
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    static FULL: Cell<bool> = const { Cell::new(false) };
}

/// What a test sees instead of a power cut.
pub(crate) struct Unplugged;

/// Pulls the plug at the `n`-th point from now, counted from 0; `None` never.
pub(crate) fn after(n: Option<u32>) {
    LEFT.set(n);
}

/// A place where the plug may be pulled: before and after whatever lasts.
pub(crate) fn point() {
    match LEFT.get() {
        Some(0) => {
            LEFT.set(None);
            std::panic::panic_any(Unplugged);
        }
        Some(left) => LEFT.set(Some(left - 1)),
        None => {}
    }
}

/// Fills the disk, or makes room.
pub(crate) fn fill(is_full: bool) {
    FULL.set(is_full);
}

/// What a write meets.
pub(crate) fn room() -> std::io::Result<()> {
    if FULL.get() { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}
