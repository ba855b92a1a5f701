-- Moments are seconds since 1970. Identifiers and hashes are raw bytes. A device is (tenant, home, device), where home is the clinic it
-- stands in; a slot is (tenant, clinic, home, device, profile), where clinic is the one whose charts it opens.

CREATE TABLE tenants (
    tenant          TEXT NOT NULL PRIMARY KEY,
    policy_revision INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE documents (
    tenant     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    body       TEXT NOT NULL,
    author     TEXT NOT NULL,
    applied_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, name)
);

CREATE TABLE clinics (
    tenant  TEXT NOT NULL,
    clinic  TEXT NOT NULL,
    wake_at INTEGER,
    nudges  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, clinic)
) WITHOUT ROWID;
CREATE INDEX clinics_due ON clinics (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE codes (
    handle     TEXT NOT NULL PRIMARY KEY,
    tenant     TEXT NOT NULL,
    home       TEXT NOT NULL,
    device     TEXT NOT NULL,
    digest     BLOB NOT NULL,
    tries_left INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_by    BLOB
) WITHOUT ROWID;
CREATE INDEX codes_of_device ON codes (tenant, home, device);

CREATE TABLE devices (
    tenant       TEXT NOT NULL,
    home         TEXT NOT NULL,
    device       TEXT NOT NULL,
    identity     BLOB NOT NULL UNIQUE,
    public_key   BLOB NOT NULL,
    enrolled_at  INTEGER NOT NULL,
    last_seen    INTEGER NOT NULL,
    clock_offset INTEGER NOT NULL,
    revoked_at   INTEGER,
    facts        TEXT NOT NULL,
    report       TEXT NOT NULL,
    generation   INTEGER NOT NULL,
    manifest     TEXT NOT NULL,
    receipts     INTEGER NOT NULL,
    PRIMARY KEY (tenant, home, device)
);

CREATE TABLE orders (
    number       INTEGER PRIMARY KEY, -- counts up, so that "newest" has an answer within one second
    id           BLOB NOT NULL UNIQUE,
    tenant       TEXT NOT NULL,
    clinic       TEXT NOT NULL,
    home         TEXT NOT NULL,
    device       TEXT NOT NULL,
    profile      TEXT NOT NULL,
    issuer       TEXT NOT NULL,
    common_name  TEXT NOT NULL,
    organization TEXT NOT NULL,
    key          TEXT NOT NULL,
    validity     INTEGER NOT NULL,
    account      TEXT,
    because      TEXT NOT NULL,
    replaces     BLOB NOT NULL, -- serials, 16 bytes each
    opened_at    INTEGER NOT NULL,
    closed_at    INTEGER,
    state        INTEGER NOT NULL CHECK (state IN (0, 1, 2)), -- open, fulfilled, cancelled
    draft_serial BLOB,
    draft_key    BLOB,
    draft_tbs    BLOB
);
CREATE UNIQUE INDEX orders_open ON orders (tenant, clinic, home, device, profile) WHERE state = 0;
CREATE INDEX orders_on_device ON orders (tenant, home, device, clinic, profile) WHERE state <> 2;
CREATE INDEX orders_of_clinic ON orders (tenant, clinic, home, device, profile) WHERE state <> 2;
CREATE INDEX orders_away ON orders (tenant, home, device) WHERE clinic <> home AND state <> 2;
CREATE INDEX orders_unsigned ON orders (number) WHERE state = 0 AND draft_serial IS NOT NULL;

CREATE TABLE certificates (
    serial          BLOB NOT NULL UNIQUE,
    order_id        BLOB NOT NULL UNIQUE REFERENCES orders (id),
    tenant          TEXT NOT NULL,
    clinic          TEXT NOT NULL,
    home            TEXT NOT NULL,
    device          TEXT NOT NULL,
    profile         TEXT NOT NULL,
    issuer          TEXT NOT NULL,
    common_name     TEXT NOT NULL,
    organization    TEXT NOT NULL,
    key             TEXT NOT NULL,
    validity        INTEGER NOT NULL,
    account         TEXT,
    der             BLOB NOT NULL,
    fingerprint     BLOB NOT NULL UNIQUE,
    public_key      BLOB NOT NULL,
    not_before      INTEGER NOT NULL,
    not_after       INTEGER NOT NULL,
    issued_at       INTEGER NOT NULL,
    installed_at    INTEGER,
    proven_at       INTEGER,
    retiring_at     INTEGER,
    retired_at      INTEGER,
    revoked_at      INTEGER,
    revoked_because TEXT
);
CREATE INDEX certificates_of_clinic ON certificates (tenant, clinic, retired_at, issued_at);
CREATE INDEX certificates_on_device ON certificates (tenant, home, device);
CREATE INDEX certificates_revoked ON certificates (tenant, issuer) WHERE revoked_at IS NOT NULL;

CREATE TABLE renewals_asked (
    tenant  TEXT NOT NULL,
    clinic  TEXT NOT NULL,
    home    TEXT NOT NULL,
    device  TEXT NOT NULL,
    profile TEXT NOT NULL,
    PRIMARY KEY (tenant, clinic, home, device, profile)
) WITHOUT ROWID;

CREATE TABLE installers (
    tenant      TEXT NOT NULL,
    sha256      BLOB NOT NULL,
    size        INTEGER NOT NULL,
    name        TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, sha256)
) WITHOUT ROWID;

CREATE TABLE installers_seen (
    tenant   TEXT NOT NULL,
    home     TEXT NOT NULL,
    device   TEXT NOT NULL,
    sha256   BLOB NOT NULL,
    removing INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, home, device, sha256)
) WITHOUT ROWID;
CREATE INDEX installers_seen_by_hash ON installers_seen (tenant, sha256);

CREATE TABLE authorities (
    tenant      TEXT NOT NULL, -- empty for the server's own
    name        TEXT NOT NULL,
    certificate BLOB NOT NULL,
    sealed_key  BLOB NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE tokens (
    digest BLOB NOT NULL PRIMARY KEY,
    name   TEXT NOT NULL,
    tenant TEXT
) WITHOUT ROWID;

CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- One row for each record: the whole record as canonical JSON, sequence included. Rows are only ever added.
CREATE TABLE audit (
    tenant   TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    record   TEXT NOT NULL,
    UNIQUE (tenant, sequence)
);
CREATE TRIGGER audit_is_append_only_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit records never change'); END;
CREATE TRIGGER audit_is_append_only_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit records are never removed'); END;
