DROP INDEX CONCURRENTLY IF EXISTS groups_update_time_idx;
