package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// tellSecrets marks what it seals, with the place.
type tellSecrets struct{}

func (tellSecrets) SealSecret(table, column, row string, plain []byte) []byte {
	return []byte(table + "." + column + "." + row + ":" + string(plain))
}
func (tellSecrets) OpenSecret(_, _, _ string, sealed []byte) ([]byte, error) { return sealed, nil }

func alarmRecords(t *testing.T, db *DB) (out []policy.Record) {
	t.Helper()
	_, err := db.Drain(t.Context(), func(_ context.Context, r *policy.Record) (uint64, error) {
		out = append(out, *r)
		return uint64(len(out)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var alarmOperator = directory.Actor{Account: directory.Operator}

func TestAlarm_RaisedOnce(t *testing.T) {
	db := open(t, Config{})
	entry := uint64(41)
	a := alarm.Raised{To: []string{"hook", alarm.OwnerReceiver, "hook"}, Alarm: alarm.Alarm{ID: "a1", Rule: "denials", Kind: alarm.Denials, Severity: alarm.High, At: time.Unix(1, 2).UTC(), Entry: &entry,
		Account: "kim", Vendor: "acme", Cluster: "claims", About: "kim", Facts: map[string]string{"count": "20"}}}
	b := a
	b.ID, b.Entry = "a2", nil
	for i, want := range []int{2, 0} {
		if n, err := db.Raise(t.Context(), []alarm.Raised{a, b}, []byte("state")); err != nil || n != want {
			t.Fatalf("call %d: %d raised, %v", i, n, err)
		}
	}
	records := alarmRecords(t, db)
	if len(records) != 2 || records[0].Action != "alarm.raise" || records[0].Type != policy.RecordLog || records[0].Account != "kim" || records[0].Detail["entry"] != "41" || records[0].Detail["fact_count"] != "20" || records[0].Detail["told"] != "hook, owner" {
		t.Fatalf("recorded %+v", records)
	}
	got, err := db.Alarm(t.Context(), "a1")
	if err != nil || *got.Entry != 41 || !got.At.Equal(a.At) || got.Facts["count"] != "20" || len(got.Sends) != 2 || !got.Open() {
		t.Fatalf("kept %+v, %v", got, err)
	}
	if got, _ := db.Alarm(t.Context(), "a2"); got.Entry != nil {
		t.Errorf("an alarm of no entry has %d", *got.Entry)
	}
	if b, err := db.AlarmState(t.Context()); string(b) != "state" || err != nil {
		t.Errorf("state %q, %v", b, err)
	}
	// Acknowledged once, with its record.
	if err := db.Acknowledge(t.Context(), alarmOperator, "a1", "A new tool."); err != nil {
		t.Fatal(err)
	}
	if err := db.Acknowledge(t.Context(), alarmOperator, "a1", "Again."); !errors.Is(err, alarm.ErrDone) {
		t.Errorf("a second time: %v", err)
	}
	if err := db.Acknowledge(t.Context(), alarmOperator, "none", "x"); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("an alarm that is none: %v", err)
	}
	if err := db.Acknowledge(t.Context(), directory.Actor{Account: "nobody"}, "a2", "x"); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("by somebody who may not: %v", err)
	}
	if r := alarmRecords(t, db); len(r) != 1 || r[0].Action != "alarm.acknowledge" || r[0].Detail["note"] != "A new tool." {
		t.Errorf("recorded %+v", r)
	}
	n, open, err := db.OpenAlarms(t.Context(), 10)
	if err != nil || n != 1 || len(open) != 1 || open[0].ID != "a2" {
		t.Errorf("%d open: %+v, %v", n, open, err)
	}
}

// Nobody acknowledges an alarm about themselves or about what they did, nor one
// of a cluster that they do not read of.
func TestAlarm_Involved(t *testing.T) {
	db := filled(t)
	mine := actorOf(t, db, ines)
	raise := func(a alarm.Alarm) string {
		a.Rule, a.Kind, a.Severity, a.At = "denials", alarm.Denials, alarm.Low, time.Unix(1, 0)
		if n, err := db.Raise(t.Context(), []alarm.Raised{{Alarm: a}}, nil); err != nil || n != 1 {
			t.Fatalf("%d, %v", n, err)
		}
		return a.ID
	}
	about := raise(alarm.Alarm{ID: "about", Account: mine.Account, Cluster: "claims"})
	did := raise(alarm.Alarm{ID: "did", Actor: mine.Account, Facts: map[string]string{"what": "rollback"}})
	machine := raise(alarm.Alarm{ID: "machine", Actor: directory.Operator})
	for _, id := range []string{about, did} {
		if err := db.Acknowledge(t.Context(), mine, id, "Nothing."); !errors.Is(err, alarm.ErrInvolved) {
			t.Errorf("%s: %v", id, err)
		}
		if a, err := db.Alarm(t.Context(), id); err != nil || !a.Open() {
			t.Errorf("%s is closed: %v", id, err)
		}
	}
	if err := db.Acknowledge(t.Context(), alarmOperator, machine, "Mine."); !errors.Is(err, alarm.ErrInvolved) {
		t.Errorf("what was done on the machine, by whoever works there: %v", err)
	}
	if err := db.Acknowledge(t.Context(), mine, machine, "Asked."); err != nil {
		t.Error(err)
	}
	if _, err := db.writer.Exec(`UPDATE account SET roles = '["reviewer"]', log_clusters = '["billing"]' WHERE email = ?`, kim); err != nil {
		t.Fatal(err)
	}
	if err := db.Acknowledge(t.Context(), actorOf(t, db, kim), about, "Who?"); err == nil {
		t.Error("acknowledged by a reviewer of other clusters")
	}
	if all, err := db.Alarms(t.Context(), alarm.Filter{Clusters: []string{"claims"}}); err != nil || len(all) != 1 || all[0].ID != about {
		t.Errorf("of one cluster: %+v, %v", all, err)
	}
	if all, err := db.Alarms(t.Context(), alarm.Filter{Clusters: []string{}}); err != nil || len(all) != 0 {
		t.Errorf("of none: %+v, %v", all, err)
	}
}

// The owner of a vendor is not told of an alarm about their own account.
func TestAlarm_OwnersOwn(t *testing.T) {
	db := filled(t)
	d, _, err := db.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := of(d, "amara@northwind.example")
	if _, err := db.Change(t.Context(), actorOf(t, db, ines), func(d *directory.Directory) error {
		for i := range d.Vendors {
			if d.Vendors[i].Name == a.Vendor {
				d.Vendors[i].Owner.Email = a.Email
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	other := of(d, kim)
	for id, account := range map[string]string{"own": a.ID, "other": other.ID} {
		raised := alarm.Raised{To: []string{"hook", alarm.OwnerReceiver}, Alarm: alarm.Alarm{ID: id, At: time.Unix(1, 0), Account: account, Vendor: a.Vendor}}
		if _, err := db.Raise(t.Context(), []alarm.Raised{raised}, nil); err != nil {
			t.Fatal(err)
		}
		want := 2
		if id == "own" {
			want = 1
		}
		if got, err := db.Alarm(t.Context(), id); err != nil || len(got.Sends) != want || got.Sends[0].Receiver != "hook" {
			t.Errorf("%s: told %+v, %v", id, got.Sends, err)
		}
	}
}

func TestAlarm_Rules(t *testing.T) {
	db := open(t, Config{})
	rules, err := db.AlarmRules(t.Context())
	if err != nil || len(rules) != len(alarm.Defaults()) || rules[0].ID != "denials" {
		t.Fatalf("%d rules, %v", len(rules), err)
	}
	r := rules[0]
	r.Count, r.Accounts = 3, []string{"kim", "lee"}
	saved, err := db.SaveRule(t.Context(), alarmOperator, r)
	if err != nil || saved.Revision != 1 {
		t.Fatalf("saved %+v, %v", saved, err)
	}
	if _, err := db.SaveRule(t.Context(), alarmOperator, r); !errors.Is(err, alarm.ErrChanged) {
		t.Errorf("of what was there before: %v", err)
	}
	saved.Count = 0
	if _, err := db.SaveRule(t.Context(), alarmOperator, saved); err == nil {
		t.Error("a rule that counts nothing is kept")
	}
	for revision, want := range map[int64]int{0: 20, 1: 3} {
		if got, err := db.AlarmRule(t.Context(), "denials", revision); err != nil || got.Count != want || got.Revision != revision {
			t.Errorf("revision %d: %+v, %v", revision, got, err)
		}
	}
	if _, err := db.AlarmRule(t.Context(), "denials", 2); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("a revision that is none: %v", err)
	}
	records := alarmRecords(t, db)
	if len(records) != 1 || records[0].Action != "alarm.rule" || records[0].Detail["rule"] != "denials" || records[0].Detail["revision"] != "1" || records[0].Result != "ok" || records[0].Detail["accounts"] != "2" {
		t.Errorf("recorded %+v", records)
	}
}

func TestAlarm_Sends(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).UTC()
	db := open(t, Config{Now: func() time.Time { return now }})
	if _, err := db.Raise(t.Context(), []alarm.Raised{{To: []string{"hook", "mail"}, Alarm: alarm.Alarm{ID: "a1", At: now}}}, nil); err != nil {
		t.Fatal(err)
	}
	due, err := db.ClaimSends(t.Context(), now, now.Add(time.Minute), 10)
	if err != nil || len(due) != 2 {
		t.Fatalf("%+v, %v", due, err)
	}
	if again, err := db.ClaimSends(t.Context(), now, now.Add(time.Minute), 10); err != nil || len(again) != 0 {
		t.Errorf("claimed twice: %+v, %v", again, err)
	}
	due[0].Sent = now
	due[1].Tries, due[1].Fault, due[1].Next = 1, "away", now.Add(time.Hour)
	for _, s := range due {
		if err := db.NoteSend(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	later, err := db.ClaimSends(t.Context(), now.Add(time.Hour), now.Add(2*time.Hour), 10)
	if err != nil || len(later) != 1 || later[0].Receiver != "mail" || later[0].Tries != 1 || later[0].Fault != "away" {
		t.Errorf("an hour later: %+v, %v", later, err)
	}
}

// TestAlarm_AcknowledgementIsTold: whoever was told of an alarm, or still will
// be, is told that it was acknowledged, after it; whom nothing reaches is not.
func TestAlarm_AcknowledgementIsTold(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).UTC()
	db := open(t, Config{Now: func() time.Time { return now }})
	if _, err := db.Raise(t.Context(), []alarm.Raised{{To: []string{"gone", "hook", alarm.OwnerReceiver}, Alarm: alarm.Alarm{ID: "a1", At: now}}}, nil); err != nil {
		t.Fatal(err)
	}
	claim := func(at time.Time) (out []alarm.Send) {
		t.Helper()
		out, err := db.ClaimSends(t.Context(), at, at.Add(time.Minute), 10)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	note := func(s alarm.Send) {
		t.Helper()
		if err := db.NoteSend(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	due := claim(now) // by receiver
	due[0].GivenUp = now
	due[1].Next, due[1].Tries = now.Add(time.Hour), 1
	due[2].Sent = now
	for _, s := range due {
		note(s)
	}
	if err := db.Acknowledge(t.Context(), alarmOperator, "a1", "A drill."); err != nil {
		t.Fatal(err)
	}
	told := claim(now)
	if len(told) != 1 || told[0].Receiver != alarm.OwnerReceiver || !told[0].Acknowledged {
		t.Fatalf("told %+v", told)
	}
	told[0].Sent = now
	note(told[0])
	late := claim(now.Add(time.Hour))
	if len(late) != 1 || late[0].Receiver != "hook" || late[0].Acknowledged {
		t.Fatalf("the alarm itself comes first: %+v", late)
	}
	late[0].Sent = now
	note(late[0])
	if late = claim(now.Add(time.Hour)); len(late) != 1 || !late[0].Acknowledged || late[0].Tries != 0 {
		t.Errorf("then its acknowledgement: %+v", late)
	}
	if a, err := db.Alarm(t.Context(), "a1"); err != nil || len(a.Sends) != 5 {
		t.Errorf("%+v, %v", a.Sends, err)
	}
}

// The secret of a webhook is sealed for its own receiver, stays while the
// address does, and stands in no record; nor does the address, which may hold one.
func TestAlarm_Receivers(t *testing.T) {
	db := open(t, Config{})
	hook := alarm.Receiver{ID: "hook", Kind: alarm.Webhook, Title: "Pager", Address: "https://pager.example.com/canary"}
	if err := db.SaveReceiver(t.Context(), alarmOperator, hook, []byte("whsec_x")); err == nil {
		t.Fatal("a secret is kept without a seal")
	}
	db.UseSecrets(tellSecrets{})
	if err := db.SaveReceiver(t.Context(), alarmOperator, hook, nil); err == nil {
		t.Error("a webhook without a secret is kept")
	}
	for _, secret := range []string{"whsec_x", ""} {
		if err := db.SaveReceiver(t.Context(), alarmOperator, hook, []byte(secret)); err != nil {
			t.Fatal(err)
		}
		got, err := db.Receiver(t.Context(), "hook")
		if err != nil || string(got.Sealed) != "alarm_receiver.secret.hook:whsec_x" {
			t.Fatalf("kept %+v, %v", got, err)
		}
	}
	moved := hook
	moved.Address = "https://elsewhere.example.com/"
	if err := db.SaveReceiver(t.Context(), alarmOperator, moved, nil); err == nil {
		t.Error("the secret went along to another address")
	}
	if err := db.RemoveReceiver(t.Context(), alarmOperator, "hook"); err != nil {
		t.Fatal(err)
	}
	if err := db.RemoveReceiver(t.Context(), alarmOperator, "hook"); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	for _, r := range alarmRecords(t, db) {
		for k, v := range r.Detail {
			if r.Action != "alarm.receiver" || k == "address" || v == "whsec_x" {
				t.Errorf("recorded %+v", r)
			}
		}
	}
}
