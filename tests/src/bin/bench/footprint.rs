//! How quickly the server is there, and what the programs weigh.

use std::time::{Duration, Instant};

use anyhow::Result;
use tegata_tests::World;
use tegata_tests::process::{binary, wait_for};

use crate::{Bound, Row, proc, quantile};

/// Measures a restart on existing state, an idle server and the size of the agent.
pub fn measure() -> Result<Vec<Row>> {
    let mut world = World::start()?;
    let mut starts = Vec::new();
    for _ in 0..10 {
        world.server().stop(Duration::from_secs(20))?;
        let start = Instant::now();
        world.launch_server()?;
        wait_for(Duration::from_secs(20), "the server to listen", || Ok(listens(&world).then_some(())))?;
        starts.push(start.elapsed().as_secs_f64());
        world.wait_for_server()?;
    }
    starts.sort_by(f64::total_cmp);
    let size = |name: &str| std::fs::metadata(binary(name)).map(|file| file.len() as f64 / f64::from(1 << 20));
    Ok(vec![
        Row::bound("server: accepts connections after start, median", quantile(&starts, 0.5) * 1e3, "ms", Bound::AtMost(100.0)),
        Row::bound("server: memory, empty", proc::resident_kib(world.server().id())? / 1024.0, "MiB", Bound::AtMost(30.0)),
        Row::told("server: binary", size("tegata")?, "MiB"),
        Row::bound("agent: binary", size("tegata-agent")?, "MiB", Bound::AtMost(8.0)),
    ])
}

fn listens(world: &World) -> bool {
    let address = world.address();
    std::net::TcpStream::connect(address.trim_start_matches("https://")).is_ok()
}
