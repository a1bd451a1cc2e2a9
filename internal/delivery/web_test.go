package delivery

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/delivery/deliverytest"
)

// TestWeb: every shape over HTTPS, with a receiver that is down at first, that
// is busy, that refuses one entry.
func TestWeb(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 120)
	shape := &Shape{Format: Ringfence, Origin: testOrigin, Version: "1.0.0"}
	poison := `"path":"/claims/77"`
	for name, k := range map[string]struct {
		handle func(r *deliverytest.Receiver) http.Handler
		sender func(Web) (Sender, error)
		poison string
	}{
		"elastic": {(*deliverytest.Receiver).Elastic,
			func(w Web) (Sender, error) { return NewElastic(w, "logs-ringfence", shape) }, poison},
		"splunk": {(*deliverytest.Receiver).Splunk,
			func(w Web) (Sender, error) {
				s, err := NewSplunk(w, "audit", shape)
				if err == nil {
					s.every = 1
				}
				return s, err
			}, poison},
		"loki": {(*deliverytest.Receiver).Loki,
			func(w Web) (Sender, error) { return NewLoki(w, "audit", shape) }, poison},
		"victorialogs": {(*deliverytest.Receiver).Victoria,
			func(w Web) (Sender, error) { return NewVictoriaLogs(w, shape) }, ""},
		"otlp": {(*deliverytest.Receiver).OTLP,
			func(w Web) (Sender, error) { w.URL += "/v1/logs"; return NewOTLP(w, shape) }, poison},
	} {
		t.Run(name, func(t *testing.T) {
			r := &deliverytest.Receiver{T: t, Origin: testOrigin, Node: "node-1", Index: map[string]string{"elastic": "logs-ringfence", "splunk": "audit"}[name], Tenant: "audit", Poison: k.poison,
				First: []deliverytest.Answer{{Status: 503}, {Status: 429, Header: map[string]string{"Retry-After": "1"}}, {Status: 302, Header: map[string]string{"Location": "http://127.0.0.1:1/"}}, {Status: 404}}}
			r.Secret("Token hush")
			srv := httptest.NewTLSServer(k.handle(r))
			defer srv.Close()
			web := Web{URL: srv.URL, TLS: &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}, Gzip: true, Authorization: "Token hush"}
			if s := fmt.Sprintf("%v %+v %#v", web, web, web); strings.Contains(s, "hush") {
				t.Errorf("printed: %s", s)
			}
			sender, err := k.sender(web)
			if err != nil {
				t.Fatal(err)
			}
			s, stop := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: name, Sender: sender, Batch: 32}))
			until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
			stop()
			want := l.Size()
			st := s.States()[0]
			if k.poison != "" {
				want--
			}
			if uint64(len(r.Indexes())) != want || st.Refused != l.Size()-want || st.Failures != 4 {
				t.Errorf("%d of %d entries came, %+v", len(r.Indexes()), want, st)
			}
		})
	}
}

// A wrong secret loses nothing and is not shown.
func TestWeb_WrongSecret(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 3)
	r := &deliverytest.Receiver{T: t, Origin: testOrigin}
	r.Secret("Token hush")
	srv := httptest.NewServer(r.OTLP())
	defer srv.Close()
	sender, err := NewOTLP(Web{URL: srv.URL + "/v1/logs", Authorization: "Token wrong-secret"}, &Shape{Format: Ringfence, Origin: testOrigin})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "otlp", Sender: sender}))
	until(t, "it has failed", func() bool { return s.States()[0].Failures > 0 })
	if st := s.States()[0]; st.Next != 0 || !strings.Contains(st.Fault, "401") || strings.Contains(st.Fault, "wrong-secret") {
		t.Errorf("%+v", st)
	}
}
