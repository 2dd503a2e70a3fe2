-- The first of three steps that partition `changes`. The constraint lets migration 0012 attach the
-- existing rows as a partition without reading them while writers wait.
ALTER TABLE changes
    ADD CONSTRAINT changes_untimed_number CHECK (number < 68719476736) NOT VALID; -- 2^36
