package main

import (
	"context"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
)

// An accountKey is a passkey or security key as account list --json shows it.
type accountKey struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Bound    string     `json:"bound_by"`
	Created  time.Time  `json:"created"`
	LastUsed *time.Time `json:"last_used,omitempty"`
}

// keysOf returns each account's keys; an empty list where there is none.
func keysOf(ctx context.Context, d *deployment, accounts []directory.Account) (map[string][]accountKey, error) {
	all := make(map[string][]accountKey, len(accounts))
	for _, a := range accounts {
		all[a.ID] = []accountKey{}
		keys, err := d.auth.SecurityKeys(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			row := accountKey{ID: k.ID, Name: k.Name, Bound: k.Bound, Created: k.Created.UTC()}
			if used := k.LastUsed.UTC(); !k.LastUsed.IsZero() {
				row.LastUsed = &used
			}
			all[a.ID] = append(all[a.ID], row)
		}
	}
	return all, nil
}
