-- When a person last opened a copy with a key of the clinic's own, and found the certificate's key in it.
ALTER TABLE copies ADD COLUMN opened_at INTEGER;
-- Why a backup is of no use to anybody, wherever it lies: nobody can open it, or something else is in it.
ALTER TABLE backups ADD COLUMN useless TEXT;

-- Who asked to read a backup where policy wants two people for that.
CREATE TABLE backup_reads (
    id          TEXT NOT NULL PRIMARY KEY,
    tenant      TEXT NOT NULL,
    clinic      TEXT NOT NULL,
    home        TEXT NOT NULL,
    device      TEXT NOT NULL,
    profile     TEXT NOT NULL,
    asked_by    TEXT NOT NULL,
    expires_at  INTEGER NOT NULL,
    approved_by TEXT,
    used_at     INTEGER
) WITHOUT ROWID;
CREATE INDEX backup_reads_of_slot ON backup_reads (tenant, clinic, home, device, profile);
