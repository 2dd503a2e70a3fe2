-- The old addresses are looked up through an array. With a subquery instead, PostgreSQL reads all
-- addresses of the organization when it plans for an organization of average size.
CREATE OR REPLACE FUNCTION index_user_email() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM user_email
         WHERE organization_id = OLD.organization_id
           AND address_hash = ANY(ARRAY(SELECT address_hashes(OLD.emails)))
           AND user_id = OLD.user_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO user_email (organization_id, address_hash, user_id)
        SELECT NEW.organization_id, address_hashes(NEW.emails), NEW.user_id;
    END IF;
    RETURN NULL;
END
$$;
