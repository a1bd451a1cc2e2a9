package main

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestCodeReuse_HundredPosts posts one code a hundred times at once, from ten
// sign-ins of the same account: one of them is signed in.
func TestCodeReuse_HundredPosts(t *testing.T) {
	p := startDemo(t)
	a := p.account(t, "kim@northwind.example")
	var browsers []*browser
	for range 10 {
		b := p.browser(t)
		if pg := b.post(p.ready.Gate+"/login", url.Values{"email": {a.Email}, "password": {a.Password}}); pg.url.Path != "/login/code" {
			t.Fatalf("password: %d at %s", pg.status, pg.url)
		}
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		browsers = append(browsers, b)
	}
	form := url.Values{"code": {code(t, a, 0)}}.Encode()
	var won atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for _, b := range browsers {
		for range 10 {
			wg.Go(func() {
				<-start
				pg, err := b.try(http.MethodPost, p.ready.Gate+"/login/code", strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded")
				if err != nil {
					t.Error(err)
				}
				for _, c := range (&http.Response{Header: pg.header}).Cookies() {
					if c.Name == "__Host-ringfence" && c.Value != "" {
						won.Add(1)
					}
				}
			})
		}
	}
	close(start)
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of a hundred posts of one code were signed in, want 1", won.Load())
	}
	if rows := p.entries(t, "--type", "login", "--account", a.Email, "--action", "session.start"); len(rows) != 1 {
		t.Errorf("%d sessions recorded, want 1", len(rows))
	}
}
