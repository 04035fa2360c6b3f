-- Whose request it was, as the Gateway says; NULL of one that did not come through it, and of those from before.
ALTER TABLE predictions ADD COLUMN tenant text;
