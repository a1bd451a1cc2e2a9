-- +goose Up
-- Which policies, build and version of OPA stand behind the revision that an
-- access-log entry names: with them a decision can be compared with what
-- another build decides.
CREATE TABLE policy_loaded (
  revision TEXT NOT NULL,    -- the engine's name of the set
  build    TEXT NOT NULL,
  opa      TEXT NOT NULL,
  policies INTEGER,          -- id in policy_revision; null: they came from elsewhere
  modules  TEXT NOT NULL,    -- a JSON object of texts by file name where policies is null
  first    INTEGER NOT NULL, -- when it was first put in force, in nanoseconds
  PRIMARY KEY (revision, build, opa)
) STRICT, WITHOUT ROWID;
