-- A quota of the original is only "none" or "some"; ours are counted.
ALTER TABLE applications
    ADD COLUMN quota_counted boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN admin boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN allow_unsigned boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN allow_md5 boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN previous_secret varchar(255),
    ADD COLUMN previous_until bigint;

-- Applications that are there already are the original's: their clients know MD5 only.
UPDATE applications SET allow_md5 = TRUE;

-- Days are counted from 1970, in UTC. Each process that counts has rows of its own.
CREATE TABLE application_usage (
    day integer NOT NULL,
    "key" varchar(255) NOT NULL,
    process varchar(64) NOT NULL,
    pixels bigint NOT NULL,
    images bigint NOT NULL,
    PRIMARY KEY (day, "key", process)
);

-- Grows with every change, by whatever program it is made; whoever listens is told.
CREATE TABLE application_revision (revision bigint NOT NULL);
INSERT INTO application_revision VALUES (1);

CREATE FUNCTION imgflo_applications_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The schema is that of the table, whatever the search path of who changes it.
    EXECUTE format('UPDATE %I.application_revision SET revision = revision + 1', TG_TABLE_SCHEMA);
    PERFORM pg_notify('imgflo_applications', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER application_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON applications
FOR EACH STATEMENT EXECUTE PROCEDURE imgflo_applications_changed();
