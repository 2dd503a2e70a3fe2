-- Takes the place of groups_update_time_idx, which every update had to write. A BRIN index allows HOT
-- updates. It finds the pages with rows that were updated lately, and it cannot sort.
CREATE INDEX CONCURRENTLY groups_update_time_brin ON groups
    USING brin (organization_id, update_time) WITH (pages_per_range = 8, autosummarize = on);
