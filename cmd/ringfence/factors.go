package main

import (
	"context"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
)

// A factorRow is a second factor as commands print it. It holds no secret.
type factorRow struct {
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Added    time.Time `json:"added"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

// allFactors returns every account's second factors by account id: its
// authenticator apps, then its passkeys and security keys.
func allFactors(ctx context.Context, d *deployment, accounts []directory.Account) (map[string][]auth.Authenticator, error) {
	all, err := d.auth.AllAuthenticators(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		keys, err := d.auth.SecurityKeys(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			all[a.ID] = append(all[a.ID], k.Authenticator())
		}
	}
	return all, nil
}

// factorRows returns an empty list, not null, for an account without factors.
func factorRows(list []auth.Authenticator) []factorRow {
	rows := make([]factorRow, len(list))
	for i, a := range list {
		rows[i] = factorRow{Kind: a.Kind, Name: a.Name, Added: a.Created.UTC(), LastUsed: a.LastUsed.UTC()}
	}
	return rows
}
