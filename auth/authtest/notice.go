package authtest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// PutNotice implements [auth.Notices].
func (s *Store) PutNotice(_ context.Context, n auth.Notice) error {
	return s.write("PutNotice", func() error {
		if err := s.known(n.Account); err != nil {
			return err
		}
		n.Detail = maps.Clone(n.Detail)
		s.notices = append(s.notices, n)
		return nil
	})
}

// NoticesOf implements [auth.Notices].
func (s *Store) NoticesOf(_ context.Context, account string, limit int) ([]auth.Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []auth.Notice
	for _, n := range s.notices {
		if n.Account == account {
			n.Detail = maps.Clone(n.Detail)
			out = append(out, n)
		}
	}
	slices.SortStableFunc(out, func(a, b auth.Notice) int { return b.At.Compare(a.At) })
	return out[:min(limit, len(out))], nil
}

// SeeNotices implements [auth.Notices].
func (s *Store) SeeNotices(_ context.Context, account string, upTo, at time.Time) error {
	return s.write("SeeNotices", func() error {
		for i, n := range s.notices {
			if n.Account == account && n.Seen.IsZero() && !n.At.After(upTo) {
				s.notices[i].Seen = at
			}
		}
		return nil
	})
}

// ExpireNotices implements [auth.Notices].
func (s *Store) ExpireNotices(_ context.Context, before time.Time) error {
	return s.write("ExpireNotices", func() error {
		s.notices = slices.DeleteFunc(s.notices, func(n auth.Notice) bool { return n.At.Before(before) })
		return nil
	})
}

func testNotices(t *testing.T, s auth.Store) {
	ctx := t.Context()
	first := auth.Notice{ID: "not_1", Account: Kim.ID, Kind: "factor_added", At: base, IP: "192.0.2.10", UserAgent: "test/1", Detail: map[string]string{"name": "phone"}}
	second := auth.Notice{ID: "not_2", Account: Kim.ID, Kind: "factor_removed", At: base.Add(time.Minute)}
	must(t, s.PutNotice(ctx, first))
	must(t, s.PutNotice(ctx, second))
	must(t, s.PutNotice(ctx, auth.Notice{ID: "not_3", Account: Lee.ID, Kind: "factor_added", At: base}))
	if err := s.PutNotice(ctx, auth.Notice{ID: "not_4", Account: "acc-nobody", At: base}); err == nil {
		t.Fatal("a notice for nobody was stored")
	}
	got, err := s.NoticesOf(ctx, Kim.ID, 10)
	must(t, err)
	wantEqual(t, got, []auth.Notice{second, first})
	must(t, s.SeeNotices(ctx, Kim.ID, base, base.Add(time.Hour)))
	first.Seen = base.Add(time.Hour)
	got, err = s.NoticesOf(ctx, Kim.ID, 10)
	must(t, err)
	wantEqual(t, got, []auth.Notice{second, first})
	got, err = s.NoticesOf(ctx, Kim.ID, 1)
	must(t, err)
	wantEqual(t, got, []auth.Notice{second})
	must(t, s.ExpireNotices(ctx, base.Add(time.Second)))
	got, err = s.NoticesOf(ctx, Kim.ID, 10)
	must(t, err)
	wantEqual(t, got, []auth.Notice{second})
	got, err = s.NoticesOf(ctx, Lee.ID, 10)
	must(t, err)
	wantEqual(t, len(got), 0)
}
