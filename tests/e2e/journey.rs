//! The path that users walk.

use anyhow::Result;

#[test]
fn placeholder() -> Result<()> {
    Ok(())
}
