package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// smugglingCorpus reads testdata/smuggling.txt: a verdict and a request in Go's
// string syntax on each line.
func smugglingCorpus(t testing.TB) (bad, good []string) {
	t.Helper()
	b, err := os.ReadFile("testdata/smuggling.txt")
	if err != nil {
		t.Fatal(err)
	}
	unescape := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t", `\0`, "\x00", `\v`, "\v", `\x7f`, "\x7f", `\x80`, "\x80")
	for line := range strings.Lines(string(b)) {
		verdict, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch verdict {
		case "bad":
			bad = append(bad, unescape.Replace(text))
		case "good":
			good = append(good, unescape.Replace(text))
		}
	}
	if len(bad) < 40 || len(good) < 8 {
		t.Fatalf("only %d bad and %d good cases were read", len(bad), len(good))
	}
	return bad, good
}

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: " + testHost + "\r\nCookie: __Host-ringfence=kim\r\n\r\n"

// TestSmuggling_RawCorpus sends each case with a second request behind it. A bad
// one is answered 400 and the connection closed, and neither reaches the upstream.
func TestSmuggling_RawCorpus(t *testing.T) {
	var hits atomic.Int64
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		hits.Add(1)
		io.WriteString(w, r.URL.Path)
	})
	g := start(t, claims(up.URL))
	bad, good := smugglingCorpus(t)
	for _, text := range bad {
		before := hits.Load()
		got := g.raw(text + smuggled)
		if !strings.HasPrefix(got, "HTTP/1.1 400") && !strings.HasPrefix(got, "HTTP/1.1 431") || strings.Count(got, "HTTP/1.1") != 1 || hits.Load() != before {
			t.Errorf("%q: got %.80q, %d reached the upstream", text, got, hits.Load()-before)
		}
	}
	for _, text := range good {
		before := hits.Load()
		got := g.raw(text + strings.Replace(smuggled, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		if strings.Count(got, "HTTP/1.1 200") != 2 || !strings.Contains(got, "/smuggled") || hits.Load() != before+2 {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

// TestSmuggling_BadChunks: a body whose chunks are ambiguous is never whole for
// the upstream, and what follows it is never a request.
func TestSmuggling_BadChunks(t *testing.T) {
	var whole, second atomic.Int64
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/smuggled" {
			second.Add(1)
		}
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
		}
	})
	g := start(t, claims(up.URL))
	for _, chunks := range []string{
		"5;ext=1\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n",
		"5\r\nhello\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "\r\n5\r\nhello\r\n0\r\n\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n",
		"5\r\r\nhello\r\n0\r\n\r\n", "0;\n\r\n", "0\r\nContent-Length: 5\r\n\r\n", "0\r\nTransfer_Encoding: x\r\n\r\n", "0\r\n X: folded\r\n\r\n", "0\r\nX: y\n\r\n",
	} {
		before := whole.Load()
		got := g.raw("POST /first HTTP/1.1\r\nHost: " + testHost + "\r\nCookie: __Host-ringfence=kim\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + smuggled)
		if strings.Contains(got, "HTTP/1.1 200") || second.Load() != 0 || whole.Load() != before {
			t.Errorf("%q: got %.80q, whole %d, second %d", chunks, got, whole.Load()-before, second.Load())
		}
	}
}

func TestGuard_HeadTooLarge(t *testing.T) {
	g := start(t, claims(upstream(t, echo).URL), func(c *Config) { c.Limits.HeaderBytes = 8 << 10 })
	for name, head := range map[string]string{
		"one long line":   "X: " + strings.Repeat("a", 64<<10) + "\r\n",
		"many lines":      strings.Repeat("X: aaaaaaaaaaaaaa\r\n", 4000),
		"a long target":   "",
		"no end of lines": strings.Repeat("a", 64<<10),
	} {
		target := "/"
		if head == "" {
			target = "/" + strings.Repeat("a", 64<<10)
		}
		got := g.raw("GET " + target + " HTTP/1.1\r\nHost: " + testHost + "\r\n" + head + "\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 431") && !strings.HasPrefix(got, "HTTP/1.1 400") {
			t.Errorf("%s: got %.60q", name, got)
		}
	}
}

// TestGuard_AnyCuts: what the guard lets pass does not depend on how the bytes
// are cut into reads.
func TestGuard_AnyCuts(t *testing.T) {
	bad, good := smugglingCorpus(t)
	for _, text := range append(append(bad, good...), "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n") {
		whole := readGuarded(strings.NewReader(text + smuggled))
		for name, r := range map[string]io.Reader{"byte by byte": iotest.OneByteReader(strings.NewReader(text + smuggled)),
			"by halves": iotest.HalfReader(strings.NewReader(text + smuggled))} {
			if got := readGuarded(r); !bytes.Equal(got, whole) {
				t.Errorf("%q read %s: %q, whole: %q", text, name, got, whole)
			}
		}
	}
}

type readerConn struct {
	net.Conn
	io.Reader
}

func (c readerConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func readGuarded(r io.Reader) []byte {
	c := &guardedConn{Conn: readerConn{Reader: r}, guard: newGuard(8 << 10)}
	b, _ := io.ReadAll(c)
	return b
}

// FuzzGuard: whatever bytes come, net/http and the guard agree on every
// request's end, and a bad head never becomes a request.
func FuzzGuard(f *testing.F) {
	bad, good := smugglingCorpus(f)
	for _, text := range append(bad, good...) {
		f.Add([]byte(text + smuggled))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		g := newGuard(8 << 10)
		n, ok := g.scan(in)
		c := &guardedConn{Conn: readerConn{Reader: bytes.NewReader(in)}, guard: newGuard(8 << 10)}
		br := bufio.NewReader(c)
		requests := 0
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				break
			}
			requests++
			cl, te := r.Header["Content-Length"], r.TransferEncoding
			if len(cl) > 1 || len(cl) > 0 && len(te) > 0 || len(te) > 1 || len(te) == 1 && te[0] != "chunked" {
				t.Fatalf("%q: a request with lengths %q and encodings %q passed", in, cl, te)
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				break
			}
		}
		if ends := g.heads; requests > ends {
			t.Fatalf("%q: net/http found %d requests, the guard %d (ok %v)", in[:n], requests, ends, ok)
		}
	})
}

func TestListener_Slowloris(t *testing.T) {
	g := start(t, claims(upstream(t, echo).URL), func(c *Config) {
		c.Limits.ReadHeaderTimeout, c.Limits.HandshakeTimeout, c.Limits.IdleTimeout = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
	})
	for name, sent := range map[string]string{"half a head": "GET / HTTP/1.1\r\nHost: " + testHost + "\r\nX: ", "nothing": "",
		"idle after a request": "GET / HTTP/1.1\r\nHost: " + testHost + "\r\n\r\n"} {
		c := g.rawConn()
		io.WriteString(c, sent)
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stayed open", name)
		}
		c.Close()
	}
	tcp, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	tcp.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, tcp); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a handshake that never came kept its connection")
	}
	if res, _ := g.get("/"); res.StatusCode != 200 {
		t.Errorf("others got %d", res.StatusCode)
	}
}

func TestListener_ConnectionLimits(t *testing.T) {
	for name, limits := range map[string]Limits{"in all": {Connections: 3}, "per address": {ConnectionsPerAddress: 3}} {
		g := start(t, claims(upstream(t, echo).URL), func(c *Config) { c.Limits = limits })
		var open []net.Conn
		for range 3 {
			open = append(open, g.rawConn())
		}
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: a fourth connection was kept", name)
		}
		c.Close()
		for _, c := range open {
			c.Close()
		}
		until(t, "closed connections no longer count", func() bool {
			r, _ := http.NewRequest("GET", "https://"+testHost+"/", nil)
			res, err := g.client.Do(r)
			if err == nil {
				res.Body.Close()
			}
			return err == nil
		})
	}
}

func TestAddressKey(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.1:1": "192.0.2.1", "[::ffff:192.0.2.1]:1": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::"} {
		a, err := net.ResolveTCPAddr("tcp", in)
		if err != nil {
			t.Fatal(err)
		}
		if got := addressKey(a).String(); got != want {
			t.Errorf("%s is counted as %s, want %s", in, got, want)
		}
	}
}
