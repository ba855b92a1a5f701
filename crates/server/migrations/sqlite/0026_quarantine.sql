-- Files that a device was told to move into its quarantine, and files that people at a PC have put back: those are not moved again.
ALTER TABLE installers_seen ADD COLUMN quarantining INTEGER NOT NULL DEFAULT 0;
CREATE TABLE restored (
    tenant      TEXT NOT NULL,
    home        TEXT NOT NULL,
    device      TEXT NOT NULL,
    sha256      BLOB NOT NULL,
    restored_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, home, device, sha256)
) WITHOUT ROWID;
