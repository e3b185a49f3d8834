//! What the system says about a process.

use std::fs;

use anyhow::{Context as _, anyhow};

/// KiB that are resident.
pub(crate) fn resident(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_else(|| anyhow!("no VmRSS in `{path}`"))?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// Milliseconds of CPU time that it has taken so far, in steps of a tick (10 ms).
pub(crate) fn cpu(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    // After the name, which may contain anything, come the fields from the third on; user and system time are the 14th and 15th.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace()).ok_or_else(|| anyhow!("`{path}` is odd"))?;
    let ticks: f64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap_or(f64::NAN)).sum();
    Ok(ticks * 1000.0 / rustix::param::clock_ticks_per_second() as f64)
}
