-- The refusals whose name begins with a text.
CREATE INDEX CONCURRENTLY refusals_name_idx ON refusals (organization_id, fold(resource_name))
