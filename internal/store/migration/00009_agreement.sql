-- +goose Up
-- What a version was called and who wrote it, and what else is known of an
-- acceptance, so that both stand on their own when the account and the
-- agreement are long gone.
ALTER TABLE agreement_version ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE agreement_version ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE acceptance ADD COLUMN email TEXT NOT NULL DEFAULT '';
ALTER TABLE acceptance ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE acceptance ADD COLUMN vendor TEXT NOT NULL DEFAULT '';
ALTER TABLE acceptance ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';
ALTER TABLE acceptance ADD COLUMN session TEXT NOT NULL DEFAULT '';
ALTER TABLE acceptance ADD COLUMN factor TEXT NOT NULL DEFAULT '';
ALTER TABLE acceptance ADD COLUMN code_at INTEGER;

-- The only rewriting that will ever be: it fills in what was known beside the rows.
DROP TRIGGER agreement_version_fixed;
DROP TRIGGER acceptance_fixed;
UPDATE agreement_version SET title = coalesce((SELECT title FROM agreement a WHERE a.name = agreement_version.name), '');
UPDATE acceptance SET
  email = coalesce((SELECT email FROM account WHERE id = acceptance.account), ''),
  name = coalesce((SELECT name FROM account WHERE id = acceptance.account), ''),
  vendor = coalesce((SELECT vendor FROM account WHERE id = acceptance.account), '');
-- +goose StatementBegin
CREATE TRIGGER agreement_version_fixed BEFORE UPDATE ON agreement_version
BEGIN SELECT RAISE(ABORT, 'a version of an agreement never changes'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER acceptance_fixed BEFORE UPDATE ON acceptance
BEGIN SELECT RAISE(ABORT, 'an acceptance never changes'); END;
-- +goose StatementEnd
CREATE INDEX acceptance_agreement ON acceptance (agreement, version);
