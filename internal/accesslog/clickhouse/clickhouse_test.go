package clickhouse

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/enginetest"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/delivery"
)

// lacking skips the test, or fails it where everything must be there.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("RINGFENCE_TEST_REQUIRE") == "all" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// installed returns a folder with ClickHouse's engine. It is large, so it is
// installed once for all runs.
func installed(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		lacking(t, "npm is not installed: apt-get install npm")
	}
	lock, err := os.ReadFile(filepath.Join("testdata", "engine", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(lock)
	final := filepath.Join(cache, "ringfence-test", "clickhouse-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(filepath.Join(final, "node_modules")); err == nil {
		return final
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(final), "new-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", "engine", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install := exec.Command(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		lacking(t, "ClickHouse's engine cannot be installed (npm install in testdata/engine): %v\n%s", err, out)
	}
	if err := os.Rename(dir, final); err != nil {
		t.Fatal(err)
	}
	return final
}

const user, password = "ringfence", "five quiet harbours"

// server starts ClickHouse's engine behind its HTTP interface.
func server(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		lacking(t, "node is not installed: apt-get install nodejs")
	}
	dir := installed(t)
	script, err := os.ReadFile(filepath.Join("testdata", "engine", "server.mjs"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "server.mjs"), script, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, filepath.Join(dir, "server.mjs"), t.TempDir(), user, password)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestTable runs the corpus that holds for every engine on ClickHouse's own.
func TestTable(t *testing.T) {
	if testing.Short() {
		t.Skip("does one thing after the other")
	}
	address := server(t)
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
