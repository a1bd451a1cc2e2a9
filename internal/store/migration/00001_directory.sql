-- +goose Up
-- Times are nanoseconds since 1970 UTC. Lists are JSON arrays. References are
-- checked at commit, so that a change may write its rows in any order.

CREATE TABLE vendor (
  name             TEXT NOT NULL PRIMARY KEY,
  title            TEXT NOT NULL,
  owner_name       TEXT NOT NULL,
  owner_email      TEXT NOT NULL,
  suspended        INTEGER NOT NULL DEFAULT 0,
  suspended_reason TEXT NOT NULL DEFAULT ''
) STRICT;

-- enrolled_at is set when the account's second factor is confirmed and is NULL
-- again after a reset; last_login is for people to read. Both belong to the
-- signing-in side. Whoever sets enrolled_at also adds a directory change row.
CREATE TABLE account (
  id          TEXT NOT NULL PRIMARY KEY,
  email       TEXT NOT NULL UNIQUE,
  name        TEXT NOT NULL,
  vendor      TEXT REFERENCES vendor (name) DEFERRABLE INITIALLY DEFERRED,
  roles       TEXT NOT NULL,
  ends        INTEGER,
  disabled    INTEGER NOT NULL DEFAULT 0,
  created     INTEGER NOT NULL,
  enrolled_at INTEGER,
  last_login  INTEGER
) STRICT;
CREATE INDEX account_vendor ON account (vendor);

-- The version in force of each agreement; every version's text is kept in
-- agreement_version, also after the agreement itself is taken away.
CREATE TABLE agreement (
  name    TEXT NOT NULL PRIMARY KEY,
  title   TEXT NOT NULL,
  version INTEGER NOT NULL,
  FOREIGN KEY (name, version) REFERENCES agreement_version (name, version) DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE TABLE agreement_version (
  name    TEXT NOT NULL,
  version INTEGER NOT NULL,
  text    TEXT NOT NULL,
  hash    TEXT NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (name, version)
) STRICT;

-- The account is no reference: an acceptance outlives the account, as evidence.
CREATE TABLE acceptance (
  account    TEXT NOT NULL,
  agreement  TEXT NOT NULL,
  version    INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  ip         TEXT NOT NULL,
  typed_name TEXT NOT NULL,
  hash       TEXT NOT NULL,
  PRIMARY KEY (account, agreement, version),
  FOREIGN KEY (agreement, version) REFERENCES agreement_version (name, version)
) STRICT;

CREATE TABLE engagement (
  name       TEXT NOT NULL PRIMARY KEY,
  vendor     TEXT NOT NULL REFERENCES vendor (name) DEFERRABLE INITIALLY DEFERRED,
  title      TEXT NOT NULL,
  starts     INTEGER NOT NULL,
  ends       INTEGER NOT NULL,
  closed     INTEGER NOT NULL DEFAULT 0,
  clusters   TEXT NOT NULL,
  agreements TEXT NOT NULL
) STRICT;
CREATE INDEX engagement_vendor ON engagement (vendor);

CREATE TABLE cluster (
  name           TEXT NOT NULL PRIMARY KEY,
  title          TEXT NOT NULL,
  classification TEXT NOT NULL,
  owner_name     TEXT NOT NULL,
  owner_email    TEXT NOT NULL,
  hosts          TEXT NOT NULL,
  routes         TEXT NOT NULL
) STRICT;

CREATE TABLE assignment (
  account    TEXT NOT NULL REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED,
  cluster    TEXT NOT NULL REFERENCES cluster (name) DEFERRABLE INITIALLY DEFERRED,
  engagement TEXT NOT NULL REFERENCES engagement (name) DEFERRABLE INITIALLY DEFERRED,
  starts     INTEGER NOT NULL,
  ends       INTEGER NOT NULL,
  access     TEXT NOT NULL,
  methods    TEXT NOT NULL,
  paths      TEXT NOT NULL,
  reason     TEXT NOT NULL,
  given_by   TEXT NOT NULL,
  PRIMARY KEY (account, cluster)
) STRICT, WITHOUT ROWID;
CREATE INDEX assignment_cluster ON assignment (cluster);
CREATE INDEX assignment_engagement ON assignment (engagement);

-- One number that rises with every change to what the directory says.
CREATE TABLE directory_state (
  one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO directory_state (one, version) VALUES (1, 1);

CREATE TABLE policy_revision (
  id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  hash      TEXT NOT NULL,
  published INTEGER NOT NULL,
  actor     TEXT NOT NULL,
  email     TEXT NOT NULL,
  reason    TEXT NOT NULL
) STRICT;

CREATE TABLE policy_module (
  revision INTEGER NOT NULL REFERENCES policy_revision (id),
  name     TEXT NOT NULL,
  source   TEXT NOT NULL,
  PRIMARY KEY (revision, name)
) STRICT, WITHOUT ROWID;

-- Records that wait for the access log.
CREATE TABLE outbox (
  id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  record TEXT NOT NULL
) STRICT;

-- What changed, for every process that keeps a copy in memory. Ids rise
-- without gaps; old rows are pruned, the newest always stays.
CREATE TABLE change (
  id   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  at   INTEGER NOT NULL,
  kind TEXT NOT NULL,
  ref  TEXT NOT NULL
) STRICT;
CREATE INDEX change_at ON change (at);

-- History cannot be rewritten, not even by a faulty statement of our own.
-- +goose StatementBegin
CREATE TRIGGER agreement_version_fixed BEFORE UPDATE ON agreement_version
BEGIN SELECT RAISE(ABORT, 'a version of an agreement never changes'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER agreement_version_kept BEFORE DELETE ON agreement_version
BEGIN SELECT RAISE(ABORT, 'a version of an agreement is never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER acceptance_fixed BEFORE UPDATE ON acceptance
BEGIN SELECT RAISE(ABORT, 'an acceptance never changes'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER acceptance_kept BEFORE DELETE ON acceptance
BEGIN SELECT RAISE(ABORT, 'an acceptance is never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_revision_fixed BEFORE UPDATE ON policy_revision
BEGIN SELECT RAISE(ABORT, 'a published revision never changes'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_revision_kept BEFORE DELETE ON policy_revision
BEGIN SELECT RAISE(ABORT, 'a published revision is never deleted'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_module_fixed BEFORE UPDATE ON policy_module
BEGIN SELECT RAISE(ABORT, 'a published module never changes'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER policy_module_kept BEFORE DELETE ON policy_module
BEGIN SELECT RAISE(ABORT, 'a published module is never deleted'); END;
-- +goose StatementEnd
