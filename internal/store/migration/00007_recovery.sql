-- +goose Up
-- Passwords and recovery after enrolment, and what is told about them.

ALTER TABLE code_failure ADD COLUMN warned INTEGER;

-- The second secret of an invitation, told by telephone. What was asked for
-- once is asked for again, also after a reset.
ALTER TABLE invitation ADD COLUMN phone TEXT NOT NULL DEFAULT '';
ALTER TABLE invitation ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
CREATE TABLE phone_invited (
  account TEXT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Wrong passwords. The key hides address and network; the number of rows is bounded.
CREATE TABLE password_failure (
  key   TEXT    NOT NULL PRIMARY KEY,
  count INTEGER NOT NULL,
  next  INTEGER,
  seen  INTEGER NOT NULL,
  told  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX password_failure_seen ON password_failure (seen);

-- Notices that whoever answers for the account's vendor should hear of.
CREATE TABLE warning (
  id         TEXT NOT NULL PRIMARY KEY, -- of the notice
  account    TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  email      TEXT NOT NULL,
  vendor     TEXT NOT NULL,
  kind       TEXT NOT NULL,
  at         INTEGER NOT NULL,
  ip         TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  detail     TEXT NOT NULL, -- a JSON object of strings
  passed     INTEGER,
  passed_by  TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX warning_at ON warning (at);

-- Mails that wait to be sent. What they say is encrypted: it may hold an
-- invitation. given_up is when the last try failed for good.
CREATE TABLE mail (
  id          TEXT NOT NULL PRIMARY KEY,
  kind        TEXT NOT NULL,
  account     TEXT NOT NULL, -- whom it is about
  recipient   TEXT NOT NULL,
  sealed_text BLOB NOT NULL, -- subject and text
  warning     TEXT NOT NULL, -- the warning that it passes on, if any
  created     INTEGER NOT NULL,
  expires     INTEGER,       -- worthless afterwards
  next        INTEGER NOT NULL,
  tries       INTEGER NOT NULL,
  fault       TEXT NOT NULL,
  given_up    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_next ON mail (next);
