package sample

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSystem_Answers(t *testing.T) {
	for _, c := range []struct {
		path, accept string
		status       int
		kind         string
	}{
		{"/", "text/html", 200, "text/html"},
		{"/claims/7", "*/*", 200, "application/json"},
		{"/missing/7", "*/*", 404, "application/json"},
		{"/download?bytes=-1", "*/*", 400, "text/plain"},
		{"/style.css", "*/*", 200, "text/css"},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Header.Set("Accept", c.accept)
		r.Header.Set("X-Ringfence-Email", "<kim>@example.com")
		w := httptest.NewRecorder()
		Systems[0].Handler().ServeHTTP(w, r)
		if w.Code != c.status || !strings.HasPrefix(w.Header().Get("Content-Type"), c.kind) {
			t.Errorf("%s: %d %s, want %d %s", c.path, w.Code, w.Header().Get("Content-Type"), c.status, c.kind)
		}
		if c.kind == "application/json" {
			var e Echo
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			if e.Identity["x-ringfence-email"] != "<kim>@example.com" || e.Path != c.path {
				t.Errorf("%s: echo %+v", c.path, e)
			}
		}
		if strings.Contains(w.Body.String(), "<kim>") && c.kind == "text/html" {
			t.Error("page holds a header's value unescaped")
		}
	}
}

func TestSystem_DownloadSendsWhatWasAskedFor(t *testing.T) {
	w := httptest.NewRecorder()
	Systems[0].Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/download?bytes=100000", nil))
	if w.Body.Len() != 100000 {
		t.Errorf("got %d bytes", w.Body.Len())
	}
}
