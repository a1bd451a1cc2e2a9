-- +goose Up
-- Rules of alarms, every revision: one is in force from the entry of the access
-- log on that records it. rule is a JSON object. A rule without a row is as it
-- comes with the product.
CREATE TABLE alarm_rule (
  id       TEXT NOT NULL,
  revision INTEGER NOT NULL,
  rule     TEXT NOT NULL,
  at       INTEGER NOT NULL,
  actor    TEXT NOT NULL,
  PRIMARY KEY (id, revision)
) STRICT, WITHOUT ROWID;

-- What is remembered of the entries that were looked at, as JSON; one row.
CREATE TABLE alarm_state (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  state BLOB NOT NULL
) STRICT;

-- Accounts are named by id alone, and no row is removed with one.
CREATE TABLE alarm (
  id       TEXT NOT NULL PRIMARY KEY,
  rule     TEXT NOT NULL,
  revision INTEGER NOT NULL,
  kind     TEXT NOT NULL,
  severity TEXT NOT NULL,
  title    TEXT NOT NULL,
  at       INTEGER NOT NULL,
  entry    INTEGER, -- NULL: no entry raised it
  subject  TEXT NOT NULL, -- account id
  vendor   TEXT NOT NULL,
  cluster  TEXT NOT NULL,
  about    TEXT NOT NULL,
  facts    TEXT NOT NULL,
  raised   INTEGER NOT NULL,
  acknowledged       INTEGER, -- NULL: open
  acknowledged_by    TEXT NOT NULL DEFAULT '',
  acknowledged_email TEXT NOT NULL DEFAULT '',
  note               TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX alarm_raised ON alarm (raised);
CREATE INDEX alarm_open ON alarm (raised) WHERE acknowledged IS NULL;

CREATE TABLE alarm_receiver (
  id            TEXT NOT NULL PRIMARY KEY,
  kind          TEXT NOT NULL,
  title         TEXT NOT NULL,
  address       TEXT NOT NULL,
  ca            TEXT NOT NULL,
  sealed_secret BLOB,
  off           INTEGER NOT NULL,
  changed       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whom an alarm is sent to. receiver is an id, or "owner".
CREATE TABLE alarm_send (
  alarm    TEXT NOT NULL REFERENCES alarm (id) ON DELETE CASCADE,
  receiver TEXT NOT NULL,
  tries    INTEGER NOT NULL DEFAULT 0,
  next     INTEGER NOT NULL,
  fault    TEXT NOT NULL DEFAULT '',
  sent     INTEGER,
  given_up INTEGER,
  PRIMARY KEY (alarm, receiver)
) STRICT, WITHOUT ROWID;
CREATE INDEX alarm_send_due ON alarm_send (next) WHERE sent IS NULL AND given_up IS NULL;
