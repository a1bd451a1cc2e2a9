package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// Key gap (reference: counters that each process keeps for itself): three
// gateways on one store share what they count, and a restart resets nothing.
func TestThrottle_ThreeNodes(t *testing.T) {
	first, db, path := signInEnv(t)
	p := first.Enrol(t, authtest.Kim)
	join := func() *authtest.Env {
		db := open(t, Config{Path: path})
		e := authtest.NewEnv(t, db, func(c *auth.Config) { c.Now = first.Clock.Now })
		e.Clock = first.Clock
		return e
	}
	nodes := []*authtest.Env{first, join(), join()}
	for n := range 5 {
		if _, err := nodes[n%3].Login(t.Context(), p.Origin, p.Email, "wrong"); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatalf("password %d: %v", n, err)
		}
	}
	late := join() // has started since
	for i, e := range append(nodes, late) {
		_, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if slow, ok := errors.AsType[*auth.ThrottledError](err); !ok || slow.RetryAfter != 30*time.Second {
			t.Errorf("node %d after five wrong passwords: %v", i, err)
		}
	}
	first.Clock.Advance(30 * time.Second)
	flow, err := late.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := db.PasswordFailure(t.Context(), "x"); err != nil || f.Count != 0 {
		t.Error(f, err)
	}
	// Codes are counted in the same way, and so are those of the recovery set.
	for n, code := range []string{"000000x", "aaaaaaaaaaaaa", "000000x", "bbbbbbbbbbbbb", "000000x"} {
		if _, _, err := nodes[n%3].LoginCode(t.Context(), p.Origin, flow, code); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatalf("code %d: %v", n, err)
		}
	}
	for i, e := range append(nodes, join()) {
		for _, code := range []string{first.Code(t, p), p.Recovery[0]} {
			_, _, err := e.LoginCode(t.Context(), p.Origin, flow, code)
			if _, ok := errors.AsType[*auth.ThrottledError](err); !ok {
				t.Errorf("node %d after five wrong codes: %v", i, err)
			}
		}
	}
}

// What guessing leaves behind is bounded, hides what was typed, and expires.
func TestThrottle_FillsNoDisk(t *testing.T) {
	e, db, path := signInEnv(t)
	typed := "hunter2-typed-where-the-address-goes@example.com"
	for i := range 40 {
		if _, err := e.Login(t.Context(), authtest.From(fmt.Sprintf("198.51.100.%d", i)), typed, "wrong"); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatal(err)
		}
	}
	rows := func() (n int) {
		if err := db.read().QueryRow(`SELECT count(*) FROM password_failure`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := rows(); n != 40 {
		t.Fatalf("%d rows", n)
	}
	if _, err := db.writer.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, name := range files {
		if b, err := os.ReadFile(name); err != nil || bytes.Contains(b, []byte("hunter2")) || bytes.Contains(b, []byte("198.51.100.7")) {
			t.Errorf("%s holds what was typed or from where (%v)", name, err)
		}
	}
	if err := db.ExpirePasswordFailures(t.Context(), e.Clock.Now().Add(time.Second)); err != nil || rows() != 0 {
		t.Errorf("%d rows stay, %v", rows(), err)
	}
}
