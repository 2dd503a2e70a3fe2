-- The list of an organization's sessions, newest first.
CREATE INDEX CONCURRENTLY sessions_create_time_idx ON sessions
    (organization_id, create_time DESC, secret_digest);
