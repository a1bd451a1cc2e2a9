-- +goose Up
-- The clusters that a reviewer reads of in the access log, a JSON list; [] is all.
ALTER TABLE account ADD COLUMN log_clusters TEXT NOT NULL DEFAULT '[]';

-- Legal holds: who is not erased, whoever asks. A hold that
-- was lifted stays as a row.
CREATE TABLE hold (
  id           INTEGER PRIMARY KEY,
  kind         TEXT NOT NULL CHECK (kind IN ('account', 'engagement')),
  subject      TEXT NOT NULL,
  reason       TEXT NOT NULL,
  placed       INTEGER NOT NULL,
  placed_by    TEXT NOT NULL,
  lifted       INTEGER,
  lifted_by    TEXT NOT NULL DEFAULT '',
  lifted_why   TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX hold_standing ON hold (kind, subject) WHERE lifted IS NULL;

-- Accounts whose personal data is to be erased, or was. Of whom is an opaque id,
-- which stays: it says nothing once the rest is gone.
CREATE TABLE erasure (
  of         TEXT PRIMARY KEY,
  reason     TEXT NOT NULL,
  asked      INTEGER NOT NULL,
  asked_by   TEXT NOT NULL,
  done       INTEGER
);
