-- The events of one action, in the order of the list.
CREATE INDEX CONCURRENTLY audit_events_action_idx ON audit_events
    (organization_id, action, create_time, event_id);
