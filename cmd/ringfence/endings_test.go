package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// An opened is what one person has open on a cluster: a WebSocket, a stream of
// events, and a download that nobody reads.
type opened struct {
	email, cluster string
	gone           chan string // a name for each that has ended
}

// open opens all three in the name of b.
func (p *process) open(t *testing.T, b *browser, email, cluster string) *opened {
	t.Helper()
	host := p.cluster(t, cluster)
	if pg := b.get(host + "/"); pg.status != http.StatusOK {
		t.Fatalf("%s at %s: %d at %s", email, cluster, pg.status, pg.url)
	}
	o := &opened{email, cluster, make(chan string, 3)}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	stream := &http.Client{Transport: p.transport(t), Jar: b.client.Jar}
	for _, path := range []string{"/events", "/download?bytes=4000000000"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, host+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := stream.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s of %s: %v %v", path, email, res, err)
		}
		t.Cleanup(func() { res.Body.Close() })
		if path != "/events" {
			continue // left unread: the gateway is blocked in writing
		}
		go func() {
			buf := make([]byte, 4096)
			for {
				if _, err := res.Body.Read(buf); err != nil {
					o.gone <- path
					return
				}
			}
		}()
	}
	tr := p.transport(t)
	tr.ForceAttemptHTTP2 = false
	tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
	conn, _, err := websocket.Dial(ctx, strings.Replace(host, "https://", "wss://", 1)+"/ws",
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: tr, Jar: b.client.Jar}, HTTPHeader: http.Header{"Origin": {host}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	go func() {
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				o.gone <- "/ws"
				return
			}
		}
	}()
	return o
}

// cutBy fails unless all three were cut no later than deadline: two as their
// client sees it, and all as the access log tells it.
func (o *opened) cutBy(t *testing.T, p *process, since, deadline time.Time) {
	t.Helper()
	for range 2 {
		select {
		case path := <-o.gone:
			if late := time.Since(deadline); late > 0 {
				t.Errorf("%s of %s was cut %v too late", path, o.email, late)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("a stream of %s outlived its permission", o.email)
		}
	}
	ended := map[string]time.Time{}
	eventually(t, 5*time.Second, "the three outcomes are recorded", func() bool {
		for _, e := range p.entries(t, "--account", o.email, "--type", "outcome") {
			at, err := time.Parse(time.RFC3339Nano, e["time"].(string))
			path, _ := e["path"].(string)
			if err == nil && at.After(since) && e["ended"] != nil {
				ended[path] = at
			}
		}
		return len(ended) == 3
	})
	for path, at := range ended {
		if late := at.Sub(deadline); late > 0 {
			t.Errorf("%s of %s ended %v too late, as recorded", path, o.email, late)
		}
	}
}

// consoleID finds the id in the address of a person's page.
func consoleID(t *testing.T, p *process, ada *browser, email string) string {
	t.Helper()
	pg := ada.get(p.ready.Gate + "/console/people?text=" + url.QueryEscape(email))
	for _, m := range personLink.FindAllStringSubmatch(pg.body, -1) {
		if m[1] != "invite" {
			return m[1]
		}
	}
	t.Fatalf("%s is not among the people:\n%s", email, pg.body)
	return ""
}

var personLink = regexp.MustCompile(`href="/console/people/([A-Za-z0-9_-]+)"`)

// TestGateway_EndingsCutStreams ends sessions in every way there is. What they
// have open ends within a second of the answer when the gateway itself was
// asked, and within five when another process was.
func TestGateway_EndingsCutStreams(t *testing.T) {
	p := startDemo(t)
	ada := p.signIn(t, "ada@harbour.example", 0)
	posts := func(path string, form url.Values) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			if pg := ada.post(p.ready.Gate+path, form); pg.status != http.StatusOK || strings.Contains(pg.url.Path, "confirm") {
				t.Fatalf("%s: %d at %s", path, pg.status, pg.url)
			}
		}
	}
	command := func(args ...string) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			ringfence(t, append(append([]string{"account", "end-sessions"}, args...), "--data", p.ready.Data)...)
		}
	}
	var own *browser
	for _, c := range []struct {
		name, email, cluster string
		step                 int // each code is good once
		within               time.Duration
		end                  func(*testing.T)
	}{
		{"by the person", "kim@northwind.example", "claims", 0, time.Second, func(t *testing.T) {
			if pg := own.post(p.ready.Gate+"/logout", nil); pg.status != http.StatusOK {
				t.Fatalf("signing out: %d", pg.status)
			}
		}},
		{"by an administrator", "lee@northwind.example", "claims", 0, time.Second, posts("/console/people/"+consoleID(t, p, ada, "lee@northwind.example")+"/sessions/end", nil)},
		{"the vendor's by an administrator", "noor@meridian.example", "billing", 0, time.Second, posts("/console/vendors/meridian/sessions/end", nil)},
		{"everybody's by an administrator", "sam@meridian.example", "telemetry", 0, time.Second, posts("/console/sessions/end", url.Values{"word": {"everybody"}, "mine": {"keep"}})},
		{"by command", "kim@northwind.example", "claims", 1, 5 * time.Second, command("kim@northwind.example")},
		{"the vendor's by command", "noor@meridian.example", "billing", 1, 5 * time.Second, command("--vendor", "meridian")},
		{"the vendor is suspended", "lee@northwind.example", "claims", 1, time.Second, posts("/console/vendors/northwind/suspend", url.Values{"reason": {"incident"}})},
		{"everybody's by command", "sam@meridian.example", "telemetry", 1, 5 * time.Second, command("--everybody")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := p.signIn(t, c.email, c.step)
			own = b
			o := p.open(t, b, c.email, c.cluster)
			since := time.Now()
			c.end(t)
			deadline := time.Now().Add(c.within)
			if c.within > time.Second {
				deadline = since.Add(c.within) // from when the command began
			}
			o.cutBy(t, p, since, deadline)
			b.accept = "application/json"
			if pg := b.get(p.cluster(t, c.cluster) + "/"); pg.status != http.StatusUnauthorized {
				t.Errorf("after the end: %d", pg.status)
			}
		})
	}
	ringfence(t, "log", "verify", "--data", p.ready.Data)
}

// TestGateway_LimitsOfEngagementsCutStreams has two engagements whose sessions
// pause and end after a minute, the least there is, and a third that comes to
// say so while a session is older already.
func TestGateway_LimitsOfEngagementsCutStreams(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute: the shortest limits are that long")
	}
	p := startDemo(t)
	limit := func(t *testing.T, engagement, session string) {
		t.Helper()
		dir := ringfence(t, "export", "--data", p.ready.Data)
		name := "- name: " + engagement + "\n"
		if !strings.Contains(dir, name) {
			t.Fatalf("the demo has no engagement %s", engagement)
		}
		file := filepath.Join(t.TempDir(), "directory.yaml")
		if err := os.WriteFile(file, []byte(strings.Replace(dir, name, name+"    session: "+session+"\n", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		ringfence(t, "apply", "-f", file, "--data", p.ready.Data)
		if again := ringfence(t, "export", "--data", p.ready.Data); !strings.Contains(again, "session: "+session) {
			t.Fatalf("exported without the limits:\n%s", again)
		}
	}
	limit(t, "northwind-2026", "{idle: 1m}")
	limit(t, "meridian-billing", "{absolute: 1m}")
	const slack = 1500 * time.Millisecond // a second, and what a busy machine takes to write it down

	kim, noor, sam := p.signIn(t, "kim@northwind.example", 0), p.signIn(t, "noor@meridian.example", 0), p.signIn(t, "sam@meridian.example", 0)
	signedIn := time.Now()
	idle := p.open(t, kim, "kim@northwind.example", "claims")
	absolute := p.open(t, noor, "noor@meridian.example", "billing")
	changed := p.open(t, sam, "sam@meridian.example", "telemetry")
	used := time.Now()
	if pg := noor.get(p.ready.Gate + "/sessions"); pg.status != http.StatusOK {
		t.Fatalf("sessions page: %d", pg.status)
	}
	for _, o := range []*opened{absolute, idle} {
		select {
		case path := <-o.gone:
			t.Fatalf("%s of %s was cut at once", path, o.email)
		default:
		}
	}
	wait := func(o *opened, deadline time.Time) {
		t.Helper()
		select {
		case path := <-o.gone:
			o.gone <- path
		case <-time.After(time.Until(deadline) + 5*time.Second):
		}
		o.cutBy(t, p, signedIn, deadline)
	}
	wait(absolute, signedIn.Add(time.Minute+slack))
	wait(idle, used.Add(time.Minute+slack))
	if pg := noor.get(p.cluster(t, "billing") + "/"); !strings.Contains(pg.body, "E-mail address") {
		t.Errorf("after the absolute end: %d at %s", pg.status, pg.url)
	}
	pg := kim.get(p.cluster(t, "claims") + "/")
	if !strings.Contains(pg.body, "Welcome back") {
		t.Fatalf("after the idle end: %d at %s\n%s", pg.status, pg.url, pg.body)
	}
	if pg = kim.post(pg.url.String(), url.Values{"password": {p.account(t, "kim@northwind.example").Password}}); pg.status != http.StatusOK || pg.url.Host != mustURL(t, p.cluster(t, "claims")).Host {
		t.Errorf("resumed: %d at %s", pg.status, pg.url)
	}
	said := map[any]bool{}
	for _, e := range p.entries(t, "--account", "kim@northwind.example", "--type", "login") {
		said[e["action"]] = true
	}
	if !said["session.idle"] || !said["session.resume"] {
		t.Errorf("recorded of the session: %v", said)
	}

	// Sam's session is more than a minute old and was not cut, until now.
	select {
	case path := <-changed.gone:
		t.Fatalf("%s was cut without a limit", path)
	default:
	}
	since := time.Now()
	limit(t, "meridian-sensors", "{absolute: 1m}")
	changed.cutBy(t, p, since, time.Now().Add(time.Second))
}
