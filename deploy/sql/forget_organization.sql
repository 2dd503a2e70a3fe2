-- Delete all rows of one organization from a database:
--
--     psql --set organization=UUID --file forget_organization.sql
--
-- Covers every table with an organization_id, including tables that later migrations add. A table
-- whose rows are still referenced is tried again after the tables that refer to it.
\set ON_ERROR_STOP on
BEGIN;
SELECT set_config('forget.organization', :'organization', true);

DO $$
DECLARE
    left_over text[];
    later     text[];
    one       text;
BEGIN
    SELECT array_agg(c.oid::regclass::text) INTO left_over
      FROM pg_class AS c
      JOIN pg_attribute AS a ON a.attrelid = c.oid
     WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
       AND a.attname = 'organization_id' AND NOT a.attisdropped;

    WHILE cardinality(left_over) > 0 LOOP
        later := '{}';
        FOREACH one IN ARRAY left_over LOOP
            BEGIN
                EXECUTE format('DELETE FROM %s WHERE organization_id = $1', one)
                  USING current_setting('forget.organization')::uuid;
            EXCEPTION WHEN foreign_key_violation THEN
                later := later || one;
            END;
        END LOOP;
        IF cardinality(later) = cardinality(left_over) THEN
            RAISE EXCEPTION 'these tables have circular foreign keys: %', later;
        END IF;
        left_over := later;
    END LOOP;
END
$$;
COMMIT;
