package proxy

import (
	"bufio"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

type pathCase struct {
	ok     bool
	target string
}

func pathCorpus(t testing.TB) (out []pathCase) {
	t.Helper()
	f, err := os.Open("testdata/paths.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		verdict, target, ok := strings.Cut(s.Text(), " ")
		if ok && verdict != "#" {
			out = append(out, pathCase{verdict == "ok", target})
		}
	}
	if len(out) < 80 {
		t.Fatalf("only %d cases were read", len(out))
	}
	return out
}

func TestCanonicalPath(t *testing.T) {
	for _, tt := range []struct {
		raw, canonical, path string
		segments             []string
		slashes              bool
	}{
		{"/", "/", "/", []string{""}, false},
		{"/a/b", "/a/b", "/a/b", []string{"a", "b"}, false},
		{"/a/", "/a/", "/a/", []string{"a", ""}, false},
		{"/%61%2d%7e", "/a-~", "/a-~", []string{"a-~"}, false},
		{"/caf\u00e9", "/caf%C3%A9", "/café", []string{"café"}, false},
		{"/caf%c3%a9", "/caf%C3%A9", "/café", []string{"café"}, false},
		{"/a%20b", "/a%20b", "/a b", []string{"a b"}, false},
		{"/%28", "/(", "/(", []string{"("}, false},
		{"/a%2fb/c", "/a%2Fb/c", "/a/b/c", []string{"a/b", "c"}, true},
		{"/a%3fb%23", "/a%3Fb%23", "/a?b#", []string{"a?b#"}, false},
		{"/100%25", "/100%25", "/100%", []string{"100%"}, false},
	} {
		got, err := canonicalPath(tt.raw)
		if err != nil || got.Raw != tt.canonical || got.Path != tt.path || !slices.Equal(got.Segments, tt.segments) || got.Slashes != tt.slashes {
			t.Errorf("%s: got %+v, %v", tt.raw, got, err)
		}
	}
	for _, raw := range []string{"", "a", "/a%2f%2fb", "/a%2f", "/%2fa", "/a%2f..", "/a%2f.%2fb", "/\x80", "/a\x01", "/ \x7f"} {
		if got, err := canonicalPath(raw); err == nil {
			t.Errorf("%q was accepted as %+v", raw, got)
		}
	}
}

// TestCVE_2025_54576 holds the class of a query that is read as path: what
// stands behind the question mark never reaches the path, nor the reverse.
func TestCVE_2025_54576_QueryIsNotPath(t *testing.T) {
	up := upstream(t, echo)
	g := start(t, claims(up.URL))
	_, body := g.get("/private?x=/public/health")
	in := g.lastInput().Request
	if !slices.Equal(in.Path, []string{"private"}) || in.RawPath != "/private" || !slices.Equal(in.Query["x"], []string{"/public/health"}) {
		t.Errorf("policy saw %+v", in)
	}
	if e := readEcho(t, body); e.URI != "/private?x=/public/health" {
		t.Errorf("upstream saw %s", e.URI)
	}
	g.get("/a%3Fpublic")
	if in := g.lastInput().Request; !slices.Equal(in.Path, []string{"a?public"}) || in.Query != nil {
		t.Errorf("policy saw %+v", in)
	}
}

func TestHandler_EncodedSlashesOnlyByOptIn(t *testing.T) {
	up := upstream(t, echo)
	c := claims(up.URL)
	c[0].Routes = append(c[0].Routes, Route{Name: "git", Path: "/projects", Upstreams: []string{up.URL}, EncodedSlashes: true})
	g := start(t, c)
	res, body := g.get("/projects/group%2frepo/files")
	if e := readEcho(t, body); res.StatusCode != 200 || e.URI != "/projects/group%2Frepo/files" {
		t.Errorf("got %d, upstream saw %s", res.StatusCode, e.URI)
	}
	if in := g.lastInput().Request; !slices.Equal(in.Path, []string{"projects", "group/repo", "files"}) || in.RawPath != "/projects/group%2Frepo/files" {
		t.Errorf("policy saw %+v", in)
	}
	for _, path := range []string{"/other/a%2fb", "/projects/..%2fother", "/projects%2fx", "/projects/a%2f%2fb"} {
		if res, body := g.get(path); res.StatusCode != 400 {
			t.Errorf("%s: got %d %s", path, res.StatusCode, body)
		}
	}
}

// FuzzCanonicalPath: what is accepted has one spelling, which is read in the
// same way by every later parser.
func FuzzCanonicalPath(f *testing.F) {
	for _, c := range pathCorpus(f) {
		f.Add(c.target)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := canonicalPath(raw)
		if err != nil {
			return
		}
		again, err := canonicalPath(p.Raw)
		if err != nil || again.Raw != p.Raw || again.Path != p.Path || !slices.Equal(again.Segments, p.Segments) || again.Slashes != p.Slashes {
			t.Fatalf("%q became %+v, then %+v, %v", raw, p, again, err)
		}
		if !utf8.ValidString(p.Path) || "/"+strings.Join(p.Segments, "/") != p.Path {
			t.Fatalf("%q: segments %q do not make path %q", raw, p.Segments, p.Path)
		}
		u, err := url.ParseRequestURI(p.Raw)
		if err != nil || u.Path != p.Path || u.RawQuery != "" || u.Host != "" {
			t.Fatalf("%q: net/url reads %q as %+v, %v", raw, p.Raw, u, err)
		}
		if out := (&url.URL{Path: p.Path, RawPath: p.Raw}).EscapedPath(); out != p.Raw {
			t.Fatalf("%q would be forwarded as %q, not %q", raw, out, p.Raw)
		}
		if n := strings.Count(p.Raw, "/"); n != len(p.Segments) {
			t.Fatalf("%q: %d slashes, segments %q", p.Raw, n, p.Segments)
		}
		for _, s := range p.Segments {
			for part := range strings.SplitSeq(s, "/") {
				if part == "." || part == ".." {
					t.Fatalf("%q: dot segment in %q", raw, p.Segments)
				}
			}
			if strings.ContainsAny(s, "\\;\x00") {
				t.Fatalf("%q: forbidden character in %q", raw, p.Segments)
			}
			if d, err := url.PathUnescape(s); err == nil && d != s {
				t.Fatalf("%q: %q can be decoded once more, to %q", raw, s, d)
			}
		}
	})
}

// TestPathCorpus_SeenIsServed sends the corpus through the gateway to real
// servers: what policy saw is what the server served, and refused targets
// reach none.
func TestPathCorpus_SeenIsServed(t *testing.T) {
	for _, s := range []server{{"go", goServer}, {"nginx", nginxServer}, {"node", nodeServer}} {
		t.Run(s.name, func(t *testing.T) {
			g := start(t, claims(s.url(t)))
			for _, c := range pathCorpus(t) {
				before := len(g.of("outcome"))
				c2 := g.rawConn()
				io.WriteString(c2, "GET "+c.target+" HTTP/1.1\r\nHost: "+testHost+"\r\nCookie: __Host-ringfence=kim\r\nConnection: close\r\n\r\n")
				answer := readAnswer(t, c2)
				c2.Close()
				if !c.ok {
					if answer.StatusCode != 400 || len(g.of("outcome")) != before {
						t.Errorf("%s: got %d", c.target, answer.StatusCode)
					}
					continue
				}
				if answer.StatusCode != 200 {
					t.Errorf("%s: got %d %s", c.target, answer.StatusCode, answer.body)
					continue
				}
				in := g.lastInput().Request
				want := "/" + strings.Join(in.Path, "/")
				if answer.body != want {
					t.Errorf("%s: policy saw %q, %s served %q", c.target, want, s.name, answer.body)
				}
				g.outcome(before)
			}
		})
	}
}

// A server is one kind of upstream, which answers with the path it would serve.
type server struct {
	name string
	url  func(t *testing.T) string
}
