package store

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/internal/directory"
)

// sealing returns a filled database whose secrets are sealed by the sign-in
// service, as the gateway joins them.
func sealing(t *testing.T) (*DB, *auth.Service) {
	t.Helper()
	db := filled(t)
	s, err := auth.New(auth.Config{Store: db, Recorder: new(authtest.Recorder), RootKey: authtest.RootKey(), Issuer: authtest.Issuer})
	if err != nil {
		t.Fatal(err)
	}
	db.UseSecrets(s)
	return db, s
}

const clientSecret = "canary-of-the-client-secret"

func aProvider() *directory.IdentityProvider {
	return &directory.IdentityProvider{Issuer: "https://login.northwind.example", ClientID: "ringfence", ClientSecret: clientSecret,
		Domains: []string{"northwind.example"}, TrustedAMR: []string{"mfa"}}
}

// setProvider edits the provider of northwind.
func setProvider(t *testing.T, db *DB, edit func(v *directory.Vendor)) ([]directory.Change, error) {
	t.Helper()
	return db.Change(t.Context(), operator, func(d *directory.Directory) error {
		for i := range d.Vendors {
			if d.Vendors[i].Name == "northwind" {
				edit(&d.Vendors[i])
			}
		}
		return nil
	})
}

func mustSet(t *testing.T, db *DB, edit func(v *directory.Vendor)) []directory.Change {
	t.Helper()
	c, err := setProvider(t, db, edit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIdentityProvider_SecretIsSealed(t *testing.T) {
	db, s := sealing(t)
	mustSet(t, db, func(v *directory.Vendor) { v.IdentityProvider = aProvider() })
	p, err := db.IdentityProvider(t.Context(), "northwind")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := s.OpenSecret("identity_provider", "client_secret", "northwind", p.SealedSecret)
	if err != nil || string(plain) != clientSecret {
		t.Fatalf("got %q, %v", plain, err)
	}
	// Secrets at rest: moved to another vendor's row, it opens nothing.
	if _, err := s.OpenSecret("identity_provider", "client_secret", "tallgrass", p.SealedSecret); err == nil {
		t.Error("the secret of one vendor is good for another")
	}
	file := path(t, db)
	for _, name := range []string{file, file + "-wal"} {
		b, err := os.ReadFile(name)
		if err != nil || bytes.Contains(b, []byte(clientSecret)) {
			t.Errorf("%s holds the secret, or cannot be read: %v", name, err)
		}
	}
	text, err := stored(t, db).YAML()
	if err != nil {
		t.Fatal(err)
	}
	records, err := json.Marshal(drained(t, db))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(stored(t, db))
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{"export": text, "records": records, "JSON": whole} {
		if bytes.Contains(b, []byte(clientSecret)) || !bytes.Contains(b, []byte("login.northwind.example")) {
			t.Errorf("%s: %s", what, b)
		}
	}
	// Another process reads the same.
	other := open(t, Config{Path: file, Now: at(day)})
	if c := directory.Diff(stored(t, db), stored(t, other)); len(c) > 0 {
		t.Errorf("memory and file differ: %v", c)
	}
}

// The secret stays as long as nothing is said of it, and never follows to
// another address: whoever may edit must not be able to have it sent to one.
func TestIdentityProvider_SecretStaysWithItsRegistration(t *testing.T) {
	db, s := sealing(t)
	mustSet(t, db, func(v *directory.Vendor) { v.IdentityProvider = aProvider() })
	before, err := db.IdentityProvider(t.Context(), "northwind")
	if err != nil {
		t.Fatal(err)
	}
	same := func(what string) {
		t.Helper()
		p, err := db.IdentityProvider(t.Context(), "northwind")
		if err != nil || !bytes.Equal(p.SealedSecret, before.SealedSecret) {
			t.Errorf("%s: the secret changed (%v)", what, err)
		}
	}
	if c := mustSet(t, db, func(v *directory.Vendor) { v.IdentityProvider = aProvider() }); len(c) != 0 {
		t.Errorf("giving the same again changes %v", c)
	}
	mustSet(t, db, func(v *directory.Vendor) {
		v.IdentityProvider = aProvider()
		v.IdentityProvider.ClientSecret, v.IdentityProvider.Required = "", true
	})
	same("without a word about it")
	// What an editor puts into the read-only field counts for nothing.
	mustSet(t, db, func(v *directory.Vendor) { v.IdentityProvider.Sealed, v.Title = []byte("forged"), "Northwind" })
	same("forged")
	for name, edit := range map[string]func(p *directory.IdentityProvider){
		"issuer":                  func(p *directory.IdentityProvider) { p.Issuer = "https://evil.example" },
		"client ID":               func(p *directory.IdentityProvider) { p.ClientID = "other" },
		"a file that nobody read": func(p *directory.IdentityProvider) { p.SecretFile = "secret" },
	} {
		_, err := setProvider(t, db, func(v *directory.Vendor) { edit(v.IdentityProvider) })
		var faults directory.Faults
		if !errors.As(err, &faults) || faults[0].Field != "identity_provider.client_secret" {
			t.Errorf("another %s: %v", name, err)
		}
		same(name)
	}
	c := mustSet(t, db, func(v *directory.Vendor) {
		v.IdentityProvider.Issuer, v.IdentityProvider.ClientSecret = "https://new.example", "another secret"
	})
	if len(c) != 1 || !strings.Contains(c[0].String(), "identity_provider.client_secret sealed") || strings.Contains(c[0].String(), "another") {
		t.Errorf("got %v", c)
	}
	p, err := db.IdentityProvider(t.Context(), "northwind")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := s.OpenSecret("identity_provider", "client_secret", "northwind", p.SealedSecret); err != nil || string(plain) != "another secret" {
		t.Errorf("got %q, %v", plain, err)
	}
	// Without the root key nothing is stored in plain instead.
	bare := open(t, Config{Path: path(t, db), Now: at(day)})
	if _, err := setProvider(t, bare, func(v *directory.Vendor) { v.IdentityProvider.ClientSecret = "plain" }); err == nil {
		t.Error("a secret was taken that nobody could seal")
	}
	// A secret that was sealed anew meanwhile, under another root key, is not
	// overwritten by what is in memory.
	resealed := s.SealSecret("identity_provider", "client_secret", "northwind", []byte("another secret"))
	if err := bare.write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE identity_provider SET sealed_client_secret = ? WHERE vendor = 'northwind'`, resealed)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	mustSet(t, db, func(v *directory.Vendor) { v.IdentityProvider.Required = false })
	if p, err = db.IdentityProvider(t.Context(), "northwind"); err != nil || !bytes.Equal(p.SealedSecret, resealed) || p.Required {
		t.Errorf("got %+v, %v", p, err)
	}
	mustSet(t, db, func(v *directory.Vendor) { v.IdentityProvider = nil })
	if _, err := db.IdentityProvider(t.Context(), "northwind"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// Every condition of an engagement that trusts the provider counts.
func TestTrustsProvider(t *testing.T) {
	db, _ := sealing(t)
	id := account(t, db, kim).ID
	trusts := func(now time.Time) bool {
		t.Helper()
		is, err := db.TrustsProvider(t.Context(), id, now)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	var given directory.Assignment
	for _, a := range stored(t, db).Assignments {
		if a.Account == kim && (given.Ends.IsZero() || a.Starts.Before(given.Starts)) {
			given = a
		}
	}
	set := func(edit func(e *directory.Engagement)) {
		t.Helper()
		if _, err := db.Change(t.Context(), operator, func(d *directory.Directory) error {
			for i := range d.Engagements {
				if d.Engagements[i].Name == given.Engagement {
					edit(&d.Engagements[i])
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	now := given.Starts
	if trusts(now) {
		t.Error("trusted by nobody")
	}
	set(func(e *directory.Engagement) { e.TrustProviderFactor = true })
	if !trusts(now) || trusts(now.Add(-time.Nanosecond)) || trusts(given.Ends.AddDate(1, 0, 0)) {
		t.Error("the assignment's dates do not count")
	}
	if other := open(t, Config{Path: path(t, db), Now: at(day)}); len(directory.Diff(stored(t, db), stored(t, other))) > 0 {
		t.Error("memory and file differ")
	}
	set(func(e *directory.Engagement) { e.Closed = true })
	if trusts(now) {
		t.Error("a closed engagement is trusted")
	}
	if is, err := db.TrustsProvider(t.Context(), "nobody", now); err != nil || is {
		t.Errorf("got %v, %v", is, err)
	}
}
