-- tried: 1 once a try was made at this place, so that something may lie there whatever became of it.
ALTER TABLE copies ADD COLUMN tried INTEGER NOT NULL DEFAULT 1;

-- Places that were worked with: what marks them has been there.
CREATE TABLE places (
    place BLOB PRIMARY KEY,
    at    INTEGER NOT NULL
) WITHOUT ROWID;
