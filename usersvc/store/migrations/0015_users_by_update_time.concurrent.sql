-- Takes the place of users_update_time_idx, which every update had to write. A BRIN index allows HOT
-- updates. It finds the pages with rows that were updated lately, and it cannot sort.
CREATE INDEX CONCURRENTLY users_update_time_brin ON users
    USING brin (organization_id, update_time) WITH (pages_per_range = 8, autosummarize = on);
