-- How an organization's people sign in; an organization without a row has set nothing up.
CREATE TABLE sso_connections (
    organization_id      uuid        NOT NULL,
    -- Grows with what is set up, and not with tests and switching.
    version              bigint      NOT NULL,
    active               boolean     NOT NULL,
    test_time            timestamptz,
    update_time          timestamptz NOT NULL,
    sso_url              text        NOT NULL,
    idp_entity_id        text        NOT NULL,
    certificates         text[]      NOT NULL,
    create_missing_users boolean     NOT NULL,
    CONSTRAINT sso_connections_pkey PRIMARY KEY (organization_id),
    CONSTRAINT sso_connections_organization_fkey
        FOREIGN KEY (organization_id) REFERENCES organization (organization_id),
    CONSTRAINT sso_connections_tested CHECK (test_time IS NOT NULL OR NOT active),
    CONSTRAINT sso_connections_sso_url_length CHECK (char_length(sso_url) BETWEEN 1 AND 2000),
    CONSTRAINT sso_connections_idp_entity_id_length
        CHECK (char_length(idp_entity_id) BETWEEN 1 AND 1024),
    CONSTRAINT sso_connections_certificates_count CHECK (cardinality(certificates) BETWEEN 1 AND 5)
);

CREATE TABLE sso_domains (
    organization_id uuid NOT NULL,
    domain          text NOT NULL,
    CONSTRAINT sso_domains_pkey PRIMARY KEY (organization_id, domain),
    CONSTRAINT sso_domains_connection_fkey
        FOREIGN KEY (organization_id) REFERENCES sso_connections (organization_id),
    CONSTRAINT sso_domains_domain_length CHECK (char_length(domain) BETWEEN 1 AND 253),
    CONSTRAINT sso_domains_domain_lower_case CHECK (domain = lower(domain))
);

-- Who signs in tells an e-mail address and no organization: this is how the organization is
-- found. With api_key_by_key_id the only index that no organization leads. Unique, so that an
-- address can never lead to two identity providers. Were the tables distributed, this index would
-- become a table of its own (domain, organization_id), distributed by domain.
CREATE UNIQUE INDEX sso_domains_by_domain ON sso_domains (domain);
