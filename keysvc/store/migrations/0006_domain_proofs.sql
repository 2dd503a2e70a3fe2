-- An organization has to prove an e-mail domain by a TXT record. Until then the row is a claim,
-- and other organizations may claim the same domain.
ALTER TABLE sso_domains
    -- Random and public: the administrator publishes it in the DNS.
    ADD COLUMN token           text        NOT NULL
        DEFAULT replace(gen_random_uuid()::text, '-', ''),
    ADD COLUMN create_time     timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN proven_time     timestamptz,
    -- An operator verified the domain; it is not checked.
    ADD COLUMN is_override     boolean     NOT NULL DEFAULT false,
    -- Until then the domain counts as proven.
    ADD COLUMN grace_until     timestamptz,
    ADD COLUMN last_check_time timestamptz,
    ADD COLUMN next_check_time timestamptz NOT NULL DEFAULT now(),
    -- Until then the domain is checked every few minutes.
    ADD COLUMN check_until     timestamptz NOT NULL DEFAULT now() + interval '1 hour',
    -- The first of the failed checks in a row of a proven domain, and their number.
    ADD COLUMN failing_since   timestamptz,
    ADD COLUMN failed_checks   integer     NOT NULL DEFAULT 0,
    -- When the domain lost its proof or its grace period.
    ADD COLUMN lost_time       timestamptz,
    ADD CONSTRAINT sso_domains_token_length CHECK (char_length(token) BETWEEN 16 AND 64),
    ADD CONSTRAINT sso_domains_failing_proven
        CHECK (failing_since IS NULL OR proven_time IS NOT NULL),
    ADD CONSTRAINT sso_domains_override_proven CHECK (proven_time IS NOT NULL OR NOT is_override);

-- The domains of today keep working for 30 days. They are unique, so each has one organization.
UPDATE sso_domains SET grace_until = now() + interval '30 days';

-- A domain has one organization that has proven it, however many claim it. A sign-in starts with
-- an e-mail address and finds its organization by this index.
DROP INDEX sso_domains_by_domain;
CREATE UNIQUE INDEX sso_domains_by_domain ON sso_domains (domain) WHERE proven_time IS NOT NULL;
CREATE INDEX sso_domains_in_grace ON sso_domains (domain) WHERE grace_until IS NOT NULL;
CREATE INDEX sso_domains_due ON sso_domains (next_check_time) WHERE NOT is_override;

-- The new constraint is not checked against existing rows, which the old one admitted.
ALTER TABLE audit_events
    ADD COLUMN domain text NOT NULL DEFAULT '',
    ADD COLUMN reason text NOT NULL DEFAULT '', -- that the operator gave
    DROP CONSTRAINT audit_events_action_known,
    ADD CONSTRAINT audit_events_action_known CHECK (action IN (
        'integration_activated', 'integration_deactivated', 'key_generated', 'key_revoked',
        'sso_updated', 'sso_tested', 'sso_activated', 'sso_deactivated',
        'signed_in', 'signed_in_with_link', 'signed_out', 'sessions_ended', 'log_exported',
        'domain_proven', 'domain_proof_missing', 'domain_lost', 'domain_verified'))
        NOT VALID;
