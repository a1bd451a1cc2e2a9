package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/policy"
)

const tokenColumns = `id, account, hash, cluster, name, session, created, expires, password_at, code_at, code_factor, kind, machine, key, networks, scope, last_used, last_ip, key_at`

// PutToken stores a token.
func (db *DB) PutToken(ctx context.Context, t auth.Token) error {
	return db.write(ctx, func(tx *sql.Tx) error {
		if err := ensureAccount(ctx, tx, t.Account); err != nil {
			return err
		}
		if err := maker(ctx, tx, &t); err != nil {
			return err
		}
		scope, err := encodeScope(t.Scope)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO token (`+tokenColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			t.ID, t.Account, t.Hash, t.Cluster, t.Name, t.Session, column(t.Created), column(t.Expires), column(t.PasswordAt), column(t.CodeAt), t.CodeFactor,
			string(t.Kind), t.Machine, t.Key, encodeNetworks(t.Networks), scope, column(t.LastUsed), t.LastIP, column(t.KeyAt))
		return err
	})
}

// maker returns [auth.ErrNotFound] when what makes the token has ended.
func maker(ctx context.Context, tx *sql.Tx, t *auth.Token) error {
	query, id := `SELECT 1 FROM session WHERE id = ? AND account = ?`, t.Session
	if t.Machine != "" {
		query, id = `SELECT 1 FROM machine WHERE id = ? AND account = ?`, t.Machine
	}
	var one int
	if err := tx.QueryRowContext(ctx, query, id, t.Account).Scan(&one); err != nil {
		return missing(err, "reading who makes a token")
	}
	return nil
}

// AllTokens returns every token.
func (db *DB) AllTokens(ctx context.Context) ([]auth.Token, error) {
	return list(ctx, db, func(r scanner) (auth.Token, error) {
		var t auth.Token
		var networks, scope string
		err := r.Scan(&t.ID, &t.Account, &t.Hash, &t.Cluster, &t.Name, &t.Session, (*instant)(&t.Created), (*instant)(&t.Expires),
			(*instant)(&t.PasswordAt), (*instant)(&t.CodeAt), &t.CodeFactor,
			(*string)(&t.Kind), &t.Machine, &t.Key, &networks, &scope, (*instant)(&t.LastUsed), &t.LastIP, (*instant)(&t.KeyAt))
		if err == nil {
			err = decodeBounds(&t, networks, scope)
		}
		return t, err
	}, `SELECT `+tokenColumns+` FROM token`)
}

// encodeScope writes a scope; a token without one has the empty text.
func encodeScope(s *policy.TokenScope) (string, error) {
	if s == nil {
		return "", nil
	}
	b, err := json.Marshal(s)
	return string(b), err
}

func encodeNetworks(all []netip.Prefix) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = p.String()
	}
	return strings.Join(words, " ")
}

// decodeBounds reads what a token is limited to. What cannot be read is an
// error: the token must not come back wider than it was.
func decodeBounds(t *auth.Token, networks, scope string) error {
	for word := range strings.FieldsSeq(networks) {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return fmt.Errorf("reading the networks of token %s: %w", t.ID, err)
		}
		t.Networks = append(t.Networks, p)
	}
	if scope == "" {
		return nil
	}
	t.Scope = new(policy.TokenScope)
	if err := json.Unmarshal([]byte(scope), t.Scope); err != nil {
		return fmt.Errorf("reading the scope of token %s: %w", t.ID, err)
	}
	return nil
}

// DeleteTokens ends tokens.
func (db *DB) DeleteTokens(ctx context.Context, ids []string) error {
	return db.deleteByID(ctx, `DELETE FROM token WHERE id = ?`, ids)
}

// EnsureKey stores k if its purpose has no key created at or after since, and
// returns every key of the purpose.
func (db *DB) EnsureKey(ctx context.Context, k auth.SigningKey, since time.Time) ([]auth.SigningKey, error) {
	keys, err := db.signingKeys(ctx, k.Purpose)
	if err != nil {
		return nil, err
	}
	for _, have := range keys {
		if !have.Created.Before(since) {
			return keys, nil
		}
	}
	err = db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO signing_key (id, purpose, sealed, created)
			SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM signing_key WHERE purpose = ?2 AND created >= ?5)`,
			k.ID, k.Purpose, k.Sealed, column(k.Created), since.UnixNano())
		return err
	})
	if err != nil {
		return nil, err
	}
	return db.signingKeys(ctx, k.Purpose)
}

func (db *DB) signingKeys(ctx context.Context, purpose string) ([]auth.SigningKey, error) {
	return list(ctx, db, func(r scanner) (auth.SigningKey, error) {
		var k auth.SigningKey
		err := r.Scan(&k.ID, &k.Purpose, &k.Sealed, (*instant)(&k.Created))
		return k, err
	}, `SELECT id, purpose, sealed, created FROM signing_key WHERE purpose = ? ORDER BY created`, purpose)
}

// DeleteKeys deletes keys of the purpose that were created before before.
func (db *DB) DeleteKeys(ctx context.Context, purpose string, before time.Time) error {
	keys, err := db.signingKeys(ctx, purpose)
	if err != nil || len(keys) == 0 || !keys[0].Created.Before(before) {
		return err
	}
	return db.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM signing_key WHERE purpose = ? AND created < ?`, purpose, before.UnixNano())
		return err
	})
}
