-- Reads the whole table, but blocks no writer.
ALTER TABLE changes VALIDATE CONSTRAINT changes_untimed_number;
