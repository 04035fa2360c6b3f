-- Alerts as Alertmanager last told of them, and each decision on them. All in the schema `reaction`.
CREATE TABLE alerts (
    fingerprint text PRIMARY KEY,
    labels jsonb NOT NULL,
    annotations jsonb NOT NULL,
    firing boolean NOT NULL,
    starts_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);

-- One row a decision, also of those to do nothing. An action's row is its intent: it is written before the
-- action, and is open until `finished_at` is written after it.
CREATE TABLE reactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decided_at timestamptz NOT NULL,
    fingerprint text NOT NULL,
    starts_at timestamptz NOT NULL,
    alertname text NOT NULL,
    model text NOT NULL,
    version text NOT NULL,
    labels jsonb NOT NULL,
    rule text NOT NULL,
    action text NOT NULL CHECK (action IN ('rollback', 'retrain', 'page', 'nothing')),
    code text NOT NULL,
    reason text NOT NULL,
    finished_at timestamptz,
    result text NOT NULL DEFAULT '',
    detail jsonb NOT NULL DEFAULT '{}',
    CHECK ((finished_at IS NULL) = (result = ''))
);
CREATE INDEX reactions_of_episode ON reactions (fingerprint, starts_at);
CREATE INDEX reactions_by_time ON reactions (decided_at);
-- Whatever the program does: an episode is acted upon once in each way, and a model has one such action at a time.
CREATE UNIQUE INDEX one_action_an_episode ON reactions (fingerprint, starts_at, action) WHERE action <> 'nothing';
CREATE UNIQUE INDEX one_open_a_model ON reactions (model, action)
    WHERE finished_at IS NULL AND action IN ('rollback', 'retrain');

-- What was done for a reaction, step by step; rows are only added.
CREATE TABLE steps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reaction bigint NOT NULL REFERENCES reactions,
    at timestamptz NOT NULL,
    what text NOT NULL
);
CREATE INDEX steps_of_reaction ON steps (reaction);
