-- How many of a backup's recipients it takes to open it. Until now each could alone.
ALTER TABLE backups ADD COLUMN threshold INTEGER NOT NULL DEFAULT 1;
