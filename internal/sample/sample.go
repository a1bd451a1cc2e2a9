// Package sample holds the small systems that stand behind the gateway in a
// demo: a claims desk, a billing ledger and a telemetry store, with pages worth
// looking at, streams, transfers of any size, and an echo on every other path
// of what the upstream was given. They never see more than any other upstream.
package sample

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

//go:embed page.tmpl style.css
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "page.tmpl"))

// maxDownload bounds /download, so that a slip of the hand does not fill a disk.
const maxDownload = 8 << 30

// A System is one sample system.
type System struct {
	Name    string
	Title   string
	Intro   string
	Columns []string
	Rows    [][]string
}

// Systems are the sample systems of the demo, by cluster name.
var Systems = []System{
	{
		Name: "claims", Title: "Claims desk",
		Intro:   "Motor and household claims waiting for an assessor.",
		Columns: []string{"Claim", "Policy holder", "Kind", "Reported", "Reserve", "State"},
		Rows: [][]string{
			{"CL-20418", "A. Okafor", "Water damage", "12 Nov", "€ 4,200", "With assessor"},
			{"CL-20422", "M. Lindqvist", "Collision", "14 Nov", "€ 9,850", "Waiting for photos"},
			{"CL-20431", "J. Pereira", "Theft", "15 Nov", "€ 1,120", "New"},
			{"CL-20440", "S. Novak", "Hail", "17 Nov", "€ 2,760", "Approved"},
			{"CL-20447", "T. Brandt", "Collision", "18 Nov", "€ 13,400", "Disputed"},
		},
	},
	{
		Name: "billing", Title: "Billing ledger",
		Intro:   "Invoices of the current month and what has been paid.",
		Columns: []string{"Invoice", "Customer", "Issued", "Due", "Amount", "State"},
		Rows: [][]string{
			{"INV-7731", "Harbour Foods", "3 Nov", "3 Dec", "€ 18,240.00", "Open"},
			{"INV-7732", "Lumen Optics", "3 Nov", "3 Dec", "€ 6,015.50", "Paid"},
			{"INV-7735", "Kestrel Rail", "7 Nov", "7 Dec", "€ 44,900.00", "Open"},
			{"INV-7741", "Oak & Sons", "12 Nov", "12 Dec", "€ 980.00", "Reminder sent"},
		},
	},
	{
		Name: "telemetry", Title: "Telemetry store",
		Intro:   "Turbines in the field and their newest readings.",
		Columns: []string{"Turbine", "Site", "Wind", "Power", "Vibration", "Seen"},
		Rows: [][]string{
			{"T-11", "Skagen North", "9.4 m/s", "2.1 MW", "0.8 mm/s", "4 s ago"},
			{"T-12", "Skagen North", "9.1 m/s", "2.0 MW", "0.9 mm/s", "3 s ago"},
			{"T-19", "Esbjerg", "12.8 m/s", "3.4 MW", "1.9 mm/s", "6 s ago"},
			{"T-23", "Esbjerg", "12.2 m/s", "0.0 MW", "6.3 mm/s", "Stopped"},
		},
	},
}

// Echo is what a sample system was given, as it answers on most paths.
type Echo struct {
	System   string            `json:"system"`
	Method   string            `json:"method"`
	Path     string            `json:"path"`
	Query    string            `json:"query,omitempty"`
	Host     string            `json:"host"`
	Protocol string            `json:"protocol"`
	Identity map[string]string `json:"identity"`
	Cookies  []string          `json:"cookies"`
	Bytes    int64             `json:"bytes"`
}

// Handler returns the system's HTTP handler. It is safe for concurrent use.
func (s System) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/style.css":
			http.ServeFileFS(w, r, files, "style.css")
		case r.URL.Path == "/events":
			s.events(w, r)
		case r.URL.Path == "/ws":
			s.socket(w, r)
		case r.URL.Path == "/download":
			s.download(w, r)
		case strings.HasPrefix(r.URL.Path, "/missing"):
			s.answer(w, r, http.StatusNotFound)
		default:
			s.answer(w, r, http.StatusOK)
		}
	})
}

func (s System) answer(w http.ResponseWriter, r *http.Request, status int) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
		return
	}
	e := s.echo(r, n)
	if status == http.StatusOK && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
		var b bytes.Buffer
		if err := pageTemplate.Execute(&b, map[string]any{"System": s, "Echo": e}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes()) // a reader that left needs no answer
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e) // likewise
}

func (s System) echo(r *http.Request, n int64) Echo {
	e := Echo{System: s.Name, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Host: r.Host,
		Protocol: r.Proto, Identity: map[string]string{}, Cookies: []string{}, Bytes: n}
	for name, values := range r.Header {
		l := strings.ToLower(name)
		if strings.HasPrefix(l, "x-ringfence-") || strings.HasPrefix(l, "x-forwarded-") || l == "authorization" {
			e.Identity[l] = strings.Join(values, ", ")
		}
	}
	for _, c := range r.Cookies() {
		e.Cookies = append(e.Cookies, c.Name)
	}
	sort.Strings(e.Cookies)
	return e
}

// events sends one server-sent event a second until the reader leaves.
func (s System) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	rc := http.NewResponseController(w)
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(w, "id: %d\nevent: reading\ndata: {\"system\":%q,\"reading\":%d}\n\n", i, s.Name, i); err != nil {
			return
		}
		if err := rc.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// socket echoes WebSocket messages.
func (s System) socket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{"*"}})
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	for {
		kind, msg, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, msg); err != nil {
			return
		}
	}
}

// download sends as many bytes as ?bytes= asks for.
func (s System) download(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
	if err != nil || n < 0 || n > maxDownload {
		http.Error(w, fmt.Sprintf("bytes must be a number from 0 to %d", int64(maxDownload)), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	_, _ = io.CopyN(w, zeros{}, n) // a reader that left needs no answer
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
