-- Each time that this database was put back from a backup. While one of them is not recorded, nothing is issued.
CREATE TABLE epochs (
    number       INTEGER PRIMARY KEY,
    backed_up_at INTEGER, -- none: it was put back by hand
    restored_at  INTEGER NOT NULL,
    recorded_at  INTEGER
);

-- Numbers of portal certificates up to here may have been given out in a past that the database does not know.
CREATE TABLE portal_numbers (
    tenant TEXT NOT NULL,
    issuer TEXT NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (tenant, issuer)
) WITHOUT ROWID;
