package store

import (
	"strings"
	"testing"
)

func TestAccountNamed(t *testing.T) {
	db := filled(t)
	d, _, err := db.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, local := of(d, kim).ID, kim[:strings.Index(kim, "@")]
	for name, want := range map[string]string{kim: id, strings.ToUpper(kim): id, local: id, "nobody@example.com": "", "nobody": "", "": "", "@": "", local + "@": "", strings.Repeat("x", 400): ""} {
		if got, ok := db.AccountNamed(t.Context(), name); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", name, got, ok)
		}
	}
	if _, err := db.writer.Exec(`INSERT INTO account (id, email, name, roles, created) VALUES ('x', ?, 'Another', '[]', 0)`, local+"@elsewhere.example"); err != nil {
		t.Fatal(err)
	}
	if got, ok := db.AccountNamed(t.Context(), local); ok {
		t.Errorf("one of two: %q", got)
	}
	// An address that begins with somebody's id is not whom that id names.
	if _, err := db.writer.Exec(`INSERT INTO account (id, email, name, roles, created) VALUES ('y', ?, 'Posing', '[]', 0)`, id+"@elsewhere.example"); err != nil {
		t.Fatal(err)
	}
	if got, ok := db.AccountNamed(t.Context(), id); ok {
		t.Errorf("an id: %q", got)
	}
}
