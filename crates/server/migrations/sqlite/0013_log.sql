-- The tree over each tenant's records (RFC 6962), in tiles of 256 hashes, and the newest checkpoint that the log's key has signed.
CREATE TABLE log_tiles (
    tenant TEXT NOT NULL,
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (tenant, level, number)
) WITHOUT ROWID;
CREATE TABLE log_heads (
    tenant TEXT NOT NULL PRIMARY KEY,
    size   INTEGER NOT NULL,
    note   TEXT NOT NULL,
    at     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER log_heads_only_grow BEFORE UPDATE ON log_heads WHEN NEW.size <= OLD.size BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
CREATE TRIGGER log_heads_stay BEFORE DELETE ON log_heads BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
