-- An issuer's certificates are cut into shards by the order in which they were drafted; each shard has a revocation list of its own, and
-- each certificate names the list of its shard. Shard 0 holds what was issued before there were shards, and names the whole list.
ALTER TABLE orders ADD COLUMN draft_shard INTEGER NOT NULL DEFAULT 0;
ALTER TABLE certificates ADD COLUMN shard INTEGER NOT NULL DEFAULT 0;
-- The address that the certificates of a shard name, which its list has to repeat letter for letter, wherever the server is by then.
CREATE TABLE shards (
    tenant TEXT NOT NULL,
    issuer TEXT NOT NULL,
    shard  INTEGER NOT NULL,
    url    TEXT NOT NULL,
    PRIMARY KEY (tenant, issuer, shard)
) WITHOUT ROWID;
-- Why a certificate is revoked as soon as its successor is proven; nothing if it is not to be.
ALTER TABLE certificates ADD COLUMN condemned_because TEXT;

CREATE INDEX certificates_of_shard ON certificates (tenant, issuer, shard);
-- Holds all that a list says, so that making one reads nothing else.
CREATE INDEX certificates_revoked_in_shard
    ON certificates (tenant, issuer, shard, serial, not_after, revoked_at, revoked_because) WHERE revoked_at IS NOT NULL;
DROP INDEX certificates_revoked;
CREATE INDEX certificates_condemned ON certificates (tenant, clinic, home, device, profile)
    WHERE condemned_because IS NOT NULL AND revoked_at IS NULL;

-- Everything that an issuer has ever signed for, wherever it is kept.
CREATE VIEW serials (tenant, issuer, serial, shard, not_after, revoked_at, revoked_because) AS
    SELECT tenant, issuer, serial, shard, not_after, revoked_at, revoked_because FROM certificates;
