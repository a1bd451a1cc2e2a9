package enginetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/table"
)

// A Shared is a table of several gateways' logs, opened by one of them.
type Shared interface {
	query.Engine
	Send(ctx context.Context, batch []*accesslog.Entry) error
	Holdings(ctx context.Context) ([]table.Holding, error)
	Oldest(ctx context.Context) (time.Time, error)
	Entry(ctx context.Context, origin string, index uint64) (*accesslog.Entry, error)
}

// Tables compares a table that open returns for an origin with all, and then
// with all in two logs. Each call of open must lead to the same table, which is
// empty at first.
func Tables(t *testing.T, all []*accesslog.Entry, open func(origin string) Shared) {
	one := open(Origin)
	send := func(x Shared, list []*accesslog.Entry) {
		t.Helper()
		for part := range slices.Chunk(list, 400) {
			if err := x.Send(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(one, all)
	send(one, all[len(all)/2:]) // once more, as after a crash
	send(one, all[len(all)/3:])
	t.Run("one log", func(t *testing.T) { Compare(t, one, all) })
	list, err := one.Holdings(t.Context())
	if err != nil || len(list) != 1 || list[0].Entries != uint64(len(all)) || list[0].Missing() != 0 || list[0].Last != all[len(all)-1].Index || !list[0].Newest.Equal(all[len(all)-1].Time) {
		t.Errorf("the table has %+v, %v", list, err)
	}
	if at, err := one.Oldest(t.Context()); err != nil || !at.Equal(all[0].Time) {
		t.Errorf("the oldest entry is of %v, %v", at, err)
	}
	e, err := one.Entry(t.Context(), Origin, 17)
	if err != nil || string(e.Payload) != string(all[17].Payload) {
		t.Errorf("entry 17 came back as %v, %v", e, err)
	}
	if _, err := one.Entry(t.Context(), "another.example.com/log", 17); err != table.ErrNoEntry {
		t.Errorf("an entry of a log that is not there: %v", err)
	}
	if _, err := one.Search(t.Context(), query.Request{Where: query.Anywhere{Text: "a\x1fb"}}); err == nil {
		t.Error("a text that could reach over two others was looked for")
	}
	const second = "gw-2.example.com/log"
	other := open(second)
	send(other, all[:len(all)/2])
	t.Run("two logs", func(t *testing.T) { twoLogs(t, one, all, second) })
	list, err = other.Holdings(t.Context())
	if err != nil || len(list) != 2 || list[1].Origin != second || list[1].Entries != uint64(len(all)/2) {
		t.Errorf("the table has %+v, %v", list, err)
	}
}

// twoLogs pages through both: by time, then origin, then index.
func twoLogs(t *testing.T, x query.Engine, all []*accesslog.Entry, second string) {
	type place struct {
		origin string
		index  uint64
	}
	var want []place
	half := len(all) / 2
	for i := len(all) - 1; i >= 0; {
		from := i
		for from > 0 && all[from-1].Time.Equal(all[i].Time) {
			from--
		}
		for _, origin := range []string{Origin, second} {
			for j := i; j >= from; j-- {
				if origin == Origin || j < half {
					want = append(want, place{origin, all[j].Index})
				}
			}
		}
		i = from - 1
	}
	var got []place
	r := query.Request{Now: Now, Limit: 130}
	for {
		rows, err := x.Search(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			got = append(got, place{row.Origin, row.Index})
		}
		if len(rows) < r.Limit || len(got) > len(want) {
			break
		}
		last := rows[len(rows)-1]
		r.Before, r.BeforeOrigin = last.Index, last.Origin
		if last.Index == 0 {
			t.Fatal("a page ended at entry 0: choose another limit")
		}
	}
	if !slices.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%d rows, want %d; they differ at %d: %s", len(got), len(want), at, fmt.Sprint(got[at:min(at+3, len(got))], want[at:min(at+3, len(want))]))
	}
}
