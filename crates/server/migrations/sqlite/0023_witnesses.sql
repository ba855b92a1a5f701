-- The newest checkpoint of each log that a quorum of witnesses has cosigned; `seen` is when that was, by this server's clock.
CREATE TABLE log_cosigned (
    tenant TEXT NOT NULL PRIMARY KEY,
    size   INTEGER NOT NULL,
    note   TEXT NOT NULL,
    seen   INTEGER NOT NULL
) WITHOUT ROWID;
-- What each witness has said about each log: the size that it has cosigned last, and the last time that it has not. It is known by its key.
CREATE TABLE log_witnesses (
    tenant     TEXT NOT NULL,
    witness    TEXT NOT NULL,
    size       INTEGER NOT NULL DEFAULT 0,
    seen       INTEGER,
    problem    TEXT,
    problem_at INTEGER,
    PRIMARY KEY (tenant, witness)
) WITHOUT ROWID;
