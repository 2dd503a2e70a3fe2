-- Whether a user has a role, by its value or its name.
CREATE FUNCTION has_role(roles jsonb, role text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN EXISTS (SELECT
                     FROM jsonb_array_elements(roles) AS held
                    WHERE fold(role) IN (fold(held ->> 'value'), fold(held ->> 'display')));

-- Of tokens only digests are kept. They stand for 256 random bits, so SHA-256 is enough.
CREATE TABLE sessions (
    organization_id uuid        NOT NULL,
    secret_digest   bytea       NOT NULL,
    user_id         uuid        NOT NULL,
    create_time     timestamptz NOT NULL,
    expire_time     timestamptz NOT NULL, -- goes on with use
    end_time        timestamptz NOT NULL, -- does not
    CONSTRAINT sessions_pkey PRIMARY KEY (organization_id, secret_digest),
    CONSTRAINT sessions_user_fkey FOREIGN KEY (organization_id, user_id)
        REFERENCES users (organization_id, user_id) ON DELETE CASCADE
);

CREATE INDEX sessions_user_idx ON sessions (organization_id, user_id);

-- Trimming asks for what is over, whosever it was.
CREATE INDEX sessions_expire_time_idx ON sessions (expire_time);

CREATE TABLE sign_in_links (
    organization_id uuid        NOT NULL,
    secret_digest   bytea       NOT NULL,
    user_id         uuid        NOT NULL,
    expire_time     timestamptz NOT NULL,
    CONSTRAINT sign_in_links_pkey PRIMARY KEY (organization_id, secret_digest),
    CONSTRAINT sign_in_links_user_fkey FOREIGN KEY (organization_id, user_id)
        REFERENCES users (organization_id, user_id) ON DELETE CASCADE
);

CREATE INDEX sign_in_links_user_idx ON sign_in_links (organization_id, user_id);

CREATE INDEX sign_in_links_expire_time_idx ON sign_in_links (expire_time);

-- The ids of assertions that were shown. A digest, since an identity provider chooses their length.
CREATE TABLE taken_assertions (
    organization_id  uuid        NOT NULL,
    assertion_digest bytea       NOT NULL,
    expire_time      timestamptz NOT NULL,
    CONSTRAINT taken_assertions_pkey PRIMARY KEY (organization_id, assertion_digest)
);

CREATE INDEX taken_assertions_expire_time_idx ON taken_assertions (expire_time);

-- No session finds a user that is not active, and none begins again when the user is active again.
-- A trigger, because a user is deactivated by many statements and must not be so by one less.
CREATE FUNCTION end_sessions() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    DELETE FROM sessions WHERE organization_id = NEW.organization_id AND user_id = NEW.user_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_end_sessions AFTER UPDATE OF active ON users
    FOR EACH ROW WHEN (OLD.active AND NEW.active IS NOT TRUE)
    EXECUTE FUNCTION end_sessions();

-- Who signs in for the first time is created unless a user has the external id already. No unique
-- index can tell, as several users may have it: so whoever is about to add one takes this lock of
-- the organization with others, and whoever has looked for one in vain takes it alone to look again.
-- One lock, however many users a transaction adds: their number is limited.
CREATE FUNCTION external_ids_lock(organization_id uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN hashtextextended('external ids of ' || organization_id::text, 0);

CREATE FUNCTION lock_external_ids() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(external_ids_lock(NEW.organization_id));
    RETURN NEW;
END
$$;

CREATE TRIGGER users_lock_external_ids BEFORE INSERT ON users
    FOR EACH ROW WHEN (NEW.external_id IS NOT NULL) EXECUTE FUNCTION lock_external_ids();
