-- The organization leads every primary key and every query but two that have none to begin with:
-- the list of all organizations, and the look-up of the key that a token names.

CREATE TABLE organization (
    organization_id uuid        NOT NULL DEFAULT uuidv7(),
    display_name    text        NOT NULL,
    region          text        NOT NULL,
    create_time     timestamptz NOT NULL,
    CONSTRAINT organization_pkey PRIMARY KEY (organization_id),
    CONSTRAINT organization_display_name_length
        CHECK (char_length(display_name) BETWEEN 1 AND 200),
    CONSTRAINT organization_region_known CHECK (region IN ('us', 'eu'))
);

CREATE INDEX organization_by_creation ON organization (create_time, organization_id);

-- The link to Microsoft Entra ID; every organization has one from the start.
CREATE TABLE integration (
    organization_id uuid        NOT NULL,
    active          boolean     NOT NULL,
    update_time     timestamptz NOT NULL,
    CONSTRAINT integration_pkey PRIMARY KEY (organization_id),
    CONSTRAINT integration_organization_fkey
        FOREIGN KEY (organization_id) REFERENCES organization (organization_id)
);

CREATE TABLE api_key (
    organization_id   uuid        NOT NULL,
    key_id            uuid        NOT NULL,
    -- SHA-256 of the secret. The secret is 256 random bits: nobody can try them through, so a
    -- slow, salted hash would only make each request slow.
    secret_digest     bytea       NOT NULL,
    create_time       timestamptz NOT NULL,
    created_by        text        NOT NULL,
    expire_time       timestamptz,
    revoke_time       timestamptz,
    revoked_by        text        NOT NULL DEFAULT '',
    last_used_time    timestamptz,
    last_used_address text        NOT NULL DEFAULT '',
    CONSTRAINT api_key_pkey PRIMARY KEY (organization_id, key_id),
    CONSTRAINT api_key_organization_fkey
        FOREIGN KEY (organization_id) REFERENCES organization (organization_id),
    CONSTRAINT api_key_secret_digest_length CHECK (octet_length(secret_digest) = 32),
    CONSTRAINT api_key_created_by_length CHECK (char_length(created_by) <= 200),
    CONSTRAINT api_key_revoked_by_length CHECK (char_length(revoked_by) <= 200),
    CONSTRAINT api_key_last_used_address_length CHECK (char_length(last_used_address) <= 45)
);

-- A token names its key and not its organization: this is how the organization is found. Unique,
-- so that one token can never speak for two organizations. Were the tables distributed, this
-- index would become a table of its own (key_id, organization_id), distributed by key_id.
CREATE UNIQUE INDEX api_key_by_key_id ON api_key (key_id);
