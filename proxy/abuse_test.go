package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/ringfence/ringfence/policy"
)

// HTTP/2 has no absolute form of a path: one is refused, since its host is not
// compared with the authority by which the cluster was chosen.
func TestHostReadDifferently_AbsolutePathOnHTTP2(t *testing.T) {
	g := start(t, claims(upstream(t, echo).URL))
	c, err := tls.Dial("tcp", g.addr, &tls.Config{RootCAs: g.roots, ServerName: testHost, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	defer c.Close()
	var block strings.Builder
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", testHost},
		{":path", "https://name:secret@other.example.com/x"}, {"cookie", "__Host-ringfence=kim"}} {
		if err := e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := errors.Join(f.WriteSettings(), f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := frame.(*http2.MetaHeadersFrame); ok {
			if status := h.PseudoValue("status"); status != "400" {
				t.Errorf("got status %s", status)
			}
			break
		}
	}
	for _, r := range g.of("request") {
		if strings.Contains(r.Path, "secret") {
			t.Errorf("credentials in the path were recorded: %q", r.Path)
		}
	}
}

// A client that leaves is no fault of the gateway: it must not be able to fill
// the operational log with errors.
func TestBombsAndSlowness_ClientsThatLeaveAreNoErrors(t *testing.T) {
	var g *gateway
	left, recorded := make(chan struct{}), make(chan struct{})
	g = start(t, claims(upstream(t, echo).URL), func(c *Config) {
		c.Recorder = leavingRecorder{c.Recorder, left, recorded}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-left
		cancel()
	}()
	r := request(t, "GET", "https://"+testHost+"/", nil).WithContext(ctx)
	if res, err := g.client.Do(r); err == nil {
		res.Body.Close()
		t.Fatalf("got %d", res.StatusCode)
	}
	<-recorded
	until(t, "the request is over", func() bool { return strings.Contains(g.log.String(), "recording decision") })
	if strings.Contains(g.log.String(), "level=ERROR") {
		t.Errorf("an error was logged: %s", g.log.String())
	}
}

// A leavingRecorder records nothing, but waits until the client has left.
type leavingRecorder struct {
	Recorder
	left, recorded chan struct{}
}

func (l leavingRecorder) Record(ctx context.Context, r *policy.Record) (uint64, error) {
	close(l.left)
	<-ctx.Done()
	defer close(l.recorded)
	return 0, ctx.Err()
}
