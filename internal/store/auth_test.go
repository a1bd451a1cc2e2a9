package store

import (
	"encoding/json"
	"testing"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// openWith returns a database that knows the accounts.
func openWith(t testing.TB, accounts []auth.Account) *DB {
	t.Helper()
	db := open(t, Config{})
	for _, a := range accounts {
		roles, err := json.Marshal(a.Roles)
		if err != nil {
			t.Fatal(err)
		}
		if a.Vendor != "" {
			_, err := db.writer.Exec(`INSERT OR IGNORE INTO vendor (name, title, owner_name, owner_email) VALUES (?, 'A vendor', 'O', 'o@example.com')`, a.Vendor)
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err = db.writer.Exec(`INSERT INTO account (id, email, name, vendor, roles, created) VALUES (?, ?, ?, nullif(?, ''), ?, 1)`,
			a.ID, a.Email, a.Name, a.Vendor, string(roles))
		if err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func TestAuth(t *testing.T) {
	authtest.TestStore(t, func(t *testing.T, accounts []auth.Account) auth.Store { return openWith(t, accounts) })
}
