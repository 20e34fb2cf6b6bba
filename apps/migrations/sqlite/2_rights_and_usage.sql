-- A quota of the original is only "none" or "some"; ours are counted.
ALTER TABLE applications ADD COLUMN quota_counted boolean NOT NULL DEFAULT 0;
ALTER TABLE applications ADD COLUMN admin boolean NOT NULL DEFAULT 0;
ALTER TABLE applications ADD COLUMN allow_unsigned boolean NOT NULL DEFAULT 0;
ALTER TABLE applications ADD COLUMN allow_md5 boolean NOT NULL DEFAULT 0;
ALTER TABLE applications ADD COLUMN previous_secret varchar(255);
ALTER TABLE applications ADD COLUMN previous_until bigint;

-- Applications that are there already are the original's: their clients know MD5 only.
UPDATE applications SET allow_md5 = 1;

-- Days are counted from 1970, in UTC. Each process that counts has rows of its own.
CREATE TABLE application_usage (
    day integer NOT NULL,
    "key" varchar(255) NOT NULL,
    process varchar(64) NOT NULL,
    pixels bigint NOT NULL,
    images bigint NOT NULL,
    PRIMARY KEY (day, "key", process)
);

-- Grows with every change, by whatever program it is made.
CREATE TABLE application_revision (revision bigint NOT NULL);
INSERT INTO application_revision VALUES (1);

CREATE TRIGGER application_added AFTER INSERT ON applications
BEGIN
    UPDATE application_revision SET revision = revision + 1;
END;

CREATE TRIGGER application_changed AFTER UPDATE ON applications
BEGIN
    UPDATE application_revision SET revision = revision + 1;
END;

CREATE TRIGGER application_removed AFTER DELETE ON applications
BEGIN
    UPDATE application_revision SET revision = revision + 1;
END;
