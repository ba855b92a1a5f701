-- What people are told of what is about to expire. A letter is what one clinic is told on one day; it goes to each recipient by itself.
CREATE TABLE letters (
    number INTEGER PRIMARY KEY, -- counts up, so that "newest" has an answer within one second
    id     TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    clinic TEXT NOT NULL,
    at     INTEGER NOT NULL,
    body   TEXT NOT NULL
);
CREATE INDEX letters_of_clinic ON letters (tenant, clinic, number);
CREATE INDEX letters_of_tenant ON letters (tenant, number);

-- The rungs that were told: each once for one deadline.
CREATE TABLE told (
    tenant   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    object   TEXT NOT NULL,
    deadline INTEGER NOT NULL,
    rung     INTEGER NOT NULL, -- seconds before the deadline are below zero, days after it above
    letter   TEXT NOT NULL REFERENCES letters (id),
    PRIMARY KEY (tenant, kind, object, deadline, rung)
) WITHOUT ROWID;

CREATE TABLE deliveries (
    id       TEXT NOT NULL PRIMARY KEY,
    letter   TEXT NOT NULL REFERENCES letters (id),
    channel  TEXT NOT NULL,
    target   TEXT NOT NULL,
    state    INTEGER NOT NULL CHECK (state IN (0, 1, 2)), -- waiting, done, failed
    attempts INTEGER NOT NULL,
    at       INTEGER NOT NULL, -- when it is tried next, or when it ended
    problem  TEXT
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (at) WHERE state = 0;
CREATE INDEX deliveries_of_letter ON deliveries (letter);

-- Which of a webhook's keys is in use. The keys themselves are derived from the seal.
CREATE TABLE webhook_keys (
    tenant     TEXT NOT NULL,
    clinic     TEXT NOT NULL,
    url        TEXT NOT NULL,
    generation INTEGER NOT NULL,
    shown_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant, clinic, url)
) WITHOUT ROWID;

CREATE INDEX certificates_expiring ON certificates (tenant, not_after) WHERE retired_at IS NULL AND revoked_at IS NULL;
