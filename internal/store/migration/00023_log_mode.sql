-- +goose Up
-- How long requests of a cluster wait for their entry in the access log:
-- 'relaxed', or empty for strict.
ALTER TABLE cluster ADD COLUMN log_mode TEXT NOT NULL DEFAULT '';
