-- Who did what, kept as long as the organization. The key is the order of the list, which thus
-- needs no index of its own.
CREATE TABLE audit_events (
    organization_id    uuid        NOT NULL,
    create_time        timestamptz NOT NULL,
    event_id           uuid        NOT NULL DEFAULT uuidv7(),
    actor_id           text        NOT NULL,
    actor_display_name text        NOT NULL,
    actor_address      text        NOT NULL,
    action             text        NOT NULL,
    key_id             uuid,
    fields             text[]      NOT NULL DEFAULT '{}',
    CONSTRAINT audit_events_pkey PRIMARY KEY (organization_id, create_time, event_id),
    CONSTRAINT audit_events_organization_fkey
        FOREIGN KEY (organization_id) REFERENCES organization (organization_id),
    CONSTRAINT audit_events_actor_id_length CHECK (char_length(actor_id) <= 200),
    CONSTRAINT audit_events_actor_display_name_length
        CHECK (octet_length(actor_display_name) <= 1024),
    CONSTRAINT audit_events_actor_address_length CHECK (char_length(actor_address) <= 45),
    CONSTRAINT audit_events_action_known CHECK (action IN (
        'integration_activated', 'integration_deactivated', 'key_generated', 'key_revoked',
        'sso_updated', 'sso_tested', 'sso_activated', 'sso_deactivated'))
);

-- The names that pages show beside the ids in created_by and revoked_by.
ALTER TABLE api_key
    ADD COLUMN created_by_name text NOT NULL DEFAULT '',
    ADD COLUMN revoked_by_name text NOT NULL DEFAULT '',
    ADD CONSTRAINT api_key_created_by_name_length CHECK (octet_length(created_by_name) <= 1024),
    ADD CONSTRAINT api_key_revoked_by_name_length CHECK (octet_length(revoked_by_name) <= 1024);
