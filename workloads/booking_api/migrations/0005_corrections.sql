-- Every correction of an outcome: what was there, what came in its place, and why. Rows are never changed.
CREATE TABLE outcome_changes (
    request_id text NOT NULL REFERENCES outcomes,
    number integer NOT NULL CHECK (number > 0), -- of the correction, from 1
    at timestamptz NOT NULL DEFAULT clock_timestamp(), -- not when the transaction began: it may have waited
    old_outcome double precision NOT NULL,
    old_source text NOT NULL,
    outcome double precision NOT NULL CHECK (outcome BETWEEN 0 AND 1),
    source text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (request_id, number)
);
