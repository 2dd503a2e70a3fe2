CREATE TABLE groups (
    organization_id uuid        NOT NULL,
    group_id        uuid        NOT NULL DEFAULT uuidv7(),
    version         bigint      NOT NULL DEFAULT 1,
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,

    display_name    text COLLATE "C" NOT NULL,
    external_id     text COLLATE "C",
    -- Ids that nobody has, as they were given; few, so they need no table.
    unknown_members text[] NOT NULL DEFAULT '{}',

    CONSTRAINT groups_pkey PRIMARY KEY (organization_id, group_id),
    -- An index entry holds up to 2,704 bytes, and folding can make a text half as long again.
    CONSTRAINT groups_display_name_size
        CHECK (display_name <> '' AND octet_length(fold(display_name)) <= 2000),
    CONSTRAINT groups_external_id_size CHECK (octet_length(external_id) <= 2000)
);

CREATE INDEX groups_display_name_idx ON groups (organization_id, fold(display_name), group_id);

CREATE INDEX groups_external_id_idx ON groups (organization_id, external_id)
    WHERE external_id IS NOT NULL;

CREATE INDEX groups_update_time_idx ON groups (organization_id, update_time, group_id);

-- Without it the planner takes any display name for one of 200 that all groups share.
CREATE STATISTICS groups_display_name_stats ON (fold(display_name)) FROM groups;

-- Members that are users and members that are groups have a table each, so that a foreign key can
-- tell for both that nobody is a member who is not there. What a member is taken out of has to
-- change its version, so whoever deletes a member takes it out first: the keys towards members do
-- not cascade. The keys towards the group do, as one statement over one range of an index.
CREATE TABLE group_users (
    organization_id uuid NOT NULL,
    group_id        uuid NOT NULL,
    user_id         uuid NOT NULL,
    CONSTRAINT group_users_pkey PRIMARY KEY (organization_id, group_id, user_id),
    CONSTRAINT group_users_group_fkey FOREIGN KEY (organization_id, group_id)
        REFERENCES groups (organization_id, group_id) ON DELETE CASCADE,
    CONSTRAINT group_users_user_fkey FOREIGN KEY (organization_id, user_id)
        REFERENCES users (organization_id, user_id)
);

CREATE INDEX group_users_user_idx ON group_users (organization_id, user_id, group_id);

CREATE TABLE group_groups (
    organization_id uuid NOT NULL,
    group_id        uuid NOT NULL,
    member_group_id uuid NOT NULL,
    CONSTRAINT group_groups_pkey PRIMARY KEY (organization_id, group_id, member_group_id),
    CONSTRAINT group_groups_group_fkey FOREIGN KEY (organization_id, group_id)
        REFERENCES groups (organization_id, group_id) ON DELETE CASCADE,
    CONSTRAINT group_groups_member_fkey FOREIGN KEY (organization_id, member_group_id)
        REFERENCES groups (organization_id, group_id),
    -- Longer ways back to a group are looked for before a group becomes a member.
    CONSTRAINT group_groups_self CHECK (group_id <> member_group_id)
);

CREATE INDEX group_groups_member_idx ON group_groups (organization_id, member_group_id, group_id);

CREATE VIEW group_members AS
    SELECT organization_id, group_id, user_id AS member_id, 'user' AS kind FROM group_users
    UNION ALL
    SELECT organization_id, group_id, member_group_id, 'group' FROM group_groups;
