-- Until when a clinic is one server's own for a turn. One file has one server, which claims nothing: this is for a database that several share.
ALTER TABLE clinics ADD COLUMN claimed_until INTEGER;
