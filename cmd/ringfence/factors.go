package main

import (
	"time"

	"github.com/ringfence/ringfence/auth"
)

// A factorRow is a second factor as commands print it. It holds no secret.
type factorRow struct {
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Added    time.Time `json:"added"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

// factorRows returns an empty list, not null, for an account without factors.
func factorRows(list []auth.Authenticator) []factorRow {
	rows := make([]factorRow, len(list))
	for i, a := range list {
		rows[i] = factorRow{Kind: a.Kind, Name: a.Name, Added: a.Created.UTC(), LastUsed: a.LastUsed.UTC()}
	}
	return rows
}
