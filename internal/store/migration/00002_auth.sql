-- +goose Up
-- How accounts sign in. Times are nanoseconds since 1970 UTC, NULL when there
-- is none. Columns named sealed_… are encrypted under the root key and bound to
-- their row; hashes of random secrets are SHA-256, of passwords and recovery
-- codes argon2id.

CREATE TABLE credential (
  account       TEXT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
  password_hash TEXT NOT NULL DEFAULT '',
  password_set  INTEGER,
  sealed_totp   BLOB,
  confirmed     INTEGER,
  last_step     INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The newest session's start; account.last_login follows a little later.
CREATE TABLE last_login (
  account TEXT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
  at      INTEGER NOT NULL,
  ip      TEXT NOT NULL
) STRICT;

CREATE TABLE recovery_code (
  account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  slot    INTEGER NOT NULL,
  hash    TEXT NOT NULL,
  used    INTEGER,
  PRIMARY KEY (account, slot)
) STRICT, WITHOUT ROWID;

-- One invitation and one enrolment an account: a new one voids the old.
CREATE TABLE invitation (
  account    TEXT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
  hash       TEXT NOT NULL UNIQUE,
  created    INTEGER NOT NULL,
  expires    INTEGER NOT NULL,
  invited_by TEXT NOT NULL
) STRICT;

CREATE TABLE enrolment (
  account         TEXT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
  hash            TEXT NOT NULL UNIQUE,
  step            TEXT NOT NULL,
  sealed_totp     BLOB NOT NULL,
  sealed_recovery BLOB,
  password_set    INTEGER NOT NULL,
  confirmed       INTEGER,
  expires         INTEGER NOT NULL
) STRICT;

CREATE TABLE login_flow (
  hash        TEXT NOT NULL PRIMARY KEY,
  account     TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  password_at INTEGER NOT NULL,
  expires     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_flow_account ON login_flow (account);

-- Wrong codes. Lane '' is the account as a whole, the others are networks it
-- has signed in from.
CREATE TABLE code_failure (
  account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  lane    TEXT NOT NULL,
  count   INTEGER NOT NULL,
  total   INTEGER NOT NULL,
  since   INTEGER,
  next    INTEGER,
  unseen  INTEGER NOT NULL,
  known   INTEGER,
  told    INTEGER NOT NULL,
  PRIMARY KEY (account, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  id            TEXT NOT NULL PRIMARY KEY,
  account       TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  epoch         INTEGER NOT NULL,
  created       INTEGER NOT NULL,
  last_seen     INTEGER NOT NULL,
  ends          INTEGER NOT NULL,
  password_at   INTEGER,
  code_at       INTEGER,
  code_factor   TEXT NOT NULL,
  ip            TEXT NOT NULL,
  user_agent    TEXT NOT NULL,
  last_login    INTEGER,
  last_ip       TEXT NOT NULL,
  failed_codes  INTEGER NOT NULL,
  recovery_left INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_account ON session (account);

CREATE TABLE token (
  id          TEXT NOT NULL PRIMARY KEY,
  account     TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  hash        TEXT NOT NULL UNIQUE,
  cluster     TEXT NOT NULL,
  name        TEXT NOT NULL,
  session     TEXT NOT NULL,
  created     INTEGER NOT NULL,
  expires     INTEGER NOT NULL,
  password_at INTEGER,
  code_at     INTEGER,
  code_factor TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_account ON token (account);

CREATE TABLE signing_key (
  id      TEXT NOT NULL PRIMARY KEY,
  purpose TEXT NOT NULL,
  sealed  BLOB NOT NULL,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX signing_key_purpose ON signing_key (purpose);
