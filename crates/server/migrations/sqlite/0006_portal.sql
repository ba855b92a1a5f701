-- What the portal keeps: codes as digests, sessions as digests, and PKCS#12 files under passwords that are nowhere.

CREATE TABLE portal_codes (
    handle     TEXT NOT NULL PRIMARY KEY,
    tenant     TEXT NOT NULL,
    clinic     TEXT NOT NULL,
    subject    BLOB NOT NULL, -- HMAC of the mail address that was entered
    account    TEXT,          -- none: nobody has that address, and nobody is told
    digest     BLOB NOT NULL,
    tries_left INTEGER NOT NULL,
    made_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) WITHOUT ROWID;
CREATE INDEX portal_codes_of_subject ON portal_codes (tenant, clinic, subject, made_at);
CREATE INDEX portal_codes_made ON portal_codes (made_at);

CREATE TABLE portal_sessions (
    digest     BLOB NOT NULL PRIMARY KEY,
    tenant     TEXT NOT NULL,
    clinic     TEXT NOT NULL,
    account    TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- A row without der is an intention: its exact bytes are on record, its key was in memory only.
CREATE TABLE portal_certificates (
    serial          BLOB NOT NULL UNIQUE,
    tenant          TEXT NOT NULL,
    issuer          TEXT NOT NULL,
    shard           INTEGER NOT NULL DEFAULT 0,
    clinic          TEXT NOT NULL,
    account         TEXT NOT NULL,
    n               INTEGER NOT NULL,
    common_name     TEXT NOT NULL,
    organization    TEXT NOT NULL,
    memo            TEXT NOT NULL,
    label           TEXT,
    remarks         TEXT NOT NULL DEFAULT '',
    file_name       TEXT NOT NULL,
    public_key      BLOB NOT NULL,
    tbs             BLOB NOT NULL,
    der             BLOB,
    fingerprint     BLOB UNIQUE,
    bundle          BLOB,
    not_after       INTEGER NOT NULL,
    applied_at      INTEGER NOT NULL,
    issued_at       INTEGER,
    fetched_at      INTEGER,
    replaces        BLOB,
    revoked_at      INTEGER,
    revoked_because TEXT
);
CREATE INDEX portal_certificates_of_account ON portal_certificates (tenant, clinic, account, applied_at);
CREATE INDEX portal_certificates_of_shard ON portal_certificates (tenant, issuer, shard);
CREATE INDEX portal_certificates_revoked
    ON portal_certificates (tenant, issuer, shard, serial, not_after, revoked_at, revoked_because) WHERE revoked_at IS NOT NULL;
CREATE INDEX portal_certificates_unsigned ON portal_certificates (applied_at) WHERE der IS NULL;
CREATE UNIQUE INDEX portal_certificates_number ON portal_certificates (tenant, issuer, n) WHERE replaces IS NULL;
-- One certificate is followed by one at a time.
CREATE UNIQUE INDEX portal_certificates_follow ON portal_certificates (replaces) WHERE replaces IS NOT NULL AND revoked_at IS NULL;

-- One-time addresses under which a renewed file is fetched.
CREATE TABLE portal_deliveries (
    digest     BLOB NOT NULL PRIMARY KEY,
    serial     BLOB NOT NULL,
    holder     BLOB NOT NULL, -- SHA-256 of the certificate that asked
    expires_at INTEGER NOT NULL,
    fetched_at INTEGER
) WITHOUT ROWID;

DROP VIEW IF EXISTS serials;
CREATE VIEW serials (tenant, issuer, serial, shard, not_after, revoked_at, revoked_because) AS
    SELECT tenant, issuer, serial, shard, not_after, revoked_at, revoked_because FROM certificates
    UNION ALL
    SELECT tenant, issuer, serial, shard, not_after, revoked_at, revoked_because FROM portal_certificates;
