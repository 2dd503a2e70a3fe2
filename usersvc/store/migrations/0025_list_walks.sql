-- The positions of walks through lists that are paged by index. See usersvc/store/walks.py.
CREATE TABLE list_walks (
    organization_id uuid        NOT NULL,
    list_digest     bytea       NOT NULL, -- of the query and its reader
    walk_id         uuid        NOT NULL,
    page_index      bigint      NOT NULL,
    page_position   bytea       NOT NULL, -- may contain the value that the list is sorted by
    next_index      bigint      NOT NULL,
    next_position   bytea       NOT NULL,
    full_index      bigint      NOT NULL,
    total_size      bigint      NOT NULL,
    read_time       timestamptz NOT NULL, -- when the last page was requested

    CONSTRAINT list_walks_pkey PRIMARY KEY (organization_id, list_digest, walk_id)
) WITH (fillfactor = 70); -- space for the next page's version of a row, which changes no index
