-- +goose Up
-- Authenticator apps, several an account. Until now there was one, in
-- credential; its secret stays sealed for the account (legacy) until it is
-- next used, since only the gateway has the key.
CREATE TABLE totp_device (
  id          TEXT NOT NULL PRIMARY KEY,
  account     TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  name        TEXT NOT NULL,
  sealed      BLOB NOT NULL,
  legacy      INTEGER NOT NULL DEFAULT 0,
  created     INTEGER,
  confirmed   INTEGER NOT NULL,
  last_step   INTEGER NOT NULL,
  last_used   INTEGER,
  last_offset INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX totp_device_account ON totp_device (account, confirmed);
CREATE INDEX totp_device_used ON totp_device (last_used);

-- A secret that waits for its first code, one an account.
CREATE TABLE totp_pending (
  account TEXT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
  id      TEXT NOT NULL UNIQUE,
  owner   TEXT NOT NULL,
  name    TEXT NOT NULL,
  sealed  BLOB NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT;

-- The newest step that a removed device had spent.
CREATE TABLE totp_mark (
  account TEXT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
  step    INTEGER NOT NULL
) STRICT;

INSERT INTO totp_device (id, account, name, sealed, legacy, confirmed, last_step)
  SELECT 'dev_' || lower(hex(randomblob(16))), account, 'Authenticator app', sealed_totp, 1, confirmed, last_step
  FROM credential WHERE sealed_totp IS NOT NULL AND confirmed IS NOT NULL;

ALTER TABLE credential DROP COLUMN sealed_totp;
ALTER TABLE credential DROP COLUMN confirmed;
ALTER TABLE credential DROP COLUMN last_step;
