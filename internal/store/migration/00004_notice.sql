-- +goose Up
-- What account owners are told about their accounts.
CREATE TABLE notice (
  id         TEXT NOT NULL PRIMARY KEY,
  account    TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  kind       TEXT NOT NULL,
  at         INTEGER NOT NULL,
  ip         TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  detail     TEXT NOT NULL, -- a JSON object of strings
  seen       INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_account ON notice (account, at);
