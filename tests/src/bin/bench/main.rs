//! Measures what the budgets speak of, prints a table and writes `target/bench.json`. Run by `cargo xtask bench`.
//!
//! Figures are of one machine on one day; the ratios are what to compare. Servers and agents are the release binaries.

mod figures;
mod fleet;
mod footprint;
mod hold;
mod issue;
mod left;
mod moving;
mod plan;
mod proc;
mod push;
mod records;
mod revoke;
mod turn;

use anyhow::Result;
use serde::Serialize;

/// One measured figure beside its budget.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    /// The bound that is promised, in the same unit.
    budget: Option<Bound>,
}

/// A bound on a figure.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The figure should be this or less.
    AtMost(f64),
    /// The figure should be this or more.
    AtLeast(f64),
}

impl Row {
    /// A figure that is only told.
    pub fn told(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, budget: None }
    }

    /// A figure with a budget.
    pub fn bound(name: impl Into<String>, value: f64, unit: &'static str, budget: Bound) -> Self {
        Self { name: name.into(), value, unit, budget: Some(budget) }
    }

    fn verdict(&self) -> String {
        match self.budget {
            None => String::new(),
            Some(Bound::AtMost(most)) if self.value <= most => format!("≤ {most}  met"),
            Some(Bound::AtMost(most)) => format!("≤ {most}  MISSED by {:.0} %", 100.0 * (self.value / most - 1.0)),
            Some(Bound::AtLeast(least)) if self.value >= least => format!("≥ {least}  met"),
            Some(Bound::AtLeast(least)) => format!("≥ {least}  MISSED by {:.0} %", 100.0 * (1.0 - self.value / least)),
        }
    }
}

/// A named group of measurements.
type Group = (&'static str, fn() -> Result<Vec<Row>>);

const GROUPS: [Group; 11] = [
    ("plan", plan::measure),
    ("turn", turn::measure),
    ("figures", figures::measure),
    ("footprint", footprint::measure),
    ("issue", issue::measure),
    ("hold", hold::measure),
    ("push", push::measure),
    ("revoke", revoke::measure),
    ("left", left::measure),
    ("records", records::measure),
    ("move", moving::measure),
];

fn main() -> Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (name, measure) in GROUPS {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            eprintln!("measuring {name} …");
            match measure() {
                Ok(measured) => rows.extend(measured),
                Err(error) => failed.push(format!("{name} could not be measured: {error:#}")),
            }
        }
    }
    for row in &rows {
        println!("{:<72} {:>12.2} {:<9} {}", row.name, row.value, row.unit, row.verdict());
    }
    println!("load average {}", std::fs::read_to_string("/proc/loadavg")?.trim());
    std::fs::create_dir_all("target")?;
    std::fs::write("target/bench.json", serde_json::to_vec_pretty(&rows)?)?;
    // The others were worth measuring all the same.
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

/// The value below which `share` (0 to 1) of the sorted samples lie.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}
