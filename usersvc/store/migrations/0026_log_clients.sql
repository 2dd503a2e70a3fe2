-- The name of the client application that sent the request, such as 'Okta'. Empty if the change did
-- not come from a provisioning client, and for entries from before this column.
ALTER TABLE changes ADD COLUMN client text NOT NULL DEFAULT '';
ALTER TABLE refusals ADD COLUMN client text NOT NULL DEFAULT '';
