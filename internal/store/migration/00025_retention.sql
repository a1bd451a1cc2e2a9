-- +goose Up
-- How long entries of the access log are kept where administrators set it in
-- place of the configuration file. What was decided stays as a row.
CREATE TABLE retention_rule (
  id           INTEGER PRIMARY KEY,
  kind         TEXT NOT NULL CHECK (kind IN ('cluster', 'classification', 'rest')),
  subject      TEXT NOT NULL,
  days         INTEGER NOT NULL,
  reason       TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('waiting', 'standing', 'refused', 'replaced')),
  asked        INTEGER NOT NULL,
  asked_by     TEXT NOT NULL,
  decided      INTEGER,
  decided_by   TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX retention_standing ON retention_rule (kind, subject) WHERE state = 'standing';
CREATE UNIQUE INDEX retention_waiting ON retention_rule (kind, subject) WHERE state = 'waiting';
