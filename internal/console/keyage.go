package console

import (
	"context"
	"time"
)

// A keyAge is a line about the key that signs for one purpose.
type keyAge struct {
	Purpose string // as package auth names it
	Days    int    // since it was made
	Next    time.Time
	Old     int // keys that are still honoured
}

// keyAges returns how old the signing keys are.
func (c *Console) keyAges(ctx context.Context, now time.Time) ([]keyAge, error) {
	keys, err := c.Auth.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var out []keyAge
	old := 0
	for _, k := range keys { // those of one purpose follow one another, the one that signs last
		if !k.Signs {
			old++
			continue
		}
		out = append(out, keyAge{Purpose: k.Purpose, Days: max(0, int(now.Sub(k.Created)/(24*time.Hour))), Next: k.Until, Old: old})
		old = 0
	}
	return out, nil
}
