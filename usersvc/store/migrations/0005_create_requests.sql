-- What creates with a request id have made, so that one that is repeated makes nothing else. Kept for
-- a day and then trimmed, one organization after the other; without personal data, since it outlives
-- what it made. See request_store.py.
CREATE TABLE create_requests (
    organization_id uuid        NOT NULL,
    request_id      uuid        NOT NULL,
    digest          bytea       NOT NULL, -- of the whole request
    resource_id     uuid, -- NULL only inside the transaction that makes the resource
    create_time     timestamptz NOT NULL,

    CONSTRAINT create_requests_pkey PRIMARY KEY (organization_id, request_id)
);

CREATE INDEX create_requests_create_time_idx ON create_requests (organization_id, create_time);
