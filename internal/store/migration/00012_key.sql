-- +goose Up
-- Random secrets that the service keeps for itself, such as the pepper of
-- passwords; sealed as every secret is.
CREATE TABLE secret (
  name    TEXT NOT NULL PRIMARY KEY,
  sealed  BLOB NOT NULL,
  created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Root keys by id: when this deployment first saw one, and when a gateway last
-- took it as the one that it seals with. The keys themselves are never here.
CREATE TABLE root_key (
  id    TEXT NOT NULL PRIMARY KEY,
  seen  INTEGER NOT NULL,
  taken INTEGER
) STRICT, WITHOUT ROWID;
