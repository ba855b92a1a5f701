-- Certificates that vendors issue. The same one may be on several devices, if the vendor allows it, but never twice on one at the same
-- time; so a fingerprint is unique only among what is there, and the table has to be made anew without the old constraint.

CREATE TABLE certificates_new (
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
    fingerprint     BLOB NOT NULL,
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
INSERT INTO certificates_new SELECT * FROM certificates ORDER BY rowid;
DROP TABLE certificates;
ALTER TABLE certificates_new RENAME TO certificates;
CREATE INDEX certificates_by_fingerprint ON certificates (fingerprint);
CREATE UNIQUE INDEX certificates_there ON certificates (fingerprint, tenant, home, device) WHERE retired_at IS NULL;
CREATE INDEX certificates_of_clinic ON certificates (tenant, clinic, retired_at, issued_at);
CREATE INDEX certificates_on_device ON certificates (tenant, home, device);
CREATE INDEX certificates_revoked ON certificates (tenant, issuer) WHERE revoked_at IS NOT NULL;

-- A certificate that lies on the device already and is to be taken over. SHA-256 of its DER.
ALTER TABLE orders ADD COLUMN found BLOB;

-- Vendors' files, sealed to their device and to the clinic's backup recipients.
CREATE TABLE bundles (
    order_id  BLOB NOT NULL PRIMARY KEY REFERENCES orders (id),
    file_name TEXT NOT NULL,
    sealed    BLOB NOT NULL
) WITHOUT ROWID;

-- What people said was changed for a certificate.
CREATE TABLE confirmations (
    serial       BLOB NOT NULL,
    dependant    TEXT NOT NULL,
    confirmed_by TEXT NOT NULL,
    confirmed_at INTEGER NOT NULL,
    PRIMARY KEY (serial, dependant)
) WITHOUT ROWID;
