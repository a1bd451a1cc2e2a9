-- +goose Up
-- The newest signed checkpoint of the access log, kept apart from the log: a
-- log that is behind it, or of another history, was replaced.
CREATE TABLE log_anchor (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    at         INTEGER NOT NULL,
    checkpoint BLOB    NOT NULL
) STRICT;
