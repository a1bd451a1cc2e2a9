package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestSlowResponse_IsNotHeldBack: of a response whose length is known, what
// the upstream has sent arrives before the rest is made.
func TestSlowResponse_IsNotHeldBack(t *testing.T) {
	more := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "8")
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		<-more
		io.WriteString(w, "rest")
	}))
	t.Cleanup(up.Close)
	g := start(t, claims(up.URL))
	for _, h2 := range []bool{true, false} {
		g.client = g.newClient(h2)
		res, err := g.client.Do(request(t, "GET", "https://"+testHost+"/", nil))
		if err != nil {
			t.Fatal(err)
		}
		half := make([]byte, 4)
		timer := time.AfterFunc(10*time.Second, func() { res.Body.Close() })
		if _, err := io.ReadFull(res.Body, half); err != nil || string(half) != "half" {
			t.Errorf("over h2 %v: %q, %v", h2, half, err)
		}
		timer.Stop()
		more <- struct{}{}
		if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "rest" {
			t.Errorf("over h2 %v: the rest is %q, %v", h2, rest, err)
		}
		res.Body.Close()
	}
}
