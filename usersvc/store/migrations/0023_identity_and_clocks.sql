-- What this database is. A service refuses to use the database of another service or region.
CREATE TABLE database_identity (
    is_only     boolean NOT NULL DEFAULT true,
    service     text    NOT NULL,
    region      text,  -- NULL until the first `migrate` or start of a release that knows its region
    database_id uuid    NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT database_identity_pkey PRIMARY KEY (is_only),
    CONSTRAINT database_identity_is_only CHECK (is_only)
);

INSERT INTO database_identity (service) VALUES ('usersvc');

-- How far the clock of each replica is ahead of this server's. Unlogged: it is measured every few
-- seconds, and old rows are worthless.
CREATE UNLOGGED TABLE clock_readings (
    replica_id     uuid             NOT NULL,
    offset_seconds double precision NOT NULL,
    read_time      timestamptz      NOT NULL,
    CONSTRAINT clock_readings_pkey PRIMARY KEY (replica_id)
);
