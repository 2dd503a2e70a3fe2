-- The other half of the log: requests that were refused and so changed nothing. Their numbers come
-- from the same sequence, so that both halves have one order and one kind of id.
CREATE TABLE refusals (
    organization_id uuid        NOT NULL,
    number          bigint      NOT NULL DEFAULT nextval('change_number'),
    action          smallint    NOT NULL, -- usersvc.activities.Action
    create_time     timestamptz NOT NULL,
    request_id      text        NOT NULL,
    key_id          uuid,
    resource_id     uuid,
    resource_name   text,
    method          text        NOT NULL,
    target          text        NOT NULL,
    body            text        NOT NULL,
    status          integer     NOT NULL,
    error_type      text        NOT NULL,
    detail          text        NOT NULL,
    reason          text        NOT NULL,
    client_address  text        NOT NULL,
    -- The texts in the body, folded: by these a row is found again when a person is to be forgotten
    -- whom it names without being about them.
    mentions        text[]      NOT NULL DEFAULT '{}',

    CONSTRAINT refusals_pkey PRIMARY KEY (organization_id, number)
);

CREATE INDEX refusals_create_time_idx ON refusals (organization_id, create_time, number);

CREATE INDEX refusals_resource_idx ON refusals (organization_id, resource_id)
    WHERE resource_id IS NOT NULL;

-- Not led by the organization: an index of this kind takes no uuid without an extension. What it
-- finds of others is left aside by the organization in the WHERE.
CREATE INDEX refusals_mentions_idx ON refusals USING gin (mentions);

-- To trim.
CREATE INDEX refusals_number_idx ON refusals (number);

-- Whether the change took from the organization its last active administrator.
ALTER TABLE changes ADD COLUMN last_administrator_lost boolean NOT NULL DEFAULT false;

CREATE INDEX users_administrator_idx ON users (organization_id, user_id)
    WHERE roles IS NOT NULL AND has_role(roles, 'Administrator');
