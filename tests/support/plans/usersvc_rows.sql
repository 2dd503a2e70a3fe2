-- 1,000 organizations of 30 users beside one of 30,000; `Organization` computes the same ids.
CREATE FUNCTION pg_temp.id(kind text, organization integer, number integer) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN (kind || lpad(to_hex(organization), 6, '0') || '-0000-7000-8000-'
            || lpad(to_hex(number), 12, '0'))::uuid;

CREATE TEMP TABLE organization AS
SELECT organization, pg_temp.id('0a', organization, 0) AS organization_id,
       CASE organization WHEN 0 THEN 30000 ELSE 30 END AS size,
       CASE organization WHEN 0 THEN 5000 ELSE 10 END AS groups
  FROM generate_series(0, 1000) AS organization
 ORDER BY organization = 0; -- the large one is provisioned last

CREATE TEMP TABLE person AS
SELECT organization, organization_id, number, groups, pg_temp.id('0b', organization, number) AS id,
       'user' || number || '@o' || organization || '.test' AS name,
       '2026-01-01Z'::timestamptz + number * interval '1 s'
       + CASE organization WHEN 0 THEN interval '1 day' ELSE organization * interval '40 s' END
       AS time,
       number % 10 = 1 AS tenth
  FROM organization, generate_series(1, size) AS number;

-- Indexes and foreign keys are added at the end, which takes a third of the time.
CREATE TEMP TABLE definition AS
SELECT 'DROP INDEX ' || indexrelid::regclass AS dropped, pg_get_indexdef(indexrelid) AS added
  FROM pg_index
 WHERE indrelid IN ('users'::regclass, 'group_users'::regclass, 'refusals'::regclass,
                    'logged_names'::regclass)
   AND indexrelid NOT IN (SELECT conindid FROM pg_constraint)
 UNION ALL
SELECT format('ALTER TABLE group_users DROP CONSTRAINT %I', conname),
       format('ALTER TABLE group_users ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
  FROM pg_constraint
 WHERE conrelid = 'group_users'::regclass AND contype = 'f';
DO $$
DECLARE statement text;
BEGIN
    FOR statement IN SELECT dropped FROM definition LOOP
        EXECUTE statement;
    END LOOP;
END $$;

-- The trigger works row by row; the statement below fills its table at once.
ALTER TABLE users DISABLE TRIGGER USER;
INSERT INTO users (organization_id, user_id, create_time, update_time, user_name, external_id,
                   active, display_name, emails, roles, employee_number, extensions)
SELECT organization_id, id, time, time, name, 'external-' || number, true, 'Person ' || number,
       jsonb_build_array(jsonb_build_object('value', name, 'type', 'work')),
       CASE WHEN number <= 3 THEN '[{"value": "Administrator"}]'::jsonb END, 'E' || number,
       CASE WHEN tenth THEN '{"urn:x:badge": {"color": "red"}}'::jsonb END
  FROM person;
ALTER TABLE users ENABLE TRIGGER USER;
INSERT INTO user_email (organization_id, address_hash, user_id)
SELECT organization_id, address_hash(name), id FROM person ORDER BY 1, 2;

-- Everybody but user 7 is in group 1, and in one of the groups after 3. User 12 is in all groups.
-- Group 2 contains group 3, and group 3 the others.
INSERT INTO groups (organization_id, group_id, create_time, update_time, display_name, external_id)
SELECT organization_id, pg_temp.id('0c', organization, number), '2026-01-01Z',
       '2026-01-01Z'::timestamptz + number * interval '1 s', 'Group ' || number,
       'external-' || number
  FROM organization, generate_series(1, groups) AS number;
INSERT INTO group_users (organization_id, group_id, user_id)
SELECT organization_id, pg_temp.id('0c', organization, each), id
  FROM person, LATERAL (VALUES (1), (4 + number % (groups - 3))) AS group_number (each)
 WHERE number NOT IN (7, 12);
INSERT INTO group_users (organization_id, group_id, user_id)
SELECT organization_id, pg_temp.id('0c', organization, group_number), id
  FROM person, generate_series(1, groups) AS group_number
 WHERE number = 12;
INSERT INTO group_groups (organization_id, group_id, member_group_id)
SELECT organization_id, pg_temp.id('0c', organization, least(3, number - 1)),
       pg_temp.id('0c', organization, number)
  FROM organization, generate_series(3, groups) AS number;

-- Two changes of each user.
INSERT INTO changes (organization_id, number, type, resource_id, version, create_time, request_id,
                     resource_name)
SELECT organization_id, next_change(), CASE version WHEN 1 THEN 1 ELSE 2 END, id, version, now(),
       'request-' || version || '-' || number, name
  FROM person, generate_series(1, 2) AS version;
INSERT INTO refusals (organization_id, action, create_time, request_id, resource_id, resource_name,
                      method, target, body, status, error_type, detail, reason, client_address,
                      mentions)
SELECT organization_id, 2, now(), 'refused-' || number, id, name, 'PATCH', '/Users/' || id, '{}',
       400, '', '', '', '', ARRAY[name, 'work', 'replace']
  FROM person
 WHERE tenth;

-- As the roll-up adds them.
INSERT INTO logged_names (organization_id, resource_id, name, last_number)
SELECT organization_id, resource_id, fold(resource_name), max(number) FROM changes GROUP BY 1, 2, 3;
INSERT INTO activity_counts (organization_id, minutes, start_time, first_time, last_time, succeeded,
                             refused, rejected_keys, types, first_number, last_number)
SELECT organization_id, minutes, now() - minutes * n * interval '1 minute', now(), now(), 1, 0, 0, 6,
       1, 1
  FROM organization, unnest(ARRAY[1, 60]) AS minutes,
       generate_series(1, CASE organization WHEN 0 THEN 700 ELSE 10 END) AS n;
UPDATE change_feed
   SET rolled_up = last, counted = last
  FROM (SELECT max(number) AS last FROM refusals) AS refusal; -- added last
INSERT INTO directory_counts (organization_id, users, active_users, groups)
SELECT organization_id, size, size, groups FROM organization;
INSERT INTO deleted_active_users (organization_id, number)
SELECT organization_id, number FROM person WHERE tenth; -- counted, as in a batch before its end

INSERT INTO sessions (organization_id, secret_digest, user_id, create_time, expire_time, end_time)
SELECT organization_id, sha256(uuid_send(id)), id, time, now() + interval '1 h',
       now() + interval '1 day'
  FROM person
 WHERE tenth;
INSERT INTO sign_in_links (organization_id, secret_digest, user_id, expire_time)
SELECT organization_id, sha256(uuid_send(id)), id, now() + interval '1 h' FROM person WHERE tenth;
INSERT INTO taken_assertions (organization_id, assertion_digest, expire_time)
SELECT organization_id, sha256(uuid_send(id)), now() + interval '1 h' FROM person WHERE tenth;
INSERT INTO linked_identities (organization_id, object_identifier, user_id)
SELECT organization_id, 'object-' || number, id FROM person WHERE tenth;
INSERT INTO deleted_identities (organization_id, digest, delete_time)
SELECT organization_id, identity_digest(organization_id, 'former-' || number), now()
  FROM person
 WHERE tenth;
INSERT INTO create_requests (organization_id, request_id, digest, resource_id, create_time)
SELECT organization_id, id, sha256(uuid_send(id)), id, now() FROM person WHERE tenth;
INSERT INTO list_walks
SELECT organization_id, sha256((n / 4)::text::bytea), pg_temp.id('0d', organization, n), 101, '0:0:x',
       201, '0:0:y', 201, size, now() - n * interval '1 s'
  FROM organization, generate_series(1, CASE organization WHEN 0 THEN 100 ELSE 3 END) AS n;
INSERT INTO schemas (organization_id, urn, name, attributes, create_time)
SELECT organization_id, 'urn:x:' || name, name, '[]', '2026-01-01Z'
  FROM organization, unnest(ARRAY['badge', 'unused']) AS name;

DO $$
DECLARE statement text;
BEGIN
    FOR statement IN SELECT added FROM definition LOOP
        EXECUTE statement;
    END LOOP;
END $$;
