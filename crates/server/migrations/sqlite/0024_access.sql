-- Tokens are found by a public id and compared by their digest; they end, and who made them is known. One from before is known by its digest.
ALTER TABLE tokens ADD COLUMN id TEXT;
ALTER TABLE tokens ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT 'tegata';
ALTER TABLE tokens ADD COLUMN expires_at INTEGER;
ALTER TABLE tokens ADD COLUMN revoked_at INTEGER;
UPDATE tokens SET id = lower(substr(hex(digest), 1, 16));
CREATE UNIQUE INDEX tokens_by_id ON tokens (id);
CREATE INDEX tokens_by_name ON tokens (name);

-- What takes two people: reading a backup, and acts that reach further than whoever asks may reach alone.
CREATE TABLE approvals (
    id          TEXT NOT NULL PRIMARY KEY,
    tenant      TEXT NOT NULL,
    what        TEXT NOT NULL,
    object      TEXT NOT NULL,
    devices     INTEGER NOT NULL DEFAULT 0,
    asked_by    TEXT NOT NULL,
    expires_at  INTEGER NOT NULL,
    approved_by TEXT,
    used_at     INTEGER
) WITHOUT ROWID;
CREATE INDEX approvals_of_object ON approvals (tenant, object);
INSERT INTO approvals (id, tenant, what, object, asked_by, expires_at, approved_by, used_at)
    SELECT id, tenant, 'read-backup', clinic || '/' || device || CASE WHEN home <> clinic THEN '@' || home ELSE '' END || '/' || profile,
        asked_by, expires_at, approved_by, used_at FROM backup_reads;
DROP TABLE backup_reads;
