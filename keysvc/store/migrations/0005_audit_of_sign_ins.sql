-- The audit trail also has sign-ins, sign-outs and exports. The new constraint is not checked
-- against existing rows, which the old one admitted, because that would lock the table.
ALTER TABLE audit_events
    ADD COLUMN user_id uuid, -- whose sessions were ended
    DROP CONSTRAINT audit_events_action_known,
    ADD CONSTRAINT audit_events_action_known CHECK (action IN (
        'integration_activated', 'integration_deactivated', 'key_generated', 'key_revoked',
        'sso_updated', 'sso_tested', 'sso_activated', 'sso_deactivated',
        'signed_in', 'signed_in_with_link', 'signed_out', 'sessions_ended', 'log_exported'))
        NOT VALID;
