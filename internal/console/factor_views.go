package console

import (
	"cmp"
	"context"
	"time"

	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// A factorSummary is what the portal says about one's factors.
type factorSummary struct {
	Count int
	Name  string // of the one used last
	Used  time.Time
}

func (c *Console) factorSummary(ctx context.Context, account string) (factorSummary, error) {
	list, err := c.Auth.Authenticators(ctx, account)
	if err != nil {
		return factorSummary{}, authError(err, "listing factors")
	}
	s := factorSummary{Count: len(list)}
	for _, a := range list {
		if s.Name == "" || a.LastUsed.After(s.Used) {
			s.Name, s.Used = a.Name, a.LastUsed
		}
	}
	return s, nil
}

// A personFactor is one factor as administrators see it: never its secret.
type personFactor struct {
	Name              string
	Kind, Added, Used ui.Text
}

// factorKinds words the kinds of factors.
var factorKinds = map[string]ui.Text{policy.FactorTOTP: "Authenticator app"}

func (c *Console) personFactors(ctx context.Context, account string, now time.Time) ([]personFactor, error) {
	list, err := c.Auth.Authenticators(ctx, account)
	if err != nil {
		return nil, authError(err, "listing factors")
	}
	var rows []personFactor
	for _, a := range list {
		rows = append(rows, personFactor{Name: a.Name, Kind: cmp.Or(factorKinds[a.Kind], ui.Verbatim(a.Kind)), Added: clock(a.Created), Used: ago(now, a.LastUsed)})
	}
	return rows, nil
}

type apiFactor struct {
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Added    time.Time `json:"added"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

func (c *Console) apiFactors(ctx context.Context, account string) ([]apiFactor, error) {
	list, err := c.Auth.Authenticators(ctx, account)
	if err != nil {
		return nil, authError(err, "listing factors")
	}
	keys, err := c.Auth.SecurityKeys(ctx, account)
	if err != nil {
		return nil, authError(err, "listing keys")
	}
	for _, k := range keys {
		list = append(list, k.Authenticator())
	}
	rows := make([]apiFactor, len(list))
	for i, a := range list {
		rows[i] = apiFactor{Kind: a.Kind, Name: a.Name, Added: a.Created.UTC(), LastUsed: a.LastUsed.UTC()}
	}
	return rows, nil
}
