-- Change numbers begin with the time, and `changes` is partitioned by them, so that expired changes
-- are dropped a week at a time. See docs/adr/0026-change-numbers-begin-with-the-time.md.
--
--     number = minutes since 1970 << 26 | counter
--
-- The counter continues while nobody advances the minute, so numbers always increase. They stay
-- below 2^52 until the year 2097, and so are exact in JSON numbers.

CREATE FUNCTION change_number_at(moment timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN floor(extract(epoch FROM moment) / 60)::bigint << 26;

-- Only one transaction at a time advances the minute; others take a number of the old minute. The
-- sequence is compared again under the lock, because it must never go back.
CREATE FUNCTION advance_change_number() RETURNS void
    LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    first bigint := change_number_at(clock_timestamp());
BEGIN
    IF pg_try_advisory_xact_lock(1852662386, 0) -- "nmbr"
       AND pg_sequence_last_value('change_number') < first THEN
        PERFORM setval('change_number', first);
    END IF;
END
$$;

CREATE FUNCTION next_number() RETURNS bigint
    LANGUAGE plpgsql VOLATILE AS
$$
BEGIN
    IF pg_sequence_last_value('change_number') < change_number_at(clock_timestamp()) THEN
        PERFORM advance_change_number();
    END IF;
    RETURN nextval('change_number');
END
$$;

-- A writer's advisory lock now has one key of 64 bits: this tag above the 52 bits of a number.
CREATE FUNCTION change_lock_tag() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 1585; -- 11 bits of "ch"

CREATE OR REPLACE FUNCTION next_change() RETURNS bigint
    LANGUAGE plpgsql VOLATILE AS
$$
BEGIN
    -- Once per transaction: numbers that it takes later are higher still.
    IF current_setting('usersvc.changing', true) IS DISTINCT FROM 'on' THEN
        PERFORM pg_advisory_xact_lock_shared(
            change_lock_tag() << 52 | pg_sequence_last_value('change_number'));
        PERFORM set_config('usersvc.changing', 'on', true);
        RETURN next_number();
    END IF;
    RETURN nextval('change_number');
END
$$;

CREATE OR REPLACE FUNCTION change_horizon() RETURNS bigint
    LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    last_taken bigint;
    lowest     bigint;
BEGIN
    last_taken := pg_sequence_last_value('change_number'); -- before the locks are read
    SELECT min((classid::bigint << 32 | objid::bigint) & 4503599627370495) INTO lowest -- 2^52 - 1
      FROM pg_locks
     WHERE locktype = 'advisory' AND objsubid = 1 AND granted
       AND classid::bigint >> 20 = change_lock_tag()
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
    RETURN least(last_taken, lowest);
END
$$;

DROP FUNCTION change_lock_class();

-- The existing rows become the partition of all numbers without a time.
ALTER TABLE changes RENAME TO changes_untimed;
ALTER TABLE changes_untimed RENAME CONSTRAINT changes_pkey TO changes_untimed_pkey;
ALTER INDEX changes_number_idx RENAME TO changes_untimed_number_idx;
ALTER INDEX changes_create_time_idx RENAME TO changes_untimed_create_time_idx;
ALTER INDEX changes_resource_idx RENAME TO changes_untimed_resource_idx;

CREATE TABLE changes (
    LIKE changes_untimed INCLUDING DEFAULTS,
    CONSTRAINT changes_pkey PRIMARY KEY (organization_id, number)
) PARTITION BY RANGE (number);

-- For readers of the changes of all organizations.
CREATE INDEX changes_number_idx ON changes (number);

-- The changes of one user or group.
CREATE INDEX changes_resource_idx ON changes (organization_id, resource_id, number);

ALTER TABLE changes ATTACH PARTITION changes_untimed FOR VALUES FROM (MINVALUE) TO (68719476736);

-- For numbers of a week whose partition was not created in time.
CREATE TABLE changes_default PARTITION OF changes DEFAULT;

-- Before this time, numbers say nothing about the time.
ALTER TABLE change_feed ADD COLUMN timed_from timestamptz NOT NULL DEFAULT now();

-- The first number that a change since `moment` can have. Clocks may differ by some minutes, and a
-- minute may be advanced late.
CREATE FUNCTION first_change_since(moment timestamptz) RETURNS bigint
    LANGUAGE sql STABLE STRICT
    RETURN (SELECT CASE WHEN moment < timed_from THEN 0
                        ELSE change_number_at(moment - interval '5 minutes') END
              FROM change_feed);

CREATE FUNCTION change_week_start(partition text) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT
    RETURN to_date(right(partition, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC';

-- Creates the partitions of this week and the next one. Weeks begin on Thursday, as 1970 did.
CREATE FUNCTION create_change_partitions() RETURNS void
    LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    week_seconds CONSTANT bigint := 604800;
    start_time   timestamptz;
    first        bigint;
    next_first   bigint;
    partition    text;
BEGIN
    FOR week IN floor(extract(epoch FROM now()) / week_seconds)::bigint
             .. floor(extract(epoch FROM now()) / week_seconds)::bigint + 1 LOOP
        start_time := to_timestamp(week * week_seconds);
        partition := 'changes_' || to_char(start_time AT TIME ZONE 'UTC', 'YYYYMMDD');
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        first := change_number_at(start_time);
        next_first := change_number_at(start_time + interval '7 days');
        EXECUTE format('CREATE TABLE %I (LIKE changes INCLUDING DEFAULTS)', partition);
        LOCK TABLE changes_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format(
            'WITH moved AS (
                 DELETE FROM changes_default WHERE number >= %s AND number < %s RETURNING *
             )
             INSERT INTO %I SELECT * FROM moved', first, next_first, partition);
        EXECUTE format('ALTER TABLE changes ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                       partition, first, next_first);
    END LOOP;
END
$$;

-- Drops the partitions whose changes have all expired, and records the last number that was dropped.
CREATE FUNCTION drop_change_partitions(retention interval) RETURNS integer
    LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    partition   text;
    last_number bigint;
    dropped     integer := 0;
BEGIN
    FOR partition IN
        SELECT relname
          FROM pg_inherits
          JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = 'changes'::regclass
           AND CASE WHEN relname ~ '^changes_\d{8}$'
                    THEN change_week_start(relname) + interval '7 days' <= now() - retention
                    WHEN relname = 'changes_untimed'
                    THEN (SELECT timed_from FROM change_feed) <= now() - retention
               END
    LOOP
        EXECUTE format('SELECT max(number) FROM %I', partition) INTO last_number;
        EXECUTE format('DROP TABLE %I', partition);
        UPDATE change_feed SET trimmed = greatest(trimmed, last_number);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

SELECT create_change_partitions();

-- From here on, numbers begin with the time.
SELECT setval('change_number', change_number_at(clock_timestamp()));

ALTER TABLE refusals ALTER COLUMN number SET DEFAULT next_number();
