-- Where to look for records of a tenant: derived from their bytes, after the fact, and made anew from them whenever it is missing. What a
-- record says is read from the record. A key stands for a tenant and something that records are about; a day has its first and last number.
CREATE TABLE audit_index (
    key      INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (key, sequence)
) WITHOUT ROWID;

CREATE TABLE audit_days (
    tenant TEXT NOT NULL,
    day    INTEGER NOT NULL, -- days since 1970, in UTC
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) WITHOUT ROWID;

CREATE TABLE audit_indexed (
    tenant  TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    through INTEGER NOT NULL
) WITHOUT ROWID;
