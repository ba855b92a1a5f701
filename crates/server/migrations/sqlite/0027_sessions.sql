-- Sessions of people who have signed in with an OpenID provider. The token itself is nowhere; groups are those of the sign-in, as a JSON list.
CREATE TABLE sessions (
    id         TEXT NOT NULL PRIMARY KEY,
    digest     BLOB NOT NULL,
    tenant     TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    groups     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER
) WITHOUT ROWID;
CREATE INDEX sessions_of_tenant ON sessions (tenant, created_at);
