-- The PIN that was made for an application's download: an armored age file that no server can open, apart from the file that it opens.
ALTER TABLE applications ADD COLUMN pin TEXT;
