-- +goose Up
-- What a session's owner sees of where it began, and when it went idle.
ALTER TABLE session ADD COLUMN device      TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN network     TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN new_device  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN new_network INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN idle_since  INTEGER;
ALTER TABLE session ADD COLUMN opened      TEXT NOT NULL DEFAULT '[]'; -- a JSON array of hosts

-- Networks that accounts have signed in from.
CREATE TABLE known_network (
  account TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
  network TEXT NOT NULL,
  seen    INTEGER NOT NULL,
  PRIMARY KEY (account, network)
) STRICT, WITHOUT ROWID;
INSERT INTO known_network (account, network, seen)
  SELECT account, lane, known FROM code_failure WHERE lane <> '' AND known IS NOT NULL;

-- How long sessions under an engagement may go on, in nanoseconds; 0: no limit of its own.
ALTER TABLE engagement ADD COLUMN session_idle     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE engagement ADD COLUMN session_absolute INTEGER NOT NULL DEFAULT 0;
