-- How far each tenant's audit records were taken by whoever they are exported to. It moves only once they said that they have them.
CREATE TABLE audit_exported (
    sink    TEXT NOT NULL,
    tenant  TEXT NOT NULL,
    through INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (sink, tenant)
) WITHOUT ROWID;
