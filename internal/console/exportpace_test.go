package console

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// TestExportPace: over HTTP/1 and HTTP/2, a client that takes nothing and one
// that takes a little now and then are given up on soon; one that takes what
// comes gets all of it, however long the log takes to find it.
func TestExportPace(t *testing.T) {
	const patience = 300 * time.Millisecond
	for _, c := range []struct {
		name  string
		http2 bool
		read  func(io.Reader)
		pause time.Duration // between writes
		size  int
		want  error
	}{
		{"nothing, HTTP/1", false, func(io.Reader) {}, 0, 256 << 20, errExportSlow},
		{"nothing, HTTP/2", true, func(io.Reader) {}, 0, 256 << 20, errExportSlow},
		{"a little, HTTP/1", false, drip, 0, 256 << 20, errExportSlow},
		{"a little, HTTP/2", true, drip, 0, 256 << 20, errExportSlow},
		{"all, HTTP/1", false, func(r io.Reader) { io.Copy(io.Discard, r) }, 2 * patience, 3 << 20, nil},
		{"all, HTTP/2", true, func(r io.Reader) { io.Copy(io.Discard, r) }, 2 * patience, 3 << 20, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan error, 1)
			var sent uint64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				out := &exportStream{ctx: r.Context(), to: w, control: http.NewResponseController(w), sum: sha256.New(), job: &exportJob{}, left: patience, most: patience}
				piece := make([]byte, 1<<20)
				var err error
				for n := 0; n < c.size && err == nil; n += len(piece) {
					if _, err = out.Write(piece); err == nil {
						err = out.flush()
					}
					if c.pause > 0 {
						time.Sleep(c.pause) // the log is slow: this is what is tested
					}
				}
				sent = out.job.bytes
				got <- err
			}))
			server.EnableHTTP2 = c.http2
			server.StartTLS()
			res, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if (res.ProtoMajor == 2) != c.http2 {
				t.Fatalf("%s", res.Proto)
			}
			go c.read(res.Body)
			select {
			case err := <-got:
				if !errors.Is(err, c.want) {
					t.Errorf("ended with %v after %d bytes, want %v", err, sent, c.want)
				}
				if c.want == nil && sent != uint64(c.size) {
					t.Errorf("%d bytes", sent)
				}
			case <-time.After(20 * time.Second):
				t.Error("it still waits")
			}
			res.Body.Close()
			server.CloseClientConnections()
			server.Close()
		})
	}
}

// drip reads a byte now and then.
func drip(r io.Reader) {
	b := make([]byte, 512)
	for {
		if _, err := r.Read(b); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// deafClient is the answer to a client that takes nothing.
type deafClient struct {
	*httptest.ResponseRecorder
	deadline chan time.Time
	writes   chan struct{}
}

func (w *deafClient) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() {
		w.deadline <- t
	}
	return nil
}

func (w *deafClient) Write([]byte) (int, error) {
	w.writes <- struct{}{}
	var over <-chan time.Time
	for {
		select {
		case at := <-w.deadline:
			over = time.After(time.Until(at))
		case <-over:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// TestExport_SlowReader: clients that take nothing hold the few places of
// exports for a while and no longer; that is told and recorded. Being stopped
// ends a write that waits.
func TestExport_SlowReader(t *testing.T) {
	o := newOffice(t, plainText)
	o.exports.patience = 200 * time.Millisecond
	begin := func(patience time.Duration) (page string, w *deafClient, done chan bool) {
		t.Helper()
		o.exports.patience = patience
		page = exported(t, o, "rae", "", "json")
		w = &deafClient{httptest.NewRecorder(), make(chan time.Time, 8), make(chan struct{}, 8)}
		done = make(chan bool, 1)
		go func() {
			defer func() { done <- recover() == http.ErrAbortHandler }()
			o.serve(w, "rae", "POST", page+"/file", "", "Sec-Fetch-Site", "same-origin")
		}()
		<-w.writes
		return page, w, done
	}
	for range exportsRun {
		page, _, done := begin(200 * time.Millisecond)
		select {
		case aborted := <-done:
			if !aborted {
				t.Error("what is not whole was not cut off")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a client that takes nothing holds a place")
		}
		if r := o.entries.last("log.exported"); r == nil || r.Result != "slow" {
			t.Errorf("recorded %+v", r)
		}
		shows(t, o.get("rae", page), http.StatusOK, "too slowly", "Export again")
	}
	page, _, done := begin(time.Hour)
	leadsTo(t, o.post("rae", page+"/stop", nil), page)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("being stopped does not end a write that waits")
	}
	if r := o.entries.last("log.exported"); r == nil || r.Result != "stopped" {
		t.Errorf("recorded %+v", r)
	}
	if w, aborted := fetched(o, "rae", exported(t, o, "rae", "", "json")); aborted || w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"index"`) {
		t.Errorf("the places are free again: %d", w.Code)
	}
}
