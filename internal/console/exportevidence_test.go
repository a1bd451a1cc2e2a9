package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
	bundle "github.com/ringfence/ringfence/internal/evidence"
)

// memoryEvidence writes what it was asked for.
type memoryEvidence struct {
	o     *office
	asked []bundle.Question
}

func (m *memoryEvidence) Bundle(ctx context.Context, out io.Writer, q bundle.Question, progress func(int)) (*bundle.Manifest, error) {
	m.asked = append(m.asked, q)
	n := 0
	var file strings.Builder
	err := m.o.entries.Query(ctx, accesslog.Filter{Ascending: true}, func(e *accesslog.Entry) bool {
		if q.Match(e) {
			n++
			progress(n)
			fmt.Fprintf(&file, "%d\n", e.Index)
		}
		return n <= 30
	})
	if n == 0 {
		err = bundle.ErrNothing
	}
	if n > 30 {
		err = bundle.ErrTooMany
	}
	if err == nil {
		_, err = io.WriteString(out, file.String())
	}
	return &bundle.Manifest{Query: q.Query, Entries: n}, err
}

// TestExport_Evidence: a bundle is an export like any other: recorded before
// and after, of what its account may see, and never an empty file.
func TestExport_Evidence(t *testing.T) {
	o := newOffice(t, plainText)
	m := &memoryEvidence{o: o}
	o.Console.Evidence = m
	if w := o.get("rae", exportsPath+"/new?q=effect:deny"); !strings.Contains(w.Body.String(), "Bundle of evidence") {
		t.Errorf("it is not offered:\n%s", w.Body)
	}
	w, aborted := fetched(o, "rae", exported(t, o, "rae", "effect:deny cluster:claims since:20h", "evidence"))
	if aborted || w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/zip" || !strings.Contains(w.Header().Get("Content-Disposition"), "-evidence.zip") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	q := m.asked[0]
	if !strings.Contains(q.Query, "cluster:claims") || !strings.Contains(q.Query, "since:20") || strings.Contains(q.Query, "since:20h") || q.MadeFor == "" {
		t.Errorf("asked %q for %q", q.Query, q.MadeFor)
	}
	before, after := o.entries.last("log.export"), o.entries.last("log.exported")
	if before == nil || after == nil || before.Detail["format"] != "evidence" || after.Detail["sha256"] == "" || after.Detail["entries"] == "0" || after.Result != "ok" {
		t.Errorf("recorded %v, %v", before, after)
	}
	for text, want := range map[string]int{"account:nobody": http.StatusNotFound, "": http.StatusBadRequest} {
		w, aborted := fetched(o, "rae", exported(t, o, "rae", text, "evidence"))
		if aborted || w.Code != want || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%q: %d, aborted %v, %v", text, w.Code, aborted, w.Header())
		}
	}
	if noBundle(w, errors.New("the disk")) != nil {
		t.Error("any fault is taken for nothing to prove")
	}
}

// brokenEvidence fails as no writer should.
type brokenEvidence struct{}

func (brokenEvidence) Bundle(context.Context, io.Writer, bundle.Question, func(int)) (*bundle.Manifest, error) {
	panic("out of hand")
}

// TestExport_OutOfHand: an export that ends in no way that was thought of is
// over all the same, so that others can be fetched.
func TestExport_OutOfHand(t *testing.T) {
	o := newOffice(t, plainText)
	o.Console.Evidence = brokenEvidence{}
	for range exportsRun {
		page := exported(t, o, "rae", "effect:deny", "evidence")
		func() {
			defer func() { _ = recover() }()
			fetched(o, "rae", page)
		}()
		shows(t, o.get("rae", page), http.StatusOK, "broke off")
	}
	if w, aborted := fetched(o, "ada", exported(t, o, "ada", "effect:deny", "json")); aborted || w.Code != http.StatusOK {
		t.Errorf("the next one: status %d", w.Code)
	}
}
