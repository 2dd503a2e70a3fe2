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

-- Whom an identity provider knows by which object identifier: one user each way, so of two first
-- sign-ins at once the second one waits for the first, and then finds whom it made or linked.
CREATE TABLE linked_identities (
    organization_id   uuid NOT NULL,
    object_identifier text COLLATE "C" NOT NULL,
    user_id           uuid NOT NULL,
    CONSTRAINT linked_identities_pkey PRIMARY KEY (organization_id, object_identifier),
    CONSTRAINT linked_identities_user_key UNIQUE (organization_id, user_id),
    CONSTRAINT linked_identities_user_fkey FOREIGN KEY (organization_id, user_id)
        REFERENCES users (organization_id, user_id) ON DELETE CASCADE
);

-- How a person who was deleted would sign in: no sign-in creates the person again. Digests, as what
-- is a person's goes with the person; the organization is part of them, so one organization's say
-- nothing about another's.
CREATE FUNCTION identity_digest(organization_id uuid, identity text) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN sha256(uuid_send(organization_id) || convert_to(fold(identity), 'UTF8'));

CREATE TABLE deleted_identities (
    organization_id uuid        NOT NULL,
    digest          bytea       NOT NULL,
    delete_time     timestamptz NOT NULL,
    CONSTRAINT deleted_identities_pkey PRIMARY KEY (organization_id, digest)
);

CREATE INDEX deleted_identities_delete_time_idx ON deleted_identities (delete_time);
