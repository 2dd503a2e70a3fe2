-- The refusals whose name contains a text. See logged_names_part_idx. Not partial: ANALYZE would
-- keep the names of an erased person if no row of a partial index were left.
CREATE INDEX CONCURRENTLY refusals_part_idx ON refusals
    USING gin ((ARRAY[organization_id]), searchable(fold(resource_name)) gin_trgm_ops)
