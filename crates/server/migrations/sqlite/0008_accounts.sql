-- What is gone from its device and was never revoked: it is looked for with every turn, and must not cost more as years go by.
CREATE INDEX certificates_loose ON certificates (tenant, clinic, not_after)
    WHERE retired_at IS NOT NULL AND revoked_at IS NULL AND account IS NOT NULL;

-- What was applied for at a vendor. The reference is sealed before it comes here.
CREATE TABLE applications (
    number         INTEGER PRIMARY KEY,
    tenant         TEXT NOT NULL,
    clinic         TEXT NOT NULL,
    home           TEXT NOT NULL,
    device         TEXT NOT NULL,
    profile        TEXT NOT NULL,
    applied_at     INTEGER NOT NULL,
    request_id     TEXT NOT NULL,
    reference      TEXT NOT NULL, -- an armored age file
    recorded_at    INTEGER NOT NULL,
    recorded_by    TEXT NOT NULL,
    closed_at      INTEGER,
    closed_because TEXT
);
CREATE UNIQUE INDEX applications_open ON applications (tenant, clinic, home, device, profile) WHERE closed_at IS NULL;
CREATE INDEX applications_of_clinic ON applications (tenant, clinic);

-- How often a PIN was tried in vain on one file of one slot.
CREATE TABLE pin_tries (
    tenant  TEXT NOT NULL,
    clinic  TEXT NOT NULL,
    home    TEXT NOT NULL,
    device  TEXT NOT NULL,
    profile TEXT NOT NULL,
    sha256  BLOB NOT NULL,
    spent   INTEGER NOT NULL,
    PRIMARY KEY (tenant, clinic, home, device, profile, sha256)
) WITHOUT ROWID;
