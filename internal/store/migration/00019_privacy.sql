-- +goose Up
-- The clusters that a reviewer reads of in the access log, a JSON list; [] is all.
ALTER TABLE account ADD COLUMN log_clusters TEXT NOT NULL DEFAULT '[]';
