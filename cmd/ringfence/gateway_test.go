package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestGateway_EachAccountReachesItsClustersAndNoOther signs in as everybody
// with the forms alone and goes to every cluster.
func TestGateway_EachAccountReachesItsClustersAndNoOther(t *testing.T) {
	t.Parallel()
	p := startDemo(t)
	for _, a := range p.ready.Accounts {
		b := p.signIn(t, a.Email, 0)
		mine := map[string]bool{}
		for _, c := range a.Clusters {
			mine[c.Name] = true
		}
		for _, c := range p.ready.Clusters {
			b.accept = "text/html"
			pg := b.get(c.URL + "work/item-7?secret=canary")
			if mine[c.Name] {
				if pg.status != http.StatusOK || !strings.Contains(pg.body, a.Email) {
					t.Errorf("%s at %s: %d, want the page with the account's address", a.Email, c.Name, pg.status)
				}
				if strings.Contains(pg.body, "__Host-ringfence") {
					t.Errorf("%s: the upstream saw the gateway's cookie", c.Name)
				}
				continue
			}
			if pg.status != http.StatusForbidden || pg.url.Host != mustURL(t, c.URL).Host {
				t.Errorf("%s at %s: %d at %s, want 403", a.Email, c.Name, pg.status, pg.url)
			}
			b.accept = "application/json"
			pg = b.get(c.URL + "work/item-7")
			if pg.status != http.StatusForbidden || reasonsOf(t, pg.body) == "" {
				t.Errorf("%s at %s as JSON: %d %s", a.Email, c.Name, pg.status, pg.body)
			}
		}
	}
	for _, a := range p.ready.Accounts {
		for _, c := range p.ready.Clusters {
			rows := p.entries(t, "--account", a.Email, "--cluster", c.Name, "--type", "request")
			if len(rows) < 1 {
				t.Errorf("no entry of %s at %s", a.Email, c.Name)
			}
		}
	}
	all := ringfence(t, "log", "export", "--data", p.ready.Data)
	if strings.Contains(all, "canary") {
		t.Error("a query value is in the log")
	}
	ringfence(t, "log", "verify", "--data", p.ready.Data)
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestGateway_WithoutSession is the anonymous visitor: a browser is sent to
// the gate and back to where it was headed, a program is told how to sign in.
func TestGateway_WithoutSession(t *testing.T) {
	p := startDemo(t)
	b := p.browser(t)
	a := p.account(t, "kim@northwind.example")
	target := p.cluster(t, "claims") + "/claims/CL-20418?tab=notes"

	b.accept = "application/json"
	if pg := b.get(target); pg.status != http.StatusUnauthorized || reasonsOf(t, pg.body) != "sign_in_required" {
		t.Errorf("program without session: %d %s", pg.status, pg.body)
	}
	b.accept = "text/html"
	pg := b.get(target)
	if pg.status != 200 || pg.url.Path != "/login" || pg.url.Host != mustURL(t, p.ready.Gate).Host {
		t.Fatalf("browser without session: %d at %s", pg.status, pg.url)
	}
	pg = b.post(p.ready.Gate+"/login?"+pg.url.RawQuery, url.Values{"email": {a.Email}, "password": {a.Password}})
	if b.get(p.cluster(t, "claims")+"/").url.Path == "/" {
		t.Error("a password alone reached the cluster")
	}
	pg = b.post(pg.url.String(), url.Values{"code": {code(t, a, 0)}})
	if pg.status != 200 || pg.url.String() != target {
		t.Errorf("after sign-in: %d at %s, want %s", pg.status, pg.url, target)
	}
	if rows := p.entries(t, "--cluster", "claims", "--effect", "challenge"); len(rows) < 2 {
		t.Errorf("%d challenges recorded, want at least 2", len(rows))
	}
}

// TestGateway_ChangesCutAccess ends access in each way there is and sees it
// end within a second on the running gateway.
func TestGateway_ChangesCutAccess(t *testing.T) {
	p := startDemo(t)
	for _, c := range []struct {
		name, email, cluster string
		cut                  []string
		status               int
	}{
		{"end sessions", "kim@northwind.example", "claims", []string{"account", "end-sessions", "kim@northwind.example"}, 401},
		{"disable", "sam@meridian.example", "telemetry", []string{"account", "disable", "sam@meridian.example"}, 401},
		{"suspend the vendor", "lee@northwind.example", "telemetry", []string{"vendor", "suspend", "northwind", "--reason", "test"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := p.signIn(t, c.email, 0)
			target := p.cluster(t, c.cluster) + "/"
			if pg := b.get(target); pg.status != 200 {
				t.Fatalf("before: %d", pg.status)
			}
			b.accept = "application/json"
			stream, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.cluster(t, c.cluster)+"/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			b.client.Timeout = 0
			res, err := b.client.Do(stream)
			if err != nil || res.StatusCode != 200 {
				t.Fatalf("stream: %v %v", res, err)
			}
			defer res.Body.Close()
			ended := make(chan time.Time, 1)
			go func() {
				buf := make([]byte, 4096)
				for {
					if _, err := res.Body.Read(buf); err != nil {
						ended <- time.Now()
						return
					}
				}
			}()
			ringfence(t, append(c.cut, "--data", p.ready.Data)...)
			cut := time.Now()
			pg := b.get(target)
			if pg.status == 200 || (c.status != 0 && pg.status != c.status) {
				t.Errorf("after: %d %s", pg.status, pg.body)
			}
			select {
			case at := <-ended:
				if at.Sub(cut) > time.Second {
					t.Errorf("the stream ended after %v", at.Sub(cut))
				}
			case <-time.After(5 * time.Second):
				t.Error("the stream outlived the permission")
			}
		})
	}
}
