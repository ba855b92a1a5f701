-- Installer files that a device knows by the certificates whose keys they hold. A device speaks for itself alone: what it says of a file's
-- contents has no weight on any other device.
CREATE TABLE recognized (
    tenant        TEXT NOT NULL,
    home          TEXT NOT NULL,
    device        TEXT NOT NULL,
    sha256        BLOB NOT NULL,
    size          INTEGER NOT NULL,
    fingerprint   BLOB NOT NULL,
    recognized_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, home, device, sha256, fingerprint)
) WITHOUT ROWID;
CREATE INDEX recognized_by_certificate ON recognized (tenant, fingerprint);
