package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// insertAccounts writes accounts with the ids that they have, which the
// directory would choose itself.
func insertAccounts(t testing.TB, db *DB, accounts []auth.Account) {
	t.Helper()
	for _, a := range accounts {
		roles, err := asJSON(a.Roles)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range []struct {
			query string
			args  []any
		}{
			{`INSERT OR IGNORE INTO vendor (name, title, owner_name, owner_email) SELECT ?1, 'A vendor', 'O', 'o@example.com' WHERE ?1 <> ''`, []any{a.Vendor}},
			{`INSERT INTO account (id, email, name, vendor, roles, ends, created) VALUES (?, ?, ?, nullif(?, ''), ?, ?, 1)`,
				[]any{a.ID, a.Email, a.Name, a.Vendor, roles, column(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))}},
		} {
			if _, err := db.writer.Exec(q.query, q.args...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAuth(t *testing.T) {
	authtest.TestStore(t, func(t *testing.T, accounts []auth.Account) auth.Store {
		db := open(t, Config{})
		insertAccounts(t, db, accounts)
		if _, err := db.writer.Exec(`UPDATE account SET ends = NULL`); err != nil {
			t.Fatal(err)
		}
		return db
	})
}

// signInEnv is a service on a database of its own.
func signInEnv(t testing.TB) (*authtest.Env, *DB, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ringfence.db")
	db := open(t, Config{Path: path})
	insertAccounts(t, db, authtest.Everyone())
	return authtest.NewEnv(t, db, nil), db, path
}

// A command on the machine ends sessions while the gateway runs: the gateway
// hears of it by watching, and the record comes by the outbox.
func TestAuth_EndedByCommand(t *testing.T) {
	e, db, path := signInEnv(t)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)

	reloaded := make(chan error, 16)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	first := make(chan struct{}, 16)
	go func() {
		defer close(stopped)
		db.Watch(ctx, 10*time.Millisecond, func(kinds map[string]bool) {
			if kinds[KindSession] || kinds[KindDirectory] {
				reloaded <- e.Reload(ctx)
			}
			first <- struct{}{}
		})
	}()
	defer func() { cancel(); <-stopped }()
	<-first
	<-reloaded

	other := open(t, Config{Path: path})
	command := authtest.NewEnv(t, other, func(c *auth.Config) { c.Recorder = outboxRecorder{other}; c.Now = e.Clock.Now })
	if n, err := command.EndSessions(ctx, authtest.Operator, p.ID); err != nil || n != 1 {
		t.Fatalf("%d sessions, %v", n, err)
	}
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	if who := e.Who(t, cookie, authtest.GateHost); !who.IsAnonymous() {
		t.Errorf("after the command: %+v", who)
	}
	var drained []policy.Record
	if _, err := db.Drain(ctx, func(_ context.Context, r *policy.Record) (uint64, error) {
		drained = append(drained, *r)
		return uint64(len(drained)), nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(drained, func(r policy.Record) bool {
		return r.Action == "session.end" && r.Session == sess.ID && r.Actor == auth.Operator
	}) {
		t.Errorf("the outbox held %+v", drained)
	}
}

// outboxRecorder is what commands give to auth.
type outboxRecorder struct{ db *DB }

func (o outboxRecorder) Record(ctx context.Context, r *policy.Record) (uint64, error) {
	return 0, o.db.Enqueue(ctx, r)
}

// The counts of wrong codes outlive the process.
func TestAuth_ThrottlePersists(t *testing.T) {
	e, _, path := signInEnv(t)
	p := e.Enrol(t, authtest.Kim)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, "000000x"); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatal(err)
		}
	}
	again := authtest.NewEnv(t, open(t, Config{Path: path}), func(c *auth.Config) { c.Now = e.Clock.Now })
	_, _, err = again.LoginCode(t.Context(), p.Origin, flow, e.Code(t, p))
	if slow, ok := errors.AsType[*auth.ThrottledError](err); !ok || slow.RetryAfter != 30*time.Second {
		t.Errorf("after a restart: %v", err)
	}
}

// Secrets at rest: somebody who can write to the database puts their own
// factor, or the whole credential, into another's row, and gains nothing.
func TestAuth_MovedCiphertext(t *testing.T) {
	e, db, _ := signInEnv(t)
	mallory, victim := e.Enrol(t, authtest.Kim), e.Enrol(t, authtest.Ada)
	if _, err := db.writer.Exec(`UPDATE totp_device SET sealed = (SELECT sealed FROM totp_device WHERE account = ?) WHERE account = ?`, mallory.ID, victim.ID); err != nil {
		t.Fatal(err)
	}
	flow, err := e.Login(t.Context(), victim.Origin, victim.Email, victim.Password)
	if err != nil {
		t.Fatal(err)
	}
	if cookie, _, err := e.LoginCode(t.Context(), victim.Origin, flow, e.Code(t, mallory)); err == nil || cookie != "" {
		t.Fatal("a factor from another row was accepted")
	}
	if _, err := db.writer.Exec(`UPDATE credential SET password_hash = (SELECT password_hash FROM credential WHERE account = ?) WHERE account = ?`, mallory.ID, victim.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Login(t.Context(), victim.Origin, victim.Email, mallory.Password); !errors.Is(err, auth.ErrBadCredentials) {
		t.Fatalf("a password from another row: %v", err)
	}
}

// Nothing that signs anybody in stands in the file.
func TestAuth_NoSecretsInFile(t *testing.T) {
	e, db, path := signInEnv(t)
	link, _, err := e.Invite(t.Context(), authtest.Operator, authtest.Lee.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "invite=")
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.writer.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(file, []byte(sess.ID)) {
		t.Fatal("the session is not in the file that was read")
	}
	for _, s := range append(p.Recovery, token, p.Password, cookie, flow, secret, string(p.Secret)) {
		if bytes.Contains(file, []byte(s)) {
			t.Errorf("%q stands in the file", s)
		}
	}
}

// The directory shows how far an account is, and its changes end sessions.
func TestAuth_Directory(t *testing.T) {
	e, db, _ := signInEnv(t)
	status := func() (string, time.Time) {
		d, _, err := db.Directory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range d.Accounts {
			if a.ID == authtest.Kim.ID {
				return a.Status, a.LastLogin
			}
		}
		t.Fatal("the account is gone")
		return "", time.Time{}
	}
	if got, _ := status(); got != policy.StatusInvited {
		t.Errorf("at first %s", got)
	}
	p := e.Enrol(t, authtest.Kim)
	if got, _ := status(); got != policy.StatusActive {
		t.Errorf("enrolled: %s", got)
	}
	cookie, _ := e.SignIn(t, p)
	operator := directory.Actor{Account: directory.Operator}
	set := func(disabled bool) {
		t.Helper()
		if _, err := db.Change(t.Context(), operator, func(d *directory.Directory) error {
			for i := range d.Accounts {
				if d.Accounts[i].ID == p.ID {
					d.Accounts[i].Disabled = disabled
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	set(true)
	if who := e.Who(t, cookie, authtest.GateHost); !who.IsAnonymous() {
		t.Errorf("disabled: %+v", who)
	}
	set(false)
	if who := e.Who(t, cookie, authtest.GateHost); !who.IsAnonymous() {
		t.Errorf("enabled again, the old session is back: %+v", who)
	}
	if err := db.Expire(t.Context(), e.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	if got, last := status(); got != policy.StatusActive || !last.Equal(e.Clock.Now()) {
		t.Errorf("%s, last sign-in %s", got, last)
	}
	if _, _, err := e.ResetFactor(t.Context(), authtest.Operator, p.ID); err != nil {
		t.Fatal(err)
	}
	if got, _ := status(); got != policy.StatusInvited {
		t.Errorf("after a reset: %s", got)
	}
}

// Whoever deletes an account deletes how it signs in.
func TestAuth_AccountDeleted(t *testing.T) {
	e, db, _ := signInEnv(t)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	if _, _, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := db.writer.Exec(`DELETE FROM account WHERE id = ?`, p.ID); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"credential", "totp_device", "totp_pending", "totp_mark", "recovery_code", "invitation", "enrolment", "login_flow", "code_failure", "session", "token", "last_login", "security_key", "key_ceremony", "key_allowance"} {
		var n int
		if err := db.read().QueryRow(`SELECT count(*) FROM ` + table + ` WHERE account = '` + p.ID + `'`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s keeps %d rows, %v", table, n, err)
		}
	}
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if who := e.Who(t, cookie, authtest.GateHost); !who.IsAnonymous() {
		t.Errorf("a deleted account: %+v", who)
	}
}

// Secrets at rest, for keys: somebody who can write to the database puts a key
// of their own into another's row, or into a row of another's, and gains nothing.
func TestAuth_MovedKey(t *testing.T) {
	e, db, _ := signInEnv(t)
	mallory, victim := e.Enrol(t, authtest.Kim), e.Enrol(t, authtest.Ada)
	add := func(p *authtest.Person) (*authtest.SoftKey, auth.SecurityKey) {
		_, sess := e.SignIn(t, p)
		q, err := e.BeginKeyRegistration(t.Context(), p.Origin, sess)
		if err != nil {
			t.Fatal(err)
		}
		soft := authtest.NewSoftKey(t)
		_, row, err := e.FinishKeyRegistration(t.Context(), p.Origin, sess, q.ID, "k", soft.Create(t, q.Options))
		if err != nil {
			t.Fatal(err)
		}
		return soft, row
	}
	soft, mine := add(mallory)
	_, hers := add(victim)
	soft.UserHandle = nil
	for name, q := range map[string]string{
		"the record alone": `UPDATE security_key SET sealed_record = (SELECT sealed_record FROM security_key WHERE id = ?1) WHERE id = ?2`,
		"the whole row":    `UPDATE security_key SET account = (SELECT account FROM security_key WHERE id = ?2) WHERE id = ?1`,
	} {
		if _, err := db.writer.Exec(q, mine.ID, hers.ID); err != nil {
			t.Fatal(err)
		}
		flow, err := e.Login(t.Context(), victim.Origin, victim.Email, victim.Password)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.BeginKeyLogin(t.Context(), victim.Origin, flow); err == nil || errors.Is(err, auth.ErrNoKeys) {
			t.Errorf("%s: a key from another row is asked for: %v", name, err)
		}
	}
}
