-- +goose Up
-- Vendors' own identity providers, and who accounts are there.
CREATE TABLE identity_provider (
  vendor               TEXT NOT NULL PRIMARY KEY REFERENCES vendor (name) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  issuer               TEXT NOT NULL,
  client_id            TEXT NOT NULL,
  sealed_client_secret BLOB,
  scopes               TEXT NOT NULL,
  domains              TEXT NOT NULL,
  trusted_amr          TEXT NOT NULL,
  required             INTEGER NOT NULL,
  ca                   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE provider_subject (
  account TEXT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
  issuer  TEXT NOT NULL,
  subject TEXT NOT NULL,
  at      INTEGER NOT NULL,
  UNIQUE (issuer, subject)
) STRICT, WITHOUT ROWID;

ALTER TABLE engagement ADD COLUMN trust_provider_factor INTEGER NOT NULL DEFAULT 0;

-- When a provider vouched for the person, and when a second factor was given
-- there. A sign-in that began at a provider has password_at 0.
ALTER TABLE login_flow ADD COLUMN external_at INTEGER;
ALTER TABLE login_flow ADD COLUMN external_factor_at INTEGER;
ALTER TABLE enrolment ADD COLUMN external_at INTEGER;
ALTER TABLE enrolment ADD COLUMN external_factor_at INTEGER;
ALTER TABLE session ADD COLUMN external_at INTEGER;
ALTER TABLE session ADD COLUMN external_factor_at INTEGER;
