-- What happened to users, groups and members: the feed that other services follow, and the log that
-- an organization's administrators read.
--
-- A number alone does not order changes for those who follow them: a transaction may take a lower
-- number and commit later. So whoever is about to take numbers first takes an advisory lock that
-- says above which number these will be, and keeps it until its commit is visible. Up to the lowest
-- of those, and up to the last number given out before the locks were looked at, nothing can come
-- anymore: that is the horizon, and nobody reads beyond it. Numbers are taken last, with the rows
-- of the change locked, so what was made after another change has the higher number.
--
-- Neither waits for the other, and no writer waits for another one.
CREATE SEQUENCE change_number;
-- From the start, last_value is a number that was given out.
SELECT nextval('change_number');

-- The advisory locks (class, the last 31 bits of a number) of those who are about to take numbers.
CREATE FUNCTION change_lock_class() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 1667788135; -- "chng"

CREATE FUNCTION next_change() RETURNS bigint
    LANGUAGE plpgsql VOLATILE AS
$$
BEGIN
    -- Once in a transaction: what it takes later is higher still.
    IF current_setting('usersvc.changing', true) IS DISTINCT FROM 'on' THEN
        PERFORM pg_advisory_xact_lock_shared(
            change_lock_class(), (pg_sequence_last_value('change_number') & 2147483647)::integer);
        PERFORM set_config('usersvc.changing', 'on', true);
    END IF;
    RETURN nextval('change_number');
END
$$;

CREATE FUNCTION change_horizon() RETURNS bigint
    LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    given  bigint;
    behind bigint;
BEGIN
    given := pg_sequence_last_value('change_number'); -- before the locks are looked at
    SELECT max((given - objid::bigint) & 2147483647) INTO behind
      FROM pg_locks
     WHERE locktype = 'advisory' AND objsubid = 2 AND granted
       AND classid::bigint = change_lock_class()
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       -- Locks above `given` hold up nothing that is not above it, too.
       AND (given - objid::bigint) & 2147483647 < 1073741824;
    RETURN given - coalesce(behind, 0);
END
$$;

CREATE TABLE changes (
    organization_id uuid        NOT NULL,
    number          bigint      NOT NULL,
    type            smallint    NOT NULL, -- usersvc.changes.ChangeType
    resource_id     uuid        NOT NULL,
    version         bigint, -- of the user or group since then; NULL when it was deleted
    fields          text[]      NOT NULL DEFAULT '{}',
    active          boolean     NOT NULL DEFAULT false,
    user_ids        uuid[]      NOT NULL DEFAULT '{}',
    group_ids       uuid[]      NOT NULL DEFAULT '{}',
    create_time     timestamptz NOT NULL,
    request_id      text        NOT NULL,

    -- For the log alone; what is a person's is taken out when the person is deleted.
    key_id          uuid,
    resource_name   text,
    old_values      text[], -- in the order of fields; NULL where unassigned
    new_values      text[],

    CONSTRAINT changes_pkey PRIMARY KEY (organization_id, number)
);

-- For those who follow all organizations, and to trim.
CREATE INDEX changes_number_idx ON changes (number);

-- For the log, which is read by time.
CREATE INDEX changes_create_time_idx ON changes (organization_id, create_time, number);

-- What happened to one user or group.
CREATE INDEX changes_resource_idx ON changes (organization_id, resource_id, number);

-- Has one row for ever. Tokens of another feed lead nowhere; `trimmed` is the last number that is no longer kept.
CREATE TABLE change_feed (
    feed_id uuid   NOT NULL DEFAULT gen_random_uuid(),
    trimmed bigint NOT NULL DEFAULT 0
);
INSERT INTO change_feed DEFAULT VALUES;
