//! Which crate may know which: the arrows of ARCHITECTURE.md, and the fences that each crate exists for.

use super::{Finding, Tree};

/// Each package, and those of the workspace that it may name. Nothing here may ever point back.
const ARROWS: [(&str, &[&str]); 12] = [
    ("tegata-core", &[]),
    ("tegata-tlog", &[]),
    ("tegata-witness", &["tegata-tlog"]),
    ("tegata-pki", &["tegata-core"]),
    ("tegata-api", &["tegata-core"]),
    ("tegata-ssh", &[]),
    ("tegata-playbook", &["tegata-core", "tegata-pki", "tegata-api", "tegata-ssh"]),
    // The witness only in its tests, as a real peer.
    ("tegata-server", &["tegata-core", "tegata-pki", "tegata-api", "tegata-ssh", "tegata-tlog", "tegata-witness"]),
    ("tegata-agent", &["tegata-core", "tegata-pki", "tegata-api", "tegata-tlog"]),
    (
        "tegata",
        &["tegata-core", "tegata-pki", "tegata-api", "tegata-server", "tegata-ssh", "tegata-tlog", "tegata-playbook", "tegata-witness"],
    ),
    ("xtask", &[]),
    (
        "tegata-tests",
        &["tegata-core", "tegata-pki", "tegata-api", "tegata-server", "tegata-agent", "tegata-ssh", "tegata-playbook", "tegata-tlog"],
    ),
];

/// Outside crates that only these packages may name outside their tests.
const FENCES: [(&str, &[&str]); 17] = [
    ("rcgen", &["tegata-pki"]),
    ("p12-keystore", &["tegata-pki"]),
    ("age", &["tegata-pki", "tegata-api"]),
    ("schemars", &["tegata-api"]),
    ("jsonschema", &["tegata-api"]),
    ("sqlx", &["tegata-server"]),
    ("axum", &["tegata-server"]),
    ("libloading", &["tegata-agent"]),
    ("rustix", &["tegata-agent", "tegata"]),
    ("ssh2", &["tegata-ssh"]),
    ("object_store", &["tegata-server"]),
    ("windows-registry", &["tegata-agent"]),
    ("windows-service", &["tegata-agent"]),
    ("windows-sys", &["tegata-agent"]),
    ("clap", &["tegata", "tegata-agent", "xtask"]),
    ("indicatif", &["tegata"]),
    ("syn", &["xtask"]),
];

/// Crates that must not be built, whoever asks for them: one provider of cryptography, and no C library of the system's.
const BANNED: [&str; 5] = ["ring", "openssl", "openssl-sys", "native-tls", "mbedtls"];

/// A package names only those that its arrow points to.
pub fn between_crates(tree: &Tree) -> Vec<Finding> {
    let ours: Vec<&str> = tree.members().map(|member| member.name()).collect();
    let mut findings = Vec::new();
    for member in tree.members() {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == member.name()) else {
            let message = format!("{} has no arrow yet: say in xtask's tidy/arrows.rs what it may name", member.name());
            findings.push(Finding { file: member.manifest(), line: 1, message });
            continue;
        };
        for dependency in member.dependencies().filter(|dependency| ours.contains(&dependency.name) && !allowed.contains(&dependency.name))
        {
            findings.push(named(
                tree,
                &member.manifest(),
                dependency.key(),
                &format!("{} must not know {}", member.name(), dependency.name),
            ));
        }
    }
    findings
}

/// A fenced crate is named only inside its fence.
pub fn fences(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in tree.members().filter(|member| member.name() != "tegata-tests") {
        for dependency in member.dependencies().filter(|dependency| !dependency.for_tests) {
            let Some((_, inside)) = FENCES.iter().find(|(name, _)| *name == dependency.name) else { continue };
            if !inside.contains(&member.name()) {
                let message = format!("{} is fenced off in {}; {} must not name it", dependency.name, inside.join(", "), member.name());
                findings.push(named(tree, &member.manifest(), dependency.key(), &message));
            }
        }
    }
    findings
}

/// No banned crate is built, on any platform.
pub fn banned(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What stands above the line that is looked at, outermost first.
    let mut above: Vec<&str> = Vec::new();
    for line in tree.graph.lines() {
        let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (depth, name) = (line[..digits].parse().unwrap_or(0), line[digits..].split(' ').next().unwrap_or_default());
        above.truncate(depth);
        if BANNED.contains(&name) && !is_for_ssh(name, &above) {
            let line = tree.line_where("Cargo.lock", |line| line == format!("name = \"{name}\""));
            let message = format!("{name} must not be built; it comes in through {}", above.join(" → "));
            findings.push(Finding { file: "Cargo.lock".into(), line, message });
        }
        above.push(name);
    }
    findings
}

/// libssh2 knows no other provider. It brings its own, and stays out of the agent.
fn is_for_ssh(name: &str, above: &[&str]) -> bool {
    name == "openssl-sys" && above.last() == Some(&"libssh2-sys") && above.first() != Some(&"tegata-agent")
}

/// A finding on the line of `manifest` that names the dependency `key`.
fn named(tree: &Tree, manifest: &str, key: &str, message: &str) -> Finding {
    let line = tree.line_where(manifest, |line| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', ' ', '='])));
    Finding { file: manifest.to_owned(), line, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{package, shown, tree};
    use super::*;

    #[test]
    fn an_edge_must_not_point_at_another_edge() {
        let bad =
            tree(&[("crates/tegata-agent/Cargo.toml", "[dependencies]\ntegata-core.workspace = true\ntegata-server.workspace = true\n")])
                .with(package("tegata-core", &[]))
                .with(package("tegata-server", &["tegata-core"]))
                .with(package("tegata-agent", &["tegata-core", "tegata-server"]));
        assert_eq!(shown(&between_crates(&bad)), ["crates/tegata-agent/Cargo.toml:3: tegata-agent must not know tegata-server"]);
    }

    #[test]
    fn a_new_crate_needs_an_arrow() {
        let bad = tree(&[]).with(package("tegata-surprise", &[]));
        assert_eq!(
            shown(&between_crates(&bad)),
            ["crates/tegata-surprise/Cargo.toml:1: tegata-surprise has no arrow yet: say in xtask's tidy/arrows.rs what it may name"]
        );
    }

    #[test]
    fn sql_stays_in_the_server() {
        let good = package("tegata-server", &["sqlx"]);
        let bad = tree(&[("crates/tegata/Cargo.toml", "sqlx = \"1\"\n")]).with(good).with(package("tegata", &["sqlx"]));
        assert_eq!(shown(&fences(&bad)), ["crates/tegata/Cargo.toml:1: sqlx is fenced off in tegata-server; tegata must not name it"]);
    }

    #[test]
    fn a_banned_crate_is_found_however_deep_it_hides() {
        let mut bad = tree(&[("Cargo.lock", "[[package]]\nname = \"ring\"\n")]);
        bad.graph =
            "0tegata v0.1.0 (/r/crates/tegata)\n1left v1.0.0\n2deeper v1.0.0\n1middle v2.0.0\n2ring v0.17.14\n0xtask v0.1.0\n".into();
        assert_eq!(shown(&banned(&bad)), ["Cargo.lock:2: ring must not be built; it comes in through tegata → middle"]);
        bad.graph = "0tegata v0.1.0 (/r)\n1libssh2-sys v0.3.4\n2openssl-sys v0.9.118\n".into();
        assert!(banned(&bad).is_empty(), "SFTP has no other way");
        bad.graph = "0tegata-agent v0.1.0 (/r)\n1libssh2-sys v0.3.4\n2openssl-sys v0.9.118\n".into();
        assert_eq!(banned(&bad).len(), 1, "but not in the agent");
    }
}
