package clickhouse

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/enginetest"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/delivery"
	"github.com/ringfence/ringfence/internal/delivery/deliverytest"
)

const user, password = deliverytest.User, deliverytest.Password

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestTable runs the corpus that holds for every engine on ClickHouse's own.
func TestTable(t *testing.T) {
	if testing.Short() {
		t.Skip("does one thing after the other")
	}
	address := deliverytest.ClickHouse(t)
	all := enginetest.Log(t, filepath.Join(t.TempDir(), "log"), 1200)
	c := Config{URL: address, Authorization: basic(user, password), Database: "logs", Origin: enginetest.Origin, Now: func() time.Time { return enginetest.Now }}
	enginetest.Tables(t, all, func(origin string) enginetest.Shared {
		c := c
		c.Origin = origin
		x, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		return x
	})
	// A table from before there was a column gets it, and what was there stays.
	old, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	before, err := old.Count(t.Context(), query.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := old.client.statement(t.Context(), url.Values{}, `ALTER TABLE "logs"."ringfence" DROP COLUMN mode`, nil); err != nil {
		t.Fatal(err)
	} else {
		body.Close()
	}
	c.Origin = "wider.example.com/log"
	wider, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := wider.Send(t.Context(), all[:10]); err != nil {
		t.Fatalf("into a table from an older version: %v", err)
	}
	if n, err := old.Count(t.Context(), query.Request{}); err != nil || n != before+10 {
		t.Errorf("%d entries, %v; want %d", n, err, before+10)
	}
	enginetest.Upkeep(t, func(origin string) enginetest.Kept {
		c := c
		c.Origin, c.Table = origin, "upkeep"
		x, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		return x
	})
	c.Authorization = basic(user, "wrong")
	x, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Search(t.Context(), query.Request{}); err == nil {
		t.Error("a wrong password found entries")
	}
	if err := x.Send(t.Context(), all[:1]); err == nil {
		t.Error("a wrong password delivered entries")
	}
	c.Authorization, c.Database = basic(user, password), "nowhere"
	if x, err = Open(c); err != nil {
		t.Fatal(err)
	}
	err = x.Send(t.Context(), all[:1])
	if _, refused := errors.AsType[*delivery.RefusedError](err); err == nil || refused {
		t.Errorf("a database that is not there: %v", err)
	}
	if _, err := x.Count(t.Context(), query.Request{}); err == nil {
		t.Error("a table that is not there was counted")
	}
}

// An answer that was cut short is no result.
func TestSearch_CutShort(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"inside a row":    func(w http.ResponseWriter) { w.Write([]byte("[\"a\",1,2]\n[\"a\",")) },
		"by an exception": func(w http.ResponseWriter) { w.Write([]byte("[\"a\",1,2]\nCode: 241. DB::Exception: memory\n")) },
		"by its header":   func(w http.ResponseWriter) { w.Header().Set("X-ClickHouse-Exception-Code", "241") },
		"by the connection": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("[\"a\",1,2]\n"))
		},
		"by a redirect": func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(302) },
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
		x, err := Open(Config{URL: srv.URL, Origin: "o"})
		if err != nil {
			t.Fatal(err)
		}
		if rows, err := x.Search(t.Context(), query.Request{}); err == nil {
			t.Errorf("%s: %d rows", name, len(rows))
		}
		srv.Close()
	}
}

// What is asked for stands in no URL: servers and proxies keep those.
func TestSearch_NothingInURLs(t *testing.T) {
	var urls []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { urls = append(urls, r.URL.String()) }))
	defer srv.Close()
	x, err := Open(Config{URL: srv.URL, Authorization: basic("u", "canary-password"), Origin: "o"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := query.Parse("account:canary")
	if err != nil {
		t.Fatal(err)
	}
	x.Search(t.Context(), query.Request{Where: n, Before: 9})
	if len(urls) != 2 || strings.Contains(strings.Join(urls, " "), "canary") {
		t.Errorf("%q", urls)
	}
}

// A search ends with whoever asked for it.
func TestSearch_Cancelled(t *testing.T) {
	begun := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // until then the server does not notice that the client is gone
		close(begun)
		<-r.Context().Done()
	}))
	defer srv.Close()
	x, err := Open(Config{URL: srv.URL, Origin: "o"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := x.Count(ctx, query.Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestOpen_Refuses(t *testing.T) {
	for _, c := range []Config{
		{URL: "https://host"}, {URL: "host:8443", Origin: "o"}, {URL: "https://u:p@host", Origin: "o"}, {URL: "ftp://host", Origin: "o"},
		{URL: "https://host", Origin: "o", Table: `a"; DROP TABLE b`}, {URL: "https://host", Origin: "o", Database: "a.b"},
	} {
		if _, err := Open(c); err == nil {
			t.Errorf("%+v: opened", c)
		}
	}
}
