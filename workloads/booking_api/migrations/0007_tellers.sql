-- Who told an outcome first, and who corrected it, as the Gateway says: the tenant whose quote it is, or an operator.
-- NULL where it did not come through the Gateway, and from before.
ALTER TABLE outcomes ADD COLUMN tenant text;
ALTER TABLE outcome_changes ADD COLUMN tenant text;
