-- +goose Up
-- Searches of the access log that reviewers keep, and what was signed off. The
-- people are no references: who said what outlives their accounts.
CREATE TABLE saved_search (
  id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  email   TEXT NOT NULL,
  title   TEXT NOT NULL,
  query   TEXT NOT NULL,
  shared  INTEGER NOT NULL,
  daily   INTEGER NOT NULL,
  version INTEGER NOT NULL,
  created INTEGER NOT NULL,
  changed INTEGER NOT NULL
) STRICT;
CREATE INDEX saved_search_account ON saved_search (account);

CREATE TABLE sign_off (
  id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  search  INTEGER NOT NULL, -- 0: none
  title   TEXT NOT NULL,
  query   TEXT NOT NULL,    -- without bounds of time and index
  scope   TEXT NOT NULL,    -- what the reviewer might see; empty: all
  first   INTEGER NOT NULL, -- index of the first entry
  past    INTEGER NOT NULL, -- index after the last
  matched INTEGER NOT NULL,
  own     INTEGER NOT NULL,
  account TEXT NOT NULL,
  email   TEXT NOT NULL,
  note    TEXT NOT NULL,
  at      INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_off_query ON sign_off (query, past);

-- +goose StatementBegin
CREATE TRIGGER sign_off_fixed BEFORE UPDATE ON sign_off
BEGIN SELECT RAISE(ABORT, 'a sign-off never changes'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sign_off_kept BEFORE DELETE ON sign_off
BEGIN SELECT RAISE(ABORT, 'a sign-off is never deleted'); END;
-- +goose StatementEnd
