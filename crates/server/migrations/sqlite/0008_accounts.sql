-- What is gone from its device and was never revoked: it is looked for with every turn, and must not cost more as years go by.
CREATE INDEX certificates_loose ON certificates (tenant, clinic, not_after)
    WHERE retired_at IS NOT NULL AND revoked_at IS NULL AND account IS NOT NULL;
