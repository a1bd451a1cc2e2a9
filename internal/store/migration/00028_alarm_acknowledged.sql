-- +goose Up
-- Whoever was told of an alarm is told as well that it was acknowledged.
CREATE TABLE alarm_send_new (
  alarm        TEXT NOT NULL REFERENCES alarm (id) ON DELETE CASCADE,
  receiver     TEXT NOT NULL,
  acknowledged INTEGER NOT NULL DEFAULT 0,
  tries        INTEGER NOT NULL DEFAULT 0,
  next         INTEGER NOT NULL,
  fault        TEXT NOT NULL DEFAULT '',
  sent         INTEGER,
  given_up     INTEGER,
  PRIMARY KEY (alarm, receiver, acknowledged)
) STRICT, WITHOUT ROWID;
INSERT INTO alarm_send_new (alarm, receiver, tries, next, fault, sent, given_up) SELECT alarm, receiver, tries, next, fault, sent, given_up FROM alarm_send;
DROP TABLE alarm_send;
ALTER TABLE alarm_send_new RENAME TO alarm_send;
CREATE INDEX alarm_send_due ON alarm_send (next) WHERE sent IS NULL AND given_up IS NULL;
