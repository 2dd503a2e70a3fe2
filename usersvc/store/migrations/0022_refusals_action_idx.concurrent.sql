-- The newest refusals of an action; every page of the portal reads the last refused key.
CREATE INDEX CONCURRENTLY refusals_action_idx ON refusals (organization_id, action, number)
