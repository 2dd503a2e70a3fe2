-- The roll-up of the provisioning log (usersvc/store/activities/rollup.py): counts and names, which
-- a background task adds up from changes and refusals in the order of their numbers.
--
-- Requests write neither table: a count per day in the request's transaction would let an
-- organization make only one change at a time, and an index of names costs more than 3 % of a
-- create. Readers add the entries after `rolled_up` themselves.

-- The number of the last entry that is rolled up, and of the last refusal whose organization was
-- checked for too many of them.
ALTER TABLE change_feed
    ADD COLUMN rolled_up        bigint NOT NULL DEFAULT 0,
    ADD COLUMN refusals_checked bigint NOT NULL DEFAULT 0;

-- The horizon holds for refusals, too: a refusal that commits later has a higher number.
ALTER TABLE refusals ALTER COLUMN number SET DEFAULT next_change();

CREATE TABLE activity_counts (
    organization_id uuid        NOT NULL,
    minutes         smallint    NOT NULL, -- the length of the interval: 1 or 60
    start_time      timestamptz NOT NULL,
    first_time      timestamptz NOT NULL, -- of the interval's first and last entry
    last_time       timestamptz NOT NULL,
    succeeded       bigint      NOT NULL,
    refused         bigint      NOT NULL,
    rejected_keys   bigint      NOT NULL,
    types           integer     NOT NULL, -- of the changes: bit n is set if type n occurs
    first_number    bigint, -- of the changes; NULL if there are none
    last_number     bigint,

    CONSTRAINT activity_counts_pkey PRIMARY KEY (organization_id, minutes, start_time)
);

-- For retention.
CREATE INDEX activity_counts_start_time_idx ON activity_counts (start_time);

-- Text for trigrams: pg_trgm finds letters by LC_CTYPE, which is C, so that it would see no letter
-- in 'мюллер'. Every byte that is not ASCII becomes a word such as '320'. `decode` leaves all bytes
-- except backslashes as they are; unlike `convert_to`, it is immutable.
CREATE FUNCTION searchable(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN encode(decode(replace(name, '\', '\\'), 'escape'), 'escape');

-- The pattern of texts of `searchable` that contain a name.
CREATE FUNCTION part_pattern(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN '%' || regexp_replace(searchable(fold(name)), '([\\%_])', '\\\1', 'g') || '%';

-- The names of users and groups in the log, by which a search finds their entries. A user's names
-- are deleted with the user; those of a deleted group stay as long as its entries.
CREATE TABLE logged_names (
    organization_id uuid   NOT NULL,
    resource_id     uuid   NOT NULL,
    name            text   COLLATE "C" NOT NULL, -- folded
    last_number     bigint NOT NULL, -- of an entry with the name, at most some days before the last

    CONSTRAINT logged_names_pkey PRIMARY KEY (organization_id, resource_id, name)
);

-- For the beginning of a name. See logged_names_part_idx about the array.
CREATE INDEX logged_names_beginning_idx ON logged_names ((ARRAY[organization_id]), name);

-- The roll-up locks the users whose names it adds, so that it adds no name after the deletion.
CREATE FUNCTION delete_logged_names() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    DELETE FROM logged_names
     WHERE organization_id = OLD.organization_id AND resource_id = OLD.user_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_delete_logged_names AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION delete_logged_names();

-- For retention.
CREATE INDEX logged_names_last_number_idx ON logged_names (last_number);

-- For a part of a name. pg_trgm is a trusted extension: the owner of the database may create it.
-- The organization is an array, so that only this index can serve the condition: from averages
-- over organizations, the planner would rather read all names of one.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE INDEX logged_names_part_idx ON logged_names
    USING gin ((ARRAY[organization_id]), searchable(name) gin_trgm_ops)
     WITH (gin_pending_list_limit = 1024); -- kB, which a batch of the roll-up merges at a time
