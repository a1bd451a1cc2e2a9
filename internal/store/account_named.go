package store

import (
	"context"
	"strings"

	"github.com/ringfence/ringfence/internal/directory"
)

// AccountNamed returns the id of the account that goes by a name: its address,
// in any case of letters, or what stands before the @ of it where no other
// account's does. What cannot be read is not found.
func (db *DB) AccountNamed(ctx context.Context, name string) (id string, ok bool) {
	if name == "" || len(name) > 320 {
		return "", false
	}
	query, args := `SELECT id FROM account WHERE email = ?`, []any{name}
	if strings.Contains(name, "@") {
		if c, err := directory.CanonicalEmail(name); err == nil {
			args = []any{c}
		}
	} else { // "A" comes right after "@"
		name = strings.ToLower(name)
		query, args = `SELECT min(id) FROM account WHERE email >= ?1 || '@' AND email < ?1 || 'A' AND NOT EXISTS (SELECT 1 FROM account WHERE id = ?1) HAVING count(*) = 1`, []any{name}
	}
	err := db.read().QueryRowContext(ctx, query, args...).Scan(&id)
	return id, err == nil
}
