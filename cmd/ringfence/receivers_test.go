package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringfence/ringfence/internal/delivery/deliverytest"
)

// A standing one is a gateway as serve runs it, with the people of a demo.
type standing struct {
	*process
	file       string // its configuration
	operations string
}

// serveDemo runs a demo for a moment and keeps what it made. more is added to the
// configuration under access_log.
func serveDemo(t *testing.T, more func(origin string) string) *standing {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, "--data", data)
	u, err := url.Parse(p.ready.Gate)
	if err != nil {
		t.Fatal(err)
	}
	kim := p.signIn(t, "kim@northwind.example", 0)
	for _, path := range []string{"/claims/CL-20418", "/claims/none"} {
		kim.get(p.cluster(t, "claims") + path)
	}
	kim.get(p.cluster(t, "billing") + "/invoices")
	p.stop(t)
	d := &standing{process: p, file: filepath.Join(t.TempDir(), "ringfence.yaml"), operations: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	d.configure(t, more(u.Hostname()+"/node-1"))
	return d
}

// configure writes the configuration anew.
func (d *standing) configure(t *testing.T, more string) {
	t.Helper()
	u, err := url.Parse(d.ready.Gate)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("gate: %s\nlisten: 127.0.0.1:%s\nhttp_listen: \"\"\noperations: %s\ndata: %s\ntls: {mode: local}\nupstreams: {allow_networks: [127.0.0.0/8]}\nidentity_providers: {allow_networks: [127.0.0.0/8]}\nalarms: {allow_networks: [127.0.0.0/8]}\naccess_log:\n  segment_size: 4MiB\n%s",
		d.ready.Gate, u.Port(), d.operations, d.ready.Data, more)
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve starts it and waits until it is ready.
func (d *standing) serve(t *testing.T) {
	t.Helper()
	p := &process{cmd: program("serve", "--config", d.file), ready: d.ready, output: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	d.process = p
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("output of ringfence:\n%s", p.output)
		}
	})
	eventually(t, 60*time.Second, "the gateway serves", func() bool {
		select {
		case <-p.done:
			t.Fatalf("ringfence ended early:\n%s", p.output)
		default:
		}
		return strings.Contains(d.readyz(), `"ready"`)
	})
}

func (d *standing) readyz() string {
	res, err := http.Get("http://" + d.operations + "/readyz")
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// size is how many entries the log has.
func (d *standing) size() int {
	var body struct {
		Entries int `json:"log_entries"`
	}
	_ = json.Unmarshal([]byte(d.readyz()), &body)
	return body.Entries
}

// whole reports whether the first n indexes are among got, which is sorted.
func whole(got []uint64, n int) bool {
	got = slices.Compact(slices.Sorted(slices.Values(got)))
	return n > 0 && len(got) >= n && got[n-1] == uint64(n-1)
}

func secret(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestDelivery_EverySystem: the program delivers every entry to one system of
// each kind, to real ones where there are some; what it delivered to the two
// engines is searched in the console, and is gone from both once the account is erased.
func TestDelivery_EverySystem(t *testing.T) {
	t.Parallel()
	slow(t)
	dir := t.TempDir()
	database, warehouse := deliverytest.Postgres(t), deliverytest.ClickHouse(t)
	kinds := map[string]*deliverytest.Receiver{}
	var siem *deliverytest.Rsyslog
	var deliver string
	d := serveDemo(t, func(origin string) string {
		fakes := map[string]string{}
		for _, kind := range []string{"elastic", "splunk", "loki", "victorialogs", "otlp"} {
			r := &deliverytest.Receiver{T: t, Origin: origin, Index: map[string]string{"elastic": "logs-ringfence", "splunk": "audit"}[kind], Tenant: "audit"}
			handler := map[string]func() http.Handler{"elastic": r.Elastic, "splunk": r.Splunk, "loki": r.Loki, "victorialogs": r.Victoria, "otlp": r.OTLP}[kind]()
			kinds[kind], fakes[kind] = r, startReceiver(t, dir, kind, handler)
		}
		kinds["elastic"].Secret("ApiKey key-of-elastic")
		kinds["splunk"].Secret("Splunk token-of-splunk")
		kinds["loki"].Secret("Basic cmluZ2ZlbmNlOnBhc3N3b3JkLW9mLWxva2k=")
		siem = deliverytest.NewRsyslog(t, origin)
		password, own := secret(t, dir, "database", deliverytest.Password), secret(t, dir, "database-of-postgres", deliverytest.Password)
		deliver = fmt.Sprintf(`  deliver:
  - {name: elastic, to: elastic, url: %q, ca_file: %s/elastic.pem, index: logs-ringfence, token_file: %s}
  - {name: splunk, to: splunk, url: %q, ca_file: %s/splunk.pem, index: audit, token_file: %s}
  - {name: loki, to: loki, url: %q, ca_file: %s/loki.pem, tenant: audit, username: ringfence, password_file: %s}
  - {name: victoria, to: victorialogs, url: %q, ca_file: %s/victorialogs.pem}
  - {name: otlp, to: otlp, url: %q, ca_file: %s/otlp.pem}
  - {name: siem, to: syslog, url: 'tls://localhost:%d', ca_file: %s}
  - {name: database, to: postgres, url: %q, username: ringfence, password_file: %s}
  - {name: warehouse, to: clickhouse, url: %q, database: logs, username: ringfence, password_file: %s}
`, fakes["elastic"], dir, secret(t, dir, "elastic", "key-of-elastic"), fakes["splunk"], dir, secret(t, dir, "splunk", "token-of-splunk"),
			fakes["loki"], dir, secret(t, dir, "loki", "password-of-loki"), fakes["victorialogs"], dir, fakes["otlp"]+"/v1/logs", dir, siem.Port, siem.CAFile, database, own, warehouse, password)
		return deliver + fmt.Sprintf("  search: {engine: postgres, url: %q, username: ringfence, password_file: %s}\n", database, own)
	})
	d.serve(t)
	n := d.size()
	for kind, r := range kinds {
		eventually(t, 60*time.Second, "every entry is with "+kind, func() bool { return whole(r.Indexes(), n) })
	}
	eventually(t, 60*time.Second, "every entry is with rsyslog", func() bool { return whole(siem.Indexes(), n) })

	rae := d.signIn(t, "cleo@harbour.example", 0)
	searchEverywhere(t, d, rae)
	changeSecrets(t, d, rae, kinds["splunk"], dir, database)
	d.stop(t)
	d.configure(t, deliver+fmt.Sprintf("  search: {engine: clickhouse, url: %q, database: logs, username: ringfence, password_file: %s}\n", warehouse, filepath.Join(dir, "database")))
	d.serve(t)
	rae = d.signIn(t, "cleo@harbour.example", 1)
	searchEverywhere(t, d, rae)

	ringfence(t, "account", "erase", "kim@northwind.example", "--reason", "asked for", "--config", d.file)
	eventually(t, 60*time.Second, "both tables forgot the account", func() bool {
		return !strings.Contains(ringfence(t, "delivery", "status", "--json", "--config", d.file), `"forgetting"`)
	})
	if pg := rae.get(d.ready.Gate + "/console/log/fleet?q=" + url.QueryEscape("kim@northwind.example not type:log")); pg.status != 200 || !strings.Contains(pg.body, "Nothing found") {
		t.Errorf("ClickHouse after the erasure: %d\n%s", pg.status, pg.body)
	}
	if strings.Contains(d.output.String(), "of-splunk") || strings.Contains(d.output.String(), deliverytest.Password) {
		t.Error("the operational log holds a secret")
	}
}

// TestDelivery_Collector: OpenTelemetry's own collector gets every entry of the program.
func TestDelivery_Collector(t *testing.T) {
	t.Parallel()
	slow(t)
	at, ca, indexes := deliverytest.Collector(t)
	d := serveDemo(t, func(string) string {
		return fmt.Sprintf("  deliver:\n  - {name: collector, to: otlp, url: %q, ca_file: %s, format: ocsf}\n", at, ca)
	})
	d.serve(t)
	n := d.size()
	eventually(t, 60*time.Second, "every entry is with the collector", func() bool { return whole(indexes(), n) })
}

// changeSecrets gives Splunk another token and the database another password,
// which deliveries and the search take over while they run.
func changeSecrets(t *testing.T, d *standing, rae *browser, splunk *deliverytest.Receiver, dir, database string) {
	t.Helper()
	conf, err := pgx.ParseConfig(database + "?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	conf.User, conf.Password = deliverytest.User, deliverytest.Password
	db, err := pgx.ConnectConfig(t.Context(), conf)
	if err == nil {
		_, err = db.Exec(t.Context(), "ALTER ROLE "+deliverytest.User+" PASSWORD 'another harbour'")
	}
	if err == nil { // connections that are open would go on
		_, err = db.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = '"+deliverytest.User+"'")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	splunk.Secret("Splunk next-of-splunk")
	fleet := d.ready.Gate + "/console/log/fleet?q=" + url.QueryEscape("type:log")
	eventually(t, 30*time.Second, "the old password is refused", func() bool { return rae.get(fleet).status == http.StatusServiceUnavailable })
	secret(t, dir, "splunk", "next-of-splunk")
	secret(t, dir, "database-of-postgres", "another harbour")
	eventually(t, 30*time.Second, "the search goes on", func() bool { return rae.get(fleet).status == http.StatusOK })
	n := d.size()
	eventually(t, 60*time.Second, "Splunk gets what comes later", func() bool { return whole(splunk.Indexes(), n) })
	eventually(t, 60*time.Second, "and so does the database", func() bool {
		out := ringfence(t, "delivery", "status", "--json", "--config", d.file)
		for line := range strings.Lines(out) {
			var s deliveryState
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Fatal(err)
			}
			if s.Name == "database" {
				return s.Next >= uint64(n)
			}
		}
		return false
	})
}

// startReceiver serves a handler over TLS and keeps its certificate as KIND.pem.
func startReceiver(t *testing.T, dir, kind string, h http.Handler) string {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	secret(t, dir, kind+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	return srv.URL
}

// searchEverywhere asks the page about every gateway for what kim did.
func searchEverywhere(t *testing.T, d *standing, rae *browser) {
	t.Helper()
	fleet := d.ready.Gate + "/console/log/fleet?q="
	var pg page
	eventually(t, 60*time.Second, "the refused request is found in the shared table", func() bool {
		pg = rae.get(fleet + url.QueryEscape("account:kim effect:deny path:/invoices"))
		return pg.status == 200 && strings.Contains(pg.body, "/invoices")
	})
	if strings.Contains(pg.body, "CL-20418") {
		t.Error("what the query leaves out is shown")
	}
	for _, want := range []string{`data-path="/console/log/fleet"`, `/console/log/fleet?q=account:kim&#43;effect:deny&#43;path:/invoices&#43;node:node-1`, `&#43;not&#43;cluster:billing`} {
		if !strings.Contains(pg.body, want) {
			t.Errorf("the page does not count: no %s\n%s", want, pg.body)
		}
	}
	_, rest, _ := strings.Cut(pg.body, `href="/console/log/fleet/entry?`)
	entry, _, _ := strings.Cut(rest, `"`)
	if pg := rae.get(d.ready.Gate + "/console/log/fleet/entry?" + strings.ReplaceAll(entry, "&amp;", "&")); pg.status != 200 || !strings.Contains(pg.body, "/invoices") {
		t.Errorf("the entry %s: %d\n%s", entry, pg.status, pg.body)
	}
	if pg := rae.get(fleet + url.QueryEscape("clustr:a")); pg.status != 422 {
		t.Errorf("a wrong query: %d", pg.status)
	}
}
