//! Gives the Windows program its icon, version and manifest. Nothing of it is in other builds.

fn main() {
    println!("cargo:rerun-if-changed=resources");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("windows") {
        return;
    }
    let part = |name: &str| std::env::var(format!("CARGO_PKG_VERSION_{name}")).unwrap_or_default();
    let numbers = format!("TEGATA_VERSION_NUMBERS={},{},{},0", part("MAJOR"), part("MINOR"), part("PATCH"));
    let text = format!("TEGATA_VERSION={}", std::env::var("CARGO_PKG_VERSION").unwrap_or_default());
    embed_resource::compile("resources/tegata-agent.rc", [numbers, text]).manifest_required().expect("windres or rc makes the resources");
}
