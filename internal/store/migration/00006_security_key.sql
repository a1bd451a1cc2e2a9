-- +goose Up
-- Passkeys and security keys. sealed_record is encrypted under the root key and
-- bound to account and id, so that a row of one's own making is worth nothing.
CREATE TABLE security_key (
  id              TEXT NOT NULL PRIMARY KEY,
  account         TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  name            TEXT NOT NULL,
  credential_id   BLOB NOT NULL UNIQUE,
  sealed_record   BLOB NOT NULL,
  sign_count      INTEGER NOT NULL,
  backup_eligible INTEGER NOT NULL,
  backed_up       INTEGER NOT NULL,
  transports      TEXT NOT NULL, -- a JSON array
  bound           TEXT NOT NULL,
  created         INTEGER NOT NULL,
  last_used       INTEGER,
  last_ip         TEXT NOT NULL,
  cloned          INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX security_key_account ON security_key (account, created);

-- Questions to keys under way. An answered one stays until it expires: its
-- challenge never comes back, and it counts.
CREATE TABLE key_ceremony (
  hash         TEXT NOT NULL PRIMARY KEY,
  account      TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  purpose      TEXT NOT NULL,
  bound        TEXT NOT NULL,
  sealed_state BLOB NOT NULL,
  expires      INTEGER NOT NULL,
  answered     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX key_ceremony_bound ON key_ceremony (bound);

-- Who may add a key where a code alone would not do.
CREATE TABLE key_allowance (
  account    TEXT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
  session    TEXT NOT NULL,
  allowed_by TEXT NOT NULL,
  expires    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE session ADD COLUMN key_at INTEGER;
ALTER TABLE token ADD COLUMN key_at INTEGER;
ALTER TABLE engagement ADD COLUMN phishing_resistant INTEGER NOT NULL DEFAULT 0;
