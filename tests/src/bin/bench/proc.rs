//! What the kernel knows about a process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time that a process has used so far, in seconds, user and system together. The kernel counts in hundredths.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no command in /proc/…/stat")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Resident memory of a process, in KiB.
pub fn resident_kib(pid: u32) -> Result<f64> {
    told_kib(pid, "VmRSS:")
}

/// The most that it was at any moment since that was forgotten, in KiB.
pub fn peak_kib(pid: u32) -> Result<f64> {
    told_kib(pid, "VmHWM:")
}

/// Forgets that, and gives what it is now (proc(5), `clear_refs`).
pub fn forget_peak(pid: u32) -> Result<f64> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    resident_kib(pid)
}

fn told_kib(pid: u32, what: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).with_context(|| format!("no {what} in /proc/…/status"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Waits until a process has used no CPU for a while.
pub fn wait_until_idle(pid: u32) -> Result<()> {
    let mut before = cpu_seconds(pid)?;
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = cpu_seconds(pid)?;
        if now - before < 0.005 {
            return Ok(());
        }
        before = now;
    }
}
