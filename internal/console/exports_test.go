package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/policy"
)

// exported asks for an export and returns the page that fetches it.
func exported(t *testing.T, o *office, as, text, format string) string {
	t.Helper()
	w := o.post(as, exportsPath, url.Values{"q": {text}, "format": {format}})
	page := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(page, exportsPath+"/") {
		t.Fatalf("status %d to %q:\n%s", w.Code, page, w.Body)
	}
	return page
}

// fetched fetches a file; aborted is whether it was cut off.
func fetched(o *office, as, page string) (w *httptest.ResponseRecorder, aborted bool) {
	defer func() {
		if fault := recover(); fault != nil {
			if fault != http.ErrAbortHandler {
				panic(fault)
			}
			aborted = true
		}
	}()
	w = httptest.NewRecorder()
	w = o.do(as, "POST", page+"/file", "", "Sec-Fetch-Site", "same-origin")
	return w, false
}

// TestExport_ExactlyWhatIsFiltered: each format holds each entry that matches,
// once and in order, and the log says so before and after.
func TestExport_ExactlyWhatIsFiltered(t *testing.T) {
	const text = "effect:deny,challenge cluster:claims since:20h"
	for _, format := range []string{"json", "csv", "parquet"} {
		o := newOffice(t, plainText)
		filter := query.Compile(mustParse(t, text), o.now)
		var want []uint64
		for i := range o.entries.entries {
			if filter.Match(&o.entries.entries[i]) {
				want = append(want, o.entries.entries[i].Index)
			}
		}
		if len(want) < 10 {
			t.Fatalf("only %d entries match", len(want))
		}
		shows(t, o.get("rae", exportsPath+"/new?q="+url.QueryEscape(text)), http.StatusOK, strconv.Itoa(len(want))+" entries match now", "Parquet")
		page := exported(t, o, "rae", text, format)
		shows(t, o.get("rae", page), http.StatusOK, "Fetch the file")
		if o.entries.last("log.export") != nil {
			t.Fatal("it is recorded before it is fetched")
		}
		w, aborted := fetched(o, "rae", page)
		if aborted || w.Code != http.StatusOK {
			t.Fatalf("%s: aborted %v, status %d", format, aborted, w.Code)
		}
		if got := indexesOf(t, format, w.Body.Bytes()); !equal(got, want) {
			t.Errorf("%s has the entries %v, want %v", format, got, want)
		}
		if d := w.Header().Get("Content-Disposition"); !strings.HasPrefix(d, "attachment; filename=\"access-log-") {
			t.Errorf("%s: %s", format, d)
		}
		begun, ended := o.entries.last("log.export"), o.entries.last("log.exported")
		if begun == nil || begun.Detail["format"] != format || !strings.HasPrefix(begun.Detail["query"], "effect:deny,challenge cluster:claims since:2026-03-11T13:30:00Z index:") || begun.Actor != "rae" {
			t.Errorf("%s began as %+v", format, begun)
		}
		sum := sha256.Sum256(w.Body.Bytes())
		if ended == nil || ended.Result != "ok" || ended.Detail["entries"] != strconv.Itoa(len(want)) || ended.Detail["sha256"] != hex.EncodeToString(sum[:]) || ended.Object != begun.Object {
			t.Errorf("%s ended as %+v", format, ended)
		}
		shows(t, o.get("rae", page), http.StatusOK, "The file is whole.", hex.EncodeToString(sum[:]))
		if w, _ := fetched(o, "rae", page); w.Code != http.StatusConflict {
			t.Errorf("a second time: status %d", w.Code)
		}
	}
}

func equal(a, b []uint64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func indexesOf(t *testing.T, format string, body []byte) (out []uint64) {
	t.Helper()
	switch format {
	case "json":
		for line := range bytes.Lines(body) {
			var e struct{ Index uint64 }
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatal(err)
			}
			out = append(out, e.Index)
		}
	case "csv":
		rows, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows[1:] {
			n, err := strconv.ParseUint(r[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, n)
		}
	case "parquet":
		rows, err := parquet.Read[struct {
			Index int64 `parquet:"index"`
		}](bytes.NewReader(body), int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			out = append(out, uint64(r.Index))
		}
	}
	return out
}

// A gatedLog stops at an entry until it is let go.
type gatedLog struct {
	*officeLog
	at   uint64
	came chan struct{}
	open chan struct{}
	err  error
}

func (g *gatedLog) Query(ctx context.Context, f accesslog.Filter, yield func(*accesslog.Entry) bool) error {
	err := g.officeLog.Query(ctx, f, func(e *accesslog.Entry) bool {
		if f.Ascending && f.Limit == 0 && e.Index == g.at {
			g.came <- struct{}{}
			<-g.open
		}
		return yield(e)
	})
	if f.Ascending && f.Limit == 0 && g.err != nil {
		return g.err
	}
	return err
}

// TestExport_EndsBeforeItsEnd: one that is stopped, one whose account loses the
// session, and one whose log breaks are cut off, told and recorded as such.
func TestExport_EndsBeforeItsEnd(t *testing.T) {
	for _, c := range []struct {
		result, says string
		do           func(o *office, page string, g *gatedLog)
	}{
		{"stopped", "You stopped this export.", func(o *office, page string, g *gatedLog) {
			shows(t, o.get("rae", page), http.StatusOK, "Under way", "30 entries so far")
			leadsTo(t, o.post("rae", page+"/stop", nil), page)
		}},
		{"broken", "broke off", func(o *office, _ string, g *gatedLog) { g.err = errors.New("damage") }},
	} {
		o := newOffice(t, plainText)
		g := &gatedLog{officeLog: o.entries, at: 30, came: make(chan struct{}), open: make(chan struct{})}
		o.Console.Log = g
		page := exported(t, o, "rae", "", "json")
		done := make(chan bool)
		go func() {
			_, aborted := fetched(o, "rae", page)
			done <- aborted
		}()
		<-g.came
		c.do(o, page, g)
		close(g.open)
		if !<-done {
			t.Errorf("%s: what is not whole was not cut off", c.result)
		}
		if r := o.entries.last("log.exported"); r == nil || r.Result != c.result {
			t.Errorf("%s: recorded %+v", c.result, r)
		}
		shows(t, o.get("rae", page), http.StatusOK, c.says, "Export again")
	}
}

// TestExport_EndsWithTheRightToRead: asked once a second, a session that has
// ended or a reviewer who sees less now ends the stream.
func TestExport_EndsWithTheRightToRead(t *testing.T) {
	o := newOffice(t, plainText)
	r := httptest.NewRequest("POST", officeGate+exportsPath+"/1/file", nil)
	r.AddCookie(&http.Cookie{Name: auth.SessionCookie, Value: o.cookies["rae"]})
	s, err := o.Auth.Current(r, "gate.test")
	if s == nil || err != nil {
		cookies := o.do("rae", "GET", exportsPath+"/new", "").Result().Cookies()
		t.Fatalf("nobody: %v (%v)", err, cookies)
	}
	v := &visit{Session: s, Snapshot: o.Directory.Snapshot(), Now: o.now, c: o.Console, r: r, rt: route{need: mayReview}}
	if !o.stillReads(r, v, "") {
		t.Fatal("a reviewer in force may not read")
	}
	if o.stillReads(r, v, "cluster:claims") {
		t.Error("what may be read changed, and the stream goes on")
	}
	v.rt.need = mayManage
	if o.stillReads(r, v, "") {
		t.Error("the role is not asked for")
	}
	v.rt.need = mayReview
	list, err := o.Auth.SessionsOf(t.Context(), "rae")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if err := o.Auth.EndSession(t.Context(), v.AuthActor(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	if o.stillReads(r, v, "") {
		t.Error("the session ended, and the stream goes on")
	}
}

// TestExport_RecordedOrNotAtAll: nothing leaves before its entry, and what has
// no entry at its end does not end well.
func TestExport_RecordedOrNotAtAll(t *testing.T) {
	o := newOffice(t, plainText)
	page := exported(t, o, "rae", "", "json")
	o.entries.fail = errors.New("the disk is full")
	w, aborted := fetched(o, "rae", page)
	if aborted || w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "req0001") {
		t.Errorf("aborted %v, status %d", aborted, w.Code)
	}
	o.entries.fail = nil
	page = exported(t, o, "rae", "", "json")
	g := &gatedLog{officeLog: o.entries, at: 5, came: make(chan struct{}), open: make(chan struct{})}
	o.Console.Log = g
	done := make(chan bool)
	go func() {
		_, aborted := fetched(o, "rae", page)
		done <- aborted
	}()
	<-g.came
	o.entries.fail = errors.New("the disk is full")
	close(g.open)
	if !<-done {
		t.Error("an export without an entry at its end looked whole")
	}
}

// TestExport_IsItsAccountsAlone and waits for so long.
func TestExport_IsItsAccountsAlone(t *testing.T) {
	o := newOffice(t, plainText)
	page := exported(t, o, "rae", "", "json")
	for _, target := range []string{"", "/file", "/stop"} {
		method := "POST"
		if target == "" {
			method = "GET"
		}
		if w := o.do("ada", method, page+target, "", "Sec-Fetch-Site", "same-origin"); w.Code != http.StatusNotFound {
			t.Errorf("%s by somebody else: status %d", target, w.Code)
		}
	}
	o.now = o.now.Add(exportWaits + time.Second)
	if w := o.get("rae", page); w.Code != http.StatusNotFound {
		t.Errorf("after its time: status %d", w.Code)
	}
	for range exportsOfMe {
		exported(t, o, "rae", "", "json")
	}
	if w := o.post("rae", exportsPath, url.Values{"format": {"json"}}); w.Code != http.StatusTooManyRequests {
		t.Errorf("one more than may wait: status %d", w.Code)
	}
}

// TestExport_RunsAtATime: as many as may run do; further ones wait.
func TestExport_RunsAtATime(t *testing.T) {
	var k exportJobs
	now := time.Now()
	for i := range exportsRun + 1 {
		j := &exportJob{ID: strconv.Itoa(i), Account: "rae", state: exportReady, Asked: now}
		if !k.add(j, now) {
			t.Fatal("not added")
		}
		if err := k.begin(j, now, func(error) {}); (err != nil) != (i == exportsRun) {
			t.Errorf("number %d: %v", i, err)
		}
	}
	for i := range 2 * maxExports {
		j := &exportJob{ID: strconv.Itoa(i), Account: "other" + strconv.Itoa(i), state: exportReady, Asked: now}
		k.add(j, now)
	}
	if len(k.all) > maxExports {
		t.Errorf("%d are kept", len(k.all))
	}
	if k.all[0].stateNow() != exportRunning {
		t.Error("one that runs was forgotten")
	}
}

// TestHinted_LosesNothing: the filter that skips entries lets through at least
// what the query selects.
func TestHinted_LosesNothing(t *testing.T) {
	o := newOffice(t, plainText)
	o.entries.add(policy.Record{Type: policy.RecordLog, Time: o.now, Action: "log.query"}, nil)
	for _, text := range []string{"", "type:log", "type:request cluster:claims", "not effect:deny", "effect:deny or type:log", `vendor:""`, "vendor:ac*", "effect:allow,deny", "request_id:req0007 session:ses_kim", `cluster:"" type:log`} {
		n := mustParse(t, text)
		f, hint := query.Compile(n, o.now), hinted(n)
		for i := range o.entries.entries {
			if e := &o.entries.entries[i]; f.Match(e) && !hint.Match(e) {
				t.Errorf("%q: entry %d is lost", text, e.Index)
			}
		}
	}
}
