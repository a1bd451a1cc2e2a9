-- +goose Up
-- Where a person works, an IANA name; empty: nobody has said. Policies reckon
-- working hours in it.
ALTER TABLE account ADD COLUMN time_zone TEXT NOT NULL DEFAULT '';
