-- The attributes that an organization adds to its users. At most 20 schemas each, read together.
CREATE TABLE schemas (
    organization_id uuid        NOT NULL,
    urn             text COLLATE "C" NOT NULL,
    folded_urn      text COLLATE "C" NOT NULL GENERATED ALWAYS AS (fold(urn)) STORED,
    name            text        NOT NULL,
    description     text, -- NULL is none
    attributes      jsonb       NOT NULL,
    create_time     timestamptz NOT NULL,

    CONSTRAINT schemas_pkey PRIMARY KEY (organization_id, folded_urn)
);

-- The values that a user has for its organization's schemas: an object by the schemas' URNs, spelt
-- as there, of objects by the attributes' names. NULL is none.
ALTER TABLE users ADD COLUMN extensions jsonb;

-- Few organizations have schemas of their own: conditions on them go through those users alone.
CREATE INDEX users_extensions_idx ON users (organization_id, user_id)
    WHERE extensions IS NOT NULL;
