-- The table of the original; one that its own migrations made stays as it is.
CREATE TABLE IF NOT EXISTS applications (
    "key" varchar(255) NOT NULL PRIMARY KEY,
    secret varchar(255) NOT NULL,
    label varchar(255) NOT NULL,
    owner_email varchar(255) NOT NULL,
    processing_quota integer NOT NULL,
    enabled boolean NOT NULL,
    created_at timestamptz,
    updated_at timestamptz
);
