-- Every answered prediction, written before it is answered, and what came of it.
CREATE TABLE predictions (
    request_id text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    model text NOT NULL,
    version text NOT NULL,
    experiment text,
    variant text, -- the arm of the experiment
    user_key text NOT NULL,
    features jsonb NOT NULL, -- what the model was given
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    decision text NOT NULL CHECK (decision IN ('rebooking', 'insurance')),
    price numeric(10, 2) NOT NULL CHECK (price >= 0),
    CHECK ((experiment IS NULL) = (variant IS NULL))
);
CREATE INDEX predictions_by_version ON predictions (model, version, at);
CREATE TABLE outcomes (
    request_id text PRIMARY KEY REFERENCES predictions,
    at timestamptz NOT NULL DEFAULT now(),
    outcome double precision NOT NULL CHECK (outcome BETWEEN 0 AND 1), -- 1: it arrived more than 15 minutes late
    source text NOT NULL
);
-- Predictions whose outcome is known. A hit is a decision that was right.
CREATE VIEW scored AS
SELECT
    p.request_id, p.at, p.model, p.version, p.experiment, p.variant, p.user_key, p.score, p.decision, p.price,
    o.outcome, o.at AS known_at, o.source,
    (p.decision = 'rebooking') = (o.outcome >= 0.5) AS hit
FROM predictions p JOIN outcomes o USING (request_id);
