-- The one home of the rule for comparing text without regard to case: Unicode's simple case
-- folding, one character for one, as identity providers compare names. (Full folding would make
-- 'straße@…' and 'strasse@…' one person.) It looks at single characters only, so unlike lower() it
-- treats every sigma alike wherever it stands, and folding a part gives a part of the folded whole.
-- A Turkish dotless 'ı' is not 'i'; composed and decomposed accents differ, as no text is
-- normalized. A later PostgreSQL may know more characters: reindex after a major upgrade.
CREATE FUNCTION fold(text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN casefold($1 COLLATE pg_c_utf8);

-- Text is ordered by code point. NULL is what is not assigned; a text is never empty, an array
-- of elements neither.
CREATE TABLE users (
    organization_id         uuid        NOT NULL,
    user_id                 uuid        NOT NULL DEFAULT uuidv7(),
    version                 bigint      NOT NULL DEFAULT 1,
    create_time             timestamptz NOT NULL,
    update_time             timestamptz NOT NULL,

    user_name               text COLLATE "C" NOT NULL,
    external_id             text COLLATE "C",
    active                  boolean, -- NULL as well as false: may not sign in
    name_formatted          text COLLATE "C",
    family_name             text COLLATE "C",
    given_name              text COLLATE "C",
    middle_name             text COLLATE "C",
    honorific_prefix        text COLLATE "C",
    honorific_suffix        text COLLATE "C",
    display_name            text COLLATE "C",
    nick_name               text COLLATE "C",
    profile_url             text COLLATE "C",
    title                   text COLLATE "C",
    user_type               text COLLATE "C",
    preferred_language      text COLLATE "C",
    locale                  text COLLATE "C",
    timezone                text COLLATE "C",

    emails                  jsonb,
    phone_numbers           jsonb,
    ims                     jsonb,
    photos                  jsonb,
    addresses               jsonb,
    entitlements            jsonb,
    roles                   jsonb,
    x509_certificates       jsonb,

    employee_number         text COLLATE "C",
    cost_center             text COLLATE "C",
    enterprise_organization text COLLATE "C",
    division                text COLLATE "C",
    department              text COLLATE "C",
    manager_value           text COLLATE "C",

    CONSTRAINT users_pkey PRIMARY KEY (organization_id, user_id),
    -- An index entry holds up to 2,704 bytes, and folding can make a text half as long again.
    CONSTRAINT users_user_name_size
        CHECK (user_name <> '' AND octet_length(fold(user_name)) <= 2000),
    CONSTRAINT users_external_id_size CHECK (octet_length(external_id) <= 2000),
    CONSTRAINT users_display_name_size CHECK (octet_length(fold(display_name)) <= 2000)
);

CREATE UNIQUE INDEX users_user_name_key ON users (organization_id, fold(user_name));

CREATE INDEX users_external_id_idx ON users (organization_id, external_id)
    WHERE external_id IS NOT NULL;

CREATE INDEX users_display_name_idx ON users (organization_id, fold(display_name))
    WHERE display_name IS NOT NULL;

CREATE INDEX users_update_time_idx ON users (organization_id, update_time, user_id);

-- Without it the planner takes any display name for one of 200 that all users share.
CREATE STATISTICS users_display_name_stats ON (fold(display_name)) FROM users;

-- Who has an e-mail address: an index over the elements of users.emails, as a table. A GIN index
-- would need no upkeep, but costs each update of a user an entry, whatever the update was about,
-- and the planner cannot tell how few users have one address, so it would rather read them all.
--
-- The hash keeps entries small, however long an address is; readers compare the address as well.
CREATE TABLE user_email (
    organization_id uuid   NOT NULL,
    address_hash    bigint NOT NULL,
    user_id         uuid   NOT NULL,
    CONSTRAINT user_email_pkey PRIMARY KEY (organization_id, address_hash, user_id)
);

CREATE FUNCTION address_hash(address text) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN hashtextextended(fold(address), 0);

CREATE FUNCTION address_hashes(emails jsonb) RETURNS SETOF bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT DISTINCT address_hash(email ->> 'value')
      FROM jsonb_array_elements(emails) AS email
     WHERE email ->> 'value' IS NOT NULL;
END;

-- A trigger, because only it sees the row as it really was before: a statement that had to wait
-- for another writer still sees user_email as it was before the wait.
CREATE FUNCTION index_user_email() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM user_email
         WHERE organization_id = OLD.organization_id
           AND address_hash IN (SELECT address_hashes(OLD.emails))
           AND user_id = OLD.user_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO user_email (organization_id, address_hash, user_id)
        SELECT NEW.organization_id, address_hashes(NEW.emails), NEW.user_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_index_email_insert AFTER INSERT ON users
    FOR EACH ROW WHEN (NEW.emails IS NOT NULL) EXECUTE FUNCTION index_user_email();

CREATE TRIGGER users_index_email_update AFTER UPDATE OF emails ON users
    FOR EACH ROW WHEN (OLD.emails IS DISTINCT FROM NEW.emails)
    EXECUTE FUNCTION index_user_email();

CREATE TRIGGER users_index_email_delete AFTER DELETE ON users
    FOR EACH ROW WHEN (OLD.emails IS NOT NULL) EXECUTE FUNCTION index_user_email();
