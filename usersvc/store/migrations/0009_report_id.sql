-- A gateway reports refusals again when it heard no answer, though they may have been kept: by this
-- id, which it made for each, they are kept once. The release before gives none, and rows without
-- are not in the index: it is empty when it is built, for which writers wait as long as one look at
-- the table takes.
ALTER TABLE refusals ADD COLUMN report_id uuid;

CREATE UNIQUE INDEX refusals_report_key ON refusals (organization_id, report_id)
    WHERE report_id IS NOT NULL;
