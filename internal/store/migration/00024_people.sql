-- +goose Up
-- Who did what an alarm is about, where its entry says so: they do not
-- acknowledge it.
ALTER TABLE alarm ADD COLUMN actor TEXT NOT NULL DEFAULT '';
UPDATE alarm SET actor = coalesce(json_extract(facts, '$.by'), '');

-- What was reviewed never changes. Whose address stands with it, and what was
-- written of people, goes with an erasure while it is under way.
DROP TRIGGER sign_off_fixed;
DROP TRIGGER policy_draft_author_fixed;
DROP TRIGGER policy_draft_closed;
-- +goose StatementBegin
CREATE TRIGGER sign_off_fixed BEFORE UPDATE ON sign_off
WHEN NEW.id <> OLD.id OR NEW.search <> OLD.search OR NEW.first <> OLD.first OR NEW.past <> OLD.past OR NEW.matched <> OLD.matched
  OR NEW.own <> OLD.own OR NEW.account <> OLD.account OR NEW.at <> OLD.at OR NOT EXISTS (SELECT 1 FROM erasure WHERE done IS NULL)
BEGIN SELECT RAISE(ABORT, 'a sign-off never changes'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_draft_author_fixed BEFORE UPDATE ON policy_draft_author
WHEN NEW.draft <> OLD.draft OR NEW.number <> OLD.number OR NEW.account <> OLD.account OR NEW.at <> OLD.at
  OR NOT EXISTS (SELECT 1 FROM erasure WHERE done IS NULL)
BEGIN SELECT RAISE(ABORT, 'the authors of a draft only grow'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_draft_closed BEFORE UPDATE ON policy_draft
WHEN OLD.state IN ('published', 'withdrawn') AND (NEW.id <> OLD.id OR NEW.state <> OLD.state OR NEW.base <> OLD.base OR NEW.back_to <> OLD.back_to
  OR NEW.version <> OLD.version OR NEW.hash <> OLD.hash OR NEW.figures <> OLD.figures OR NEW.created <> OLD.created OR NEW.changed <> OLD.changed
  OR NOT EXISTS (SELECT 1 FROM erasure WHERE done IS NULL))
BEGIN SELECT RAISE(ABORT, 'a draft that has come to its end never changes'); END;
-- +goose StatementEnd
