package store

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/auth/totp"
)

// oldFiles are databases that earlier versions wrote, with accounts and root
// key of package authtest: Kim is enrolled and has signed in, Lee has chosen a
// password and has yet to give a first code.
var oldFiles = []struct{ file, secret, recovery, enrol, enrolSecret string }{
	{"version3.db.gz", "M6AHPTHV5LKZEHV2FDK3F5X6Z6OWRZFV", "nvu3wftet4xgx", "JALxrQBQB6evsxx8P2BM9_6pXCTIi2AoxqxjeLXhMIE", "UOVC4JPYO5AAUXQXOFUWJ523YZZNJOLT"},
	{"version4.db.gz", "RAOCIIBCX6MXZZ3RESNXXABQ76KWY6D5", "d5rb36heq72h2", "uCCRSpOy05Be7DYRR-P989SbDJZCVdbf2kQHJK7FZBc", "P46XHTOADOIS2C5INMEU7PYO3DB2GCEF"},
}

func unpack(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ringfence.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Who was enrolled before there were several devices signs in as before; what
// was spent stays spent, and the secret is bound to its row by being used.
func TestTOTP_MigratedAccountSignsIn(t *testing.T) {
	for _, old := range oldFiles {
		t.Run(old.file, func(t *testing.T) {
			db := open(t, Config{Path: unpack(t, old.file)})
			e := authtest.NewEnv(t, db, nil)
			p := &authtest.Person{Account: authtest.Kim, Password: authtest.Password, Origin: authtest.From("192.0.2.10")}
			if err := p.Scan("otpauth://totp/Example:kim?secret=" + old.secret + "&issuer=Example&algorithm=SHA1&digits=6&period=30"); err != nil {
				t.Fatal(err)
			}
			device := func() auth.TOTPDevice {
				c, err := db.Credential(t.Context(), p.ID)
				if err != nil || len(c.Devices) != 1 || c.Confirmed.IsZero() {
					t.Fatalf("credential %+v, %v", c, err)
				}
				return c.Devices[0]
			}
			before := device()
			if !before.Legacy || before.LastStep != totp.Step(e.Clock.Now()) {
				t.Fatalf("migrated to %+v", before)
			}
			try := func(code string) error {
				flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
				if err != nil {
					t.Fatal(err)
				}
				_, _, err = e.LoginCode(t.Context(), p.Origin, flow, code)
				return err
			}
			if err := try(e.Code(t, p)); !errors.Is(err, auth.ErrCodeSpent) {
				t.Errorf("the code that was spent before: %v", err)
			}
			e.Clock.Advance(totp.Period)
			if err := try(e.FreshCode(t, p)); err != nil {
				t.Fatalf("the next code: %v", err)
			}
			after := device()
			if after.Legacy || bytes.Equal(after.Sealed, before.Sealed) || after.ID != before.ID {
				t.Errorf("after use it is %+v", after)
			}
			e.Clock.Advance(totp.Period)
			if err := try(e.FreshCode(t, p)); err != nil {
				t.Errorf("bound to its row, it fails: %v", err)
			}
			if err := try(old.recovery); err != nil {
				t.Errorf("a recovery code from before: %v", err)
			}
			checkEnrolmentUnderWay(t, e, old.enrol, old.enrolSecret)
		})
	}
}

// checkEnrolmentUnderWay finishes an enrolment that an earlier version began.
func checkEnrolmentUnderWay(t *testing.T, e *authtest.Env, enrol, secret string) {
	t.Helper()
	info, err := e.Enrolment(t.Context(), enrol)
	if err != nil || info.Secret != secret {
		t.Fatalf("the enrolment under way: %v, %v", info, err)
	}
	lee := new(authtest.Person)
	if err := lee.Scan(info.URI); err != nil {
		t.Fatal(err)
	}
	o := authtest.From("192.0.2.11")
	if _, err := e.ConfirmTOTP(t.Context(), o, enrol, "Phone", e.Code(t, lee)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.FinishEnrolment(t.Context(), o, enrol); err != nil {
		t.Fatal(err)
	}
}

// Secrets at rest: whoever can write to the database moves a whole row of
// their own to another account, and gains nothing.
func TestTOTP_MovedRow(t *testing.T) {
	e, db, _ := signInEnv(t)
	mallory, victim := e.Enrol(t, authtest.Kim), e.Enrol(t, authtest.Ada)
	if _, err := db.writer.Exec(`UPDATE totp_device SET account = ? WHERE account = ?`, victim.ID, mallory.ID); err != nil {
		t.Fatal(err)
	}
	flow, err := e.Login(t.Context(), victim.Origin, victim.Email, victim.Password)
	if err != nil {
		t.Fatal(err)
	}
	if cookie, _, err := e.LoginCode(t.Context(), victim.Origin, flow, e.Code(t, mallory)); err == nil || cookie != "" {
		t.Fatal("a moved row lets its former owner in")
	}
	if _, _, err := e.LoginCode(t.Context(), victim.Origin, flow, e.FreshCode(t, victim)); err != nil {
		t.Fatalf("the account's own device: %v", err)
	}
}
