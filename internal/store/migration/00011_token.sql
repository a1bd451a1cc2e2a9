-- +goose Up
-- Tokens of machines, personal access tokens, and machines that are signed in
-- from the command line.
ALTER TABLE token ADD COLUMN kind      TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN machine   TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN key       TEXT NOT NULL DEFAULT ''; -- RFC 7638 thumbprint
ALTER TABLE token ADD COLUMN networks  TEXT NOT NULL DEFAULT ''; -- separated by blanks; empty: anywhere
ALTER TABLE token ADD COLUMN scope     TEXT NOT NULL DEFAULT ''; -- a JSON object; empty: none
ALTER TABLE token ADD COLUMN last_used INTEGER;
ALTER TABLE token ADD COLUMN last_ip   TEXT NOT NULL DEFAULT '';
CREATE INDEX token_machine ON token (machine);

CREATE TABLE machine (
  id          TEXT NOT NULL PRIMARY KEY,
  account     TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  hash        TEXT NOT NULL UNIQUE, -- SHA-256 of its secret
  key         TEXT NOT NULL,
  name        TEXT NOT NULL,
  program     TEXT NOT NULL,
  session     TEXT NOT NULL,
  created     INTEGER NOT NULL,
  ends        INTEGER NOT NULL,
  password_at INTEGER,
  code_at     INTEGER,
  code_factor TEXT NOT NULL,
  key_at      INTEGER,
  ip          TEXT NOT NULL,
  approved_ip TEXT NOT NULL,
  last_used   INTEGER,
  last_ip     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX machine_account ON machine (account);

-- Machines that wait to be signed in (RFC 8628). Both codes are hashed.
CREATE TABLE device_grant (
  id          TEXT NOT NULL PRIMARY KEY,
  device_hash TEXT NOT NULL UNIQUE,
  user_hash   TEXT NOT NULL,
  key         TEXT NOT NULL,
  name        TEXT NOT NULL,
  program     TEXT NOT NULL,
  ip          TEXT NOT NULL,
  network     TEXT NOT NULL,
  created     INTEGER NOT NULL,
  expires     INTEGER NOT NULL,
  session     TEXT NOT NULL,
  status      TEXT NOT NULL,
  account     TEXT NOT NULL, -- empty until approved
  approved_ip TEXT NOT NULL,
  ends        INTEGER,
  password_at INTEGER,
  code_at     INTEGER,
  code_factor TEXT NOT NULL,
  key_at      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX device_grant_user ON device_grant (user_hash);
CREATE INDEX device_grant_expires ON device_grant (expires, network);

-- Codes of machines that people typed and that were wrong.
CREATE TABLE device_try (
  account TEXT NOT NULL,
  at      INTEGER NOT NULL
) STRICT;
CREATE INDEX device_try_at ON device_try (at);

ALTER TABLE engagement ADD COLUMN access_tokens INTEGER NOT NULL DEFAULT 0;
