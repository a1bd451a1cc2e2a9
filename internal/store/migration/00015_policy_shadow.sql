-- +goose Up
-- Policy sets that decide beside the one in force, and what they would have
-- decided otherwise. At most one of them runs.
CREATE TABLE policy_shadow (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  draft         INTEGER NOT NULL, -- 0: none
  revision      INTEGER NOT NULL, -- 0: none
  title         TEXT NOT NULL,
  hash          TEXT NOT NULL,
  started       INTEGER NOT NULL,
  started_by    TEXT NOT NULL,
  started_email TEXT NOT NULL,
  stopped       INTEGER, -- NULL: it runs
  stopped_by    TEXT NOT NULL DEFAULT '',
  stopped_email TEXT NOT NULL DEFAULT '',
  fault         TEXT NOT NULL DEFAULT '',
  decided       INTEGER NOT NULL DEFAULT 0,
  dropped       INTEGER NOT NULL DEFAULT 0,
  widened       INTEGER NOT NULL DEFAULT 0,
  narrowed      INTEGER NOT NULL DEFAULT 0,
  reworded      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX policy_shadow_running ON policy_shadow (stopped IS NULL) WHERE stopped IS NULL;

-- The modules as they were when it was started: a draft goes on changing.
CREATE TABLE policy_shadow_module (
  shadow INTEGER NOT NULL REFERENCES policy_shadow (id) ON DELETE CASCADE,
  name   TEXT NOT NULL,
  source TEXT NOT NULL,
  PRIMARY KEY (shadow, name)
) STRICT, WITHOUT ROWID;

-- Requests that were decided differently, in groups. key is a JSON object of
-- what they have in common; entries are a JSON array of some of them.
CREATE TABLE policy_shadow_difference (
  shadow  INTEGER NOT NULL REFERENCES policy_shadow (id) ON DELETE CASCADE,
  key     TEXT NOT NULL,
  count   INTEGER NOT NULL,
  first   INTEGER NOT NULL,
  last    INTEGER NOT NULL,
  entries TEXT NOT NULL,
  PRIMARY KEY (shadow, key)
) STRICT, WITHOUT ROWID;
