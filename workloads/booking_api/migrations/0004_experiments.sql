-- A report on an experiment is read without the rest of the log.
CREATE INDEX predictions_by_experiment ON predictions (experiment, user_key) WHERE experiment IS NOT NULL;
