-- The one home of the rule for comparing text without regard to case: Unicode's full case folding,
-- which looks at single characters only. So unlike lower() it treats every sigma alike wherever it
-- stands, and folding a part gives a part of the folded whole. 'ß' equals 'ss'; a Turkish dotless
-- 'ı' is not 'i'; composed and decomposed accents differ, as no text is normalized. Python's
-- str.casefold() gives the same for all characters that both Unicode versions know. A later
-- PostgreSQL may know more of them: reindex after a major upgrade.
CREATE FUNCTION fold(text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN casefold($1 COLLATE pg_unicode_fast);

-- What an e-mail address is found by: 8 bytes, however long the address, that differ between
-- organizations. Two addresses may share a key, so queries compare the address as well.
CREATE FUNCTION email_key(organization_id uuid, address text) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN hashtextextended(fold(address), uuid_hash_extended(organization_id, 0));

CREATE FUNCTION email_keys(organization_id uuid, emails jsonb) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT array_agg(email_key(organization_id, email ->> 'value'))
              FROM jsonb_array_elements(emails) AS email
             WHERE email ->> 'value' IS NOT NULL);

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
    active                  boolean NOT NULL,
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

    -- Stored, so that an update that leaves the e-mail addresses alone need not hash them again.
    email_keys bigint[] GENERATED ALWAYS AS (email_keys(organization_id, emails)) STORED,

    CONSTRAINT users_pkey PRIMARY KEY (organization_id, user_id),
    -- An index entry holds up to 2,704 bytes, and folding can make a text three times as long.
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

-- The organization is inside the keys. Without fastupdate a search never has to read through a
-- list of entries that wait to be sorted in, and no single insert has to sort in thousands.
CREATE INDEX users_email_keys_idx ON users USING gin (email_keys) WITH (fastupdate = off)
    WHERE email_keys IS NOT NULL;
