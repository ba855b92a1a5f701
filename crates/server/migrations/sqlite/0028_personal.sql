-- Texts of records that may name a person. The record has a commitment to each; salt and text lie here until they are erased.
-- Rows are only ever added at the end and overwritten in place, never deleted: no copy of a text is left in the slack of a page.
CREATE TABLE audit_personal (
    number     INTEGER PRIMARY KEY,
    tenant     TEXT NOT NULL,
    sequence   INTEGER NOT NULL,
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    erased     INTEGER NOT NULL DEFAULT 0 CHECK (erased IN (0, 1)),
    salt       BLOB NOT NULL CHECK (length(salt) = 32),
    text       BLOB NOT NULL,
    FOREIGN KEY (tenant, sequence) REFERENCES audit (tenant, sequence)
);
CREATE INDEX audit_personal_by_record ON audit_personal (tenant, sequence);
CREATE TRIGGER audit_personal_is_only_erased BEFORE UPDATE ON audit_personal
    WHEN OLD.erased <> 0 OR NEW.erased <> 1 OR NEW.number <> OLD.number OR NEW.tenant <> OLD.tenant OR NEW.sequence <> OLD.sequence
        OR NEW.commitment <> OLD.commitment
    BEGIN SELECT RAISE(ABORT, 'texts beside audit records are only erased'); END;
CREATE TRIGGER audit_personal_is_never_deleted BEFORE DELETE ON audit_personal
    BEGIN SELECT RAISE(ABORT, 'texts beside audit records are erased, not deleted'); END;
