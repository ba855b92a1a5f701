-- Logs that are on record as unwitnessed, and since when no quorum of witnesses has vouched for them.
CREATE TABLE log_alarms (
    tenant TEXT NOT NULL PRIMARY KEY,
    since  INTEGER NOT NULL
) WITHOUT ROWID;
