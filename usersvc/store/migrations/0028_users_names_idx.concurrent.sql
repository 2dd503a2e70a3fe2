-- The users with a name that contains a text. See logged_names_part_idx about the array. A create
-- appends to the list of pending entries, which a background task merges before it reaches its limit.
CREATE INDEX CONCURRENTLY users_names_idx ON users
    USING gin ((ARRAY[organization_id]),
               user_names(user_name, display_name, given_name, family_name) gin_trgm_ops)
     WITH (gin_pending_list_limit = 16384)
