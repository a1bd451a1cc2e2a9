package export

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// entry is one with every kind of field, and texts as attackers send them.
func entry(i int) *accesslog.Entry {
	e := &accesslog.Entry{Index: uint64(i), Node: "gw1", Payload: fmt.Appendf(nil, `{"index":%d}`, i), Record: policy.Record{
		Type: policy.RecordRequest, Time: time.Date(2026, 3, 12, 9, 30, i, 7, time.UTC), RequestID: fmt.Sprint("req", i), Account: "kim", Email: "kim@example.com",
		Factors: map[string]int64{"totp": 600, "password": 0}, CodeAge: policy.Int64(0), Method: "GET", Path: "=cmd|' /C calc'!A0", Reasons: []string{"a", "b"},
		Obligations: &policy.Obligations{MaxResponseBytes: 9}, Input: &policy.RecordedInput{Version: 3}, Detail: map[string]string{"+1": "@SUM(A1)"}, BytesOut: policy.Int64(0),
	}}
	if i%2 == 1 {
		e.Status, e.Clock = 403, e.Time.Add(-time.Hour)
	}
	return e
}

// TestParquet_GivesBackWhatWasWritten over more than one group, absent fields
// being null and zero counts being zero.
func TestParquet_GivesBackWhatWasWritten(t *testing.T) {
	const n = groupRows + 300
	var buf bytes.Buffer
	w, err := New(Parquet, &buf)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Write(entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.RowGroups()) != 2 {
		t.Errorf("%d groups: what is held in memory is not bounded", len(f.RowGroups()))
	}
	rows, err := parquet.Read[row](bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil || len(rows) != n {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, got := range rows {
		want, err := rowOf(entry(i))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []*row{&got, &want} { // an empty list and none are the same
			r.QueryNames, r.Agreements = slices.Clip(append([]string{}, r.QueryNames...)), slices.Clip(append([]string{}, r.Agreements...))
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("row %d is\n%+v, want\n%+v", i, got, want)
		}
	}
	if rows[0].Status != nil || *rows[1].Status != 403 || rows[0].Clock != nil || *rows[0].BytesOut != 0 || rows[0].BytesIn != nil {
		t.Errorf("%+v", rows[0])
	}
}

// TestParquet_HasEveryField: a field that is added to the record and forgotten
// here would be missing from exports.
func TestParquet_HasEveryField(t *testing.T) {
	var names []string
	typ := reflect.TypeFor[row]()
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("parquet"), ",")
		names = append(names, name)
	}
	record := reflect.TypeFor[policy.Record]()
	for i := range record.NumField() {
		key, _, _ := strings.Cut(record.Field(i).Tag.Get("json"), ",")
		if key != "-" && !slices.Contains(names, key) {
			t.Errorf("no column for %s", key)
		}
	}
}

// TestNew_Formats: each writes whole files, also without entries.
func TestNew_Formats(t *testing.T) {
	for _, f := range Formats() {
		for _, n := range []int{0, 3} {
			var buf bytes.Buffer
			w, err := New(f, &buf)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if err := w.Write(entry(i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got := 0
			switch f {
			case JSON:
				got = strings.Count(buf.String(), "\n")
			case CSV:
				rows, err := csv.NewReader(&buf).ReadAll()
				if err != nil {
					t.Fatal(err)
				}
				got = len(rows) - 1
				for _, row := range rows {
					if slices.ContainsFunc(row, func(c string) bool {
						return strings.HasPrefix(c, "=") || strings.HasPrefix(c, "@") || strings.HasPrefix(c, "+")
					}) {
						t.Errorf("a formula: %q", row)
					}
				}
			case Parquet:
				rows, err := parquet.Read[row](bytes.NewReader(buf.Bytes()), int64(buf.Len()))
				if err != nil {
					t.Fatal(err)
				}
				got = len(rows)
			}
			if got != n {
				t.Errorf("%s of %d entries has %d", f, n, got)
			}
		}
	}
	if _, err := New("xlsx", io.Discard); err == nil {
		t.Error("there is a format xlsx")
	}
}

// full is a disk that is full, or a client that is gone.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestNew_FailedWriteIsTold(t *testing.T) {
	for _, f := range Formats() {
		w, err := New(f, full{})
		if err != nil {
			t.Fatal(err)
		}
		err = w.Write(entry(1))
		if err = errors.Join(err, w.Close()); err == nil {
			t.Errorf("%s: a write that failed went unnoticed", f)
		}
	}
}
