-- Sealed backups, and what is known of each in each target. Only a backup's recipients can open it.
CREATE TABLE backups (
    number      INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    tenant      TEXT NOT NULL,
    clinic      TEXT NOT NULL,
    home        TEXT NOT NULL,
    device      TEXT NOT NULL,
    profile     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    order_id    BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    recipients  TEXT NOT NULL,
    sealed_at   INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,
    sealed      BLOB NOT NULL
);
CREATE INDEX backups_of_slot ON backups (tenant, clinic, home, device, profile, kind, fingerprint);

-- state: 0 is to be stored, 1 was read back and found whole, 2 was taken away. at: when it is looked at next.
CREATE TABLE copies (
    backup      INTEGER NOT NULL REFERENCES backups (number) ON DELETE CASCADE,
    target      TEXT NOT NULL,
    place       BLOB NOT NULL,
    state       INTEGER NOT NULL DEFAULT 0,
    stored_at   INTEGER,
    verified_at INTEGER,
    trouble     TEXT,
    attempts    INTEGER NOT NULL DEFAULT 0,
    at          INTEGER,
    PRIMARY KEY (backup, target)
) WITHOUT ROWID;
CREATE INDEX copies_due ON copies (at) WHERE at IS NOT NULL;
