-- The numbers of users and groups of each organization (usersvc/store/directory_counts.py). Requests
-- do not write them, because all writes of an organization would wait for one row: a background task
-- adds up the changes in the order of their numbers, and readers add the later ones themselves.
CREATE TABLE directory_counts (
    organization_id uuid   NOT NULL,
    users           bigint NOT NULL,
    active_users    bigint NOT NULL,
    groups          bigint NOT NULL,

    CONSTRAINT directory_counts_pkey PRIMARY KEY (organization_id)
);

-- The change of a deletion does not tell whether the user was active. The row of an active user says
-- so until it is counted.
CREATE TABLE deleted_active_users (
    organization_id uuid   NOT NULL,
    number          bigint NOT NULL, -- from the sequence of changes

    CONSTRAINT deleted_active_users_pkey PRIMARY KEY (organization_id, number)
);

-- For the background task, which counts the rows of all organizations.
CREATE INDEX deleted_active_users_number_idx ON deleted_active_users (number);

CREATE FUNCTION record_deleted_active_user() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO deleted_active_users (organization_id, number)
    VALUES (OLD.organization_id, next_change());
    RETURN NULL;
END
$$;

CREATE TRIGGER users_record_deleted_active AFTER DELETE ON users
    FOR EACH ROW WHEN (OLD.active) EXECUTE FUNCTION record_deleted_active_user();

-- The number of the last change in directory_counts; NULL until the background task has counted all
-- rows once. Earlier deletions than `countable_from` are not recorded. The trigger's creation waited
-- for them, so that they have lower numbers.
ALTER TABLE change_feed
    ADD COLUMN counted        bigint,
    ADD COLUMN countable_from bigint NOT NULL DEFAULT pg_sequence_last_value('change_number');

-- The text of a user by which people search: every name begins after a line break. It is indexed by
-- users_names_idx.
CREATE FUNCTION user_names(user_name text, display_name text, given_name text, family_name text)
    RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN searchable(fold(chr(10) || user_name || chr(10) || coalesce(display_name, '') || chr(10)
                           || coalesce(given_name, '') || chr(10) || coalesce(family_name, '')));
