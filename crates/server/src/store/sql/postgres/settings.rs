//! What a PostgreSQL server has to be like so that an answered commit survives a power cut, and that nobody listens on the way to it.

use std::net::IpAddr;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

use super::super::database;
use crate::store::StoreError;

/// The oldest version that is asked for what is used here: the fate of a transaction.
const VERSION_MIN: i32 = 140_000;

/// What is asked of a setting.
struct Setting {
    name: &'static str,
    holds: fn(&str) -> bool,
    wanted: &'static str,
}

const SETTINGS: [Setting; 4] = [
    Setting { name: "fsync", holds: |value| value == "on", wanted: "on" },
    Setting { name: "full_page_writes", holds: |value| value == "on", wanted: "on" },
    // local, remote_write and remote_apply are on disk here as well; they differ in what they say of others.
    Setting { name: "synchronous_commit", holds: |value| value != "off", wanted: "on" },
    Setting { name: "server_encoding", holds: |value| value == "UTF8", wanted: "UTF8" },
];

/// As ours: who we are, and that a connection whose other end is gone holds no lock for long.
pub(super) fn with_ours(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("tegata").options([
        ("idle_in_transaction_session_timeout", "10s"),
        ("client_min_messages", "warning"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "3"),
        ("tcp_keepalives_count", "3"),
    ])
}

/// On another host, only a server whose certificate and name are checked is asked for its data.
pub(super) fn demand_checked_host(options: &PgConnectOptions) -> Result<(), StoreError> {
    let host = options.get_host();
    let is_here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_here || matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
        return Ok(());
    }
    Err(StoreError::Unsafe(format!(
        "the way to {host} is not protected; add sslmode=verify-full to its address, and sslrootcert= if its authority is your own"
    )))
}

/// Reads the settings back and refuses those under which an answered commit could be lost, or text could not be kept.
pub(super) async fn check(db: &mut PgConnection) -> Result<(), StoreError> {
    let version: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(&mut *db).await.map_err(database)?;
    demand(version >= VERSION_MIN, "server_version_num", &version.to_string(), "140000 or later")?;
    for Setting { name, holds, wanted } in SETTINGS {
        let found: String = sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&mut *db).await.map_err(database)?;
        demand(holds(&found), name, &found, wanted)?;
    }
    Ok(())
}

fn demand(holds: bool, setting: &str, found: &str, wanted: &str) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Unsafe(format!("{setting} of the PostgreSQL server is {found}, and has to be {wanted}"))) }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn s1_nobody_can_listen_on_the_way_to_another_host() {
        let verdict = |url: &str| demand_checked_host(&PgConnectOptions::from_str(url).unwrap());
        for safe in [
            "postgres://tegata@localhost/tegata",
            "postgres://tegata@127.0.0.1:5433/tegata",
            "postgres://tegata@%2Frun%2Fpostgresql/tegata",
            "postgres://tegata@db.example/tegata?sslmode=verify-full",
        ] {
            verdict(safe).unwrap_or_else(|error| panic!("{safe}: {error}"));
        }
        for unsafe_ in ["", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-ca"] {
            let found = verdict(&format!("postgres://tegata@db.example/tegata{unsafe_}"));
            assert!(matches!(found, Err(StoreError::Unsafe(_))), "{unsafe_}: {found:?}");
        }
    }
}
