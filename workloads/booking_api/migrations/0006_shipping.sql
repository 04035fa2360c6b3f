-- The transaction that wrote a row: by it, and not by a clock, is known what the lake has (workloads/ship_predictions).
-- Rows from before are of transaction 0, which no row can be of: all of them are shipped first, in order of their ids.
ALTER TABLE predictions ADD COLUMN xid xid8 NOT NULL DEFAULT '0';
ALTER TABLE predictions ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
ALTER TABLE outcomes ADD COLUMN xid xid8 NOT NULL DEFAULT '0';
ALTER TABLE outcomes ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
ALTER TABLE outcome_changes ADD COLUMN xid xid8 NOT NULL DEFAULT '0';
ALTER TABLE outcome_changes ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
CREATE INDEX predictions_by_transaction ON predictions (xid, request_id COLLATE "C");
CREATE INDEX outcomes_by_transaction ON outcomes (xid, request_id COLLATE "C");
CREATE INDEX outcome_changes_by_transaction ON outcome_changes (xid, request_id COLLATE "C");
