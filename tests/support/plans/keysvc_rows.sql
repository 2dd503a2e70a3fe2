-- 1,000 organizations beside one that has had 1,000 keys and 20,000 audit events; `Organization`
-- computes the same ids.
CREATE FUNCTION pg_temp.id(kind text, organization integer, number integer) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN (kind || lpad(to_hex(organization), 6, '0') || '-0000-7000-8000-'
            || lpad(to_hex(number), 12, '0'))::uuid;

CREATE TEMP TABLE tenant AS
SELECT number, pg_temp.id('0a', number, 0) AS organization_id,
       CASE number WHEN 0 THEN 1000 ELSE 3 END AS keys,
       CASE number WHEN 0 THEN 20000 ELSE 20 END AS events,
       '2026-01-01Z'::timestamptz + number * interval '1 s' AS time
  FROM generate_series(0, 1000) AS number;

INSERT INTO organization (organization_id, display_name, region, create_time)
SELECT organization_id, 'Organization ' || number, 'us', time FROM tenant;
INSERT INTO integration (organization_id, active, update_time)
SELECT organization_id, true, time FROM tenant;
INSERT INTO api_key (organization_id, key_id, secret_digest, create_time, created_by, expire_time)
SELECT organization_id, pg_temp.id('0b', tenant.number, key), sha256('x'),
       time + key * interval '1 s', 'ann', time + (key + 28800) * interval '1 s'
  FROM tenant, generate_series(1, keys) AS key;
INSERT INTO audit_events (organization_id, create_time, actor_id, actor_display_name,
                          actor_address, action)
SELECT organization_id, time + event * interval '1 s', 'ann', 'Ann', '',
       CASE event % 10 WHEN 0 THEN 'key_generated' WHEN 5 THEN 'sso_updated' ELSE 'signed_in' END
  FROM tenant, generate_series(1, events) AS event;
INSERT INTO sso_connections (organization_id, version, active, test_time, update_time, sso_url,
                             idp_entity_id, certificates, create_missing_users)
SELECT organization_id, 1, true, time, time, 'https://idp.test', 'idp', '{x}', false FROM tenant;
INSERT INTO sso_domains (organization_id, domain, proven_time)
SELECT organization_id, 'd' || domain || '.o' || number || '.test', time
  FROM tenant, generate_series(1, CASE number WHEN 0 THEN 50 ELSE 2 END) AS domain;
