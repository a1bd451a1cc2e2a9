-- +goose Up
-- Change control over policies: drafts, signed revisions, who could sign in as
-- whom, and what each revision has decided.

-- The signed note over a revision, which says all about it but the texts.
ALTER TABLE policy_revision ADD COLUMN statement BLOB NOT NULL DEFAULT x'';

-- Revisions from before they were signed are below this id. None at or above
-- it is believed without a statement, nor any after a signed one.
CREATE TABLE policy_unsigned (
  one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  below INTEGER NOT NULL
) STRICT;
INSERT INTO policy_unsigned (one, below) SELECT 1, coalesce(max(id), 0) + 1 FROM policy_revision;

CREATE TABLE policy_draft (
  id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  title   TEXT NOT NULL,
  reason  TEXT NOT NULL,
  state   TEXT NOT NULL,
  base    INTEGER NOT NULL,
  back_to INTEGER NOT NULL,
  version INTEGER NOT NULL,
  hash    TEXT NOT NULL,
  figures TEXT NOT NULL, -- a JSON object
  created INTEGER NOT NULL,
  changed INTEGER NOT NULL
) STRICT;

CREATE TABLE policy_draft_module (
  draft  INTEGER NOT NULL REFERENCES policy_draft (id),
  name   TEXT NOT NULL,
  source TEXT NOT NULL,
  PRIMARY KEY (draft, name)
) STRICT, WITHOUT ROWID;

-- The people are no references: who wrote what outlives their accounts.
CREATE TABLE policy_draft_author (
  draft   INTEGER NOT NULL REFERENCES policy_draft (id),
  number  INTEGER NOT NULL,
  account TEXT NOT NULL,
  email   TEXT NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (draft, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_draft_note (
  draft    INTEGER NOT NULL REFERENCES policy_draft (id),
  number   INTEGER NOT NULL,
  account  TEXT NOT NULL,
  email    TEXT NOT NULL,
  at       INTEGER NOT NULL,
  text     TEXT NOT NULL,
  returned INTEGER NOT NULL,
  PRIMARY KEY (draft, number)
) STRICT, WITHOUT ROWID;

-- Who made or changed what an account signs in with or may do, for as long as
-- that keeps two people from approving each other's work.
CREATE TABLE account_touch (
  id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account  TEXT NOT NULL,
  by       TEXT NOT NULL,
  by_email TEXT NOT NULL,
  at       INTEGER NOT NULL,
  what     TEXT NOT NULL
) STRICT;
CREATE INDEX account_touch_at ON account_touch (at);

-- Decisions under a published revision, counted by each node for itself.
CREATE TABLE policy_effect (
  revision   INTEGER NOT NULL,
  node       TEXT NOT NULL,
  allowed    INTEGER NOT NULL,
  challenged INTEGER NOT NULL,
  denied     INTEGER NOT NULL,
  first      INTEGER NOT NULL,
  last       INTEGER NOT NULL,
  PRIMARY KEY (revision, node)
) STRICT, WITHOUT ROWID;

-- Warnings may also be about whoever works on the machine, who has no account.
CREATE TABLE warning_of_all (
  id         TEXT NOT NULL PRIMARY KEY, -- of the notice
  account    TEXT NOT NULL,
  email      TEXT NOT NULL,
  vendor     TEXT NOT NULL,
  kind       TEXT NOT NULL,
  at         INTEGER NOT NULL,
  ip         TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  detail     TEXT NOT NULL, -- a JSON object of strings
  passed     INTEGER,
  passed_by  TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
INSERT INTO warning_of_all (id, account, email, vendor, kind, at, ip, user_agent, detail, passed, passed_by)
  SELECT id, account, email, vendor, kind, at, ip, user_agent, detail, passed, passed_by FROM warning;
DROP TABLE warning;
ALTER TABLE warning_of_all RENAME TO warning;
CREATE INDEX warning_at ON warning (at);
-- A warning about a sign-in ends with the account; one about policies does not.
-- +goose StatementBegin
CREATE TRIGGER warning_of_account AFTER DELETE ON account
BEGIN DELETE FROM warning WHERE account = OLD.id AND kind NOT LIKE 'policy#_%' ESCAPE '#'; END;
-- +goose StatementEnd

-- History cannot be rewritten, not even by a faulty statement of our own.
-- +goose StatementBegin
CREATE TRIGGER policy_unsigned_fixed BEFORE UPDATE ON policy_unsigned
BEGIN SELECT RAISE(ABORT, 'where signing began never changes'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_unsigned_kept BEFORE DELETE ON policy_unsigned
BEGIN SELECT RAISE(ABORT, 'where signing began is never forgotten'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_draft_author_fixed BEFORE UPDATE ON policy_draft_author
BEGIN SELECT RAISE(ABORT, 'the authors of a draft only grow'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_draft_author_kept BEFORE DELETE ON policy_draft_author
BEGIN SELECT RAISE(ABORT, 'the authors of a draft only grow'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_draft_kept BEFORE DELETE ON policy_draft
BEGIN SELECT RAISE(ABORT, 'a draft is never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_draft_closed BEFORE UPDATE ON policy_draft WHEN OLD.state IN ('published', 'withdrawn')
BEGIN SELECT RAISE(ABORT, 'a draft that has come to its end never changes'); END;
-- +goose StatementEnd
