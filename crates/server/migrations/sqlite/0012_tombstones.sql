-- The order whose certificate came in an installer file, if one did.
ALTER TABLE installers ADD COLUMN order_id BLOB;
CREATE INDEX installers_of_order ON installers (tenant, order_id) WHERE order_id IS NOT NULL;

-- Installer files that were removed from a device. Rows stay, so that a file that comes back is known.
CREATE TABLE tombstones (
    tenant      TEXT NOT NULL,
    home        TEXT NOT NULL,
    device      TEXT NOT NULL,
    sha256      BLOB NOT NULL,
    size        INTEGER NOT NULL,
    path        TEXT NOT NULL, -- where it lay last
    removed_at  INTEGER NOT NULL,
    returned_at INTEGER,
    returns     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, home, device, sha256)
) WITHOUT ROWID;
CREATE INDEX tombstones_of_file ON tombstones (tenant, sha256);
