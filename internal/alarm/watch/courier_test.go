package watch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/mail"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// memoryOutbox keeps what is to be sent in memory.
type memoryOutbox struct {
	mu        sync.Mutex
	sends     []alarm.Send
	alarms    map[string]alarm.Alarm
	receivers map[string]alarm.Receiver
}

func (m *memoryOutbox) ClaimSends(_ context.Context, now, until time.Time, limit int) (out []alarm.Send, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.sends {
		if s := &m.sends[i]; len(out) < limit && s.Sent.IsZero() && s.GivenUp.IsZero() && !s.Next.After(now) {
			out = append(out, *s)
			s.Next = until
		}
	}
	return out, nil
}

func (m *memoryOutbox) NoteSend(_ context.Context, s alarm.Send) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.sends {
		if m.sends[i].Alarm == s.Alarm && m.sends[i].Receiver == s.Receiver && m.sends[i].Acknowledged == s.Acknowledged {
			m.sends[i] = s
		}
	}
	return nil
}

func (m *memoryOutbox) Alarm(_ context.Context, id string) (alarm.Alarm, error) {
	a, ok := m.alarms[id]
	if !ok {
		return a, alarm.ErrNotFound
	}
	return a, nil
}

func (m *memoryOutbox) Receiver(_ context.Context, id string) (alarm.Receiver, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.receivers[id]
	if !ok {
		return r, alarm.ErrNotFound
	}
	return r, nil
}

// letters takes mails.
type letters struct {
	mu  sync.Mutex
	got []mail.Message
	err error
}

func (l *letters) Send(_ context.Context, m mail.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, m)
	return l.err
}

// A hook is a receiver of webhooks that answers as tests say.
type hook struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int // one after the other; then 204
	heads   []http.Header
	bodies  [][]byte
}

func newHook(t *testing.T, answers ...int) *hook {
	h := &hook{answers: answers}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.heads, h.bodies = append(h.heads, r.Header), append(h.bodies, body)
		status := http.StatusNoContent
		if len(h.answers) > 0 {
			status, h.answers = h.answers[0], h.answers[1:]
		}
		if status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		fmt.Fprint(w, "canary of the answer")
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))
}

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

type post struct {
	*memoryOutbox
	courier *Courier
	now     time.Time
	mails   *letters
}

func newPost(t *testing.T, h *hook, allowed []netip.Prefix) *post {
	t.Helper()
	index := uint64(7)
	p := &post{now: start, mails: &letters{}, memoryOutbox: &memoryOutbox{receivers: map[string]alarm.Receiver{},
		alarms: map[string]alarm.Alarm{"a1": {ID: "a1", Rule: "denials", Kind: alarm.Denials, Severity: alarm.High, At: start, Raised: start, Entry: &index, Account: "kim", Vendor: "acme", Facts: map[string]string{"count": "20"}}}}}
	if h != nil {
		p.receivers["hook"] = alarm.Receiver{ID: "hook", Kind: alarm.Webhook, Address: h.URL + "/in", CA: h.ca(), Sealed: []byte(testSecret)}
	}
	c, err := NewCourier(CourierConfig{Outbox: p, Mail: p.mails, AllowNetworks: allowed, Origin: "gate.test/log", Node: "gw1", Now: func() time.Time { return p.now },
		Open: func(id string, sealed []byte) ([]byte, error) { return sealed, nil },
		Words: func(a alarm.Alarm) Letter {
			return Letter{Title: "Many denied requests", Text: "20 of Kim.", Mail: "20 of Kim, by mail.", URL: "https://gate.test/console/alarms/" + a.ID}
		},
		Owner: func(vendor string) string {
			if vendor == "acme" {
				return "ines@example.com"
			}
			return ""
		}})
	if err != nil {
		t.Fatal(err)
	}
	p.courier = c
	return p
}

func (p *post) round(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	if err := p.courier.round(t.Context(), &wg); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

func (p *post) to(receivers ...string) {
	for _, r := range receivers {
		p.sends = append(p.sends, alarm.Send{Alarm: "a1", Receiver: r, Next: p.now})
	}
}

// verify does what a receiver does, by the text of Standard Webhooks alone.
func verify(t *testing.T, head http.Header, body []byte) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(testSecret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%s.%s.%s", head.Get("webhook-id"), head.Get("webhook-timestamp"), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil)); head.Get("webhook-signature") != want {
		t.Errorf("signature %q, want %q", head.Get("webhook-signature"), want)
	}
}

// The example of the standard's own libraries.
func TestWebhook_Vector(t *testing.T) {
	key, err := secretKey(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, bad := range []string{"", "whsec_", "whsec_AAAA", "whsec_!!!!", "whsec_" + strings.Repeat("A", 200)} {
		if CheckSecret(bad) == nil {
			t.Errorf("%q is taken for a secret", bad)
		}
	}
	if err := CheckSecret(NewSecret()); err != nil {
		t.Error(err)
	}
}

// TestCourier_Acknowledged: who was told of an alarm is told that it was
// acknowledged, by a message with an id of its own; the one about the alarm says
// nothing of that, however late it comes.
func TestCourier_Acknowledged(t *testing.T) {
	h := newHook(t)
	p := newPost(t, h, loopback)
	a := p.alarms["a1"]
	a.Acknowledged = alarm.Acknowledgement{Account: "rae", Email: "rae@example.com", Note: "canary of the note", At: start.Add(time.Hour)}
	p.alarms["a1"] = a
	p.to("hook", alarm.OwnerReceiver)
	p.round(t)
	p.sends = append(p.sends, alarm.Send{Alarm: "a1", Receiver: "hook", Acknowledged: true}, alarm.Send{Alarm: "a1", Receiver: alarm.OwnerReceiver, Acknowledged: true})
	p.round(t)
	if len(h.bodies) != 2 || len(p.mails.got) != 2 || p.mails.got[0].ID == p.mails.got[1].ID || p.mails.got[1].To != "ines@example.com" {
		t.Fatalf("%d posts, %+v", len(h.bodies), p.mails.got)
	}
	for i, want := range []string{`"type":"alarm.raised"`, `"type":"alarm.acknowledged"`} {
		body := string(h.bodies[i])
		if !strings.Contains(body, want) || strings.Contains(body, `"acknowledged_by":"rae"`) != (i == 1) || strings.Contains(body, "canary") || strings.Contains(body, "rae@") {
			t.Errorf("message %d: %s", i, body)
		}
	}
	if h.heads[0].Get("webhook-id") != "alarm_a1" || h.heads[1].Get("webhook-id") != "alarm_a1_acknowledged" {
		t.Errorf("ids %q and %q", h.heads[0].Get("webhook-id"), h.heads[1].Get("webhook-id"))
	}
}

// A receiver that fails is tried again with the same id and a signature that
// holds, until it takes the message; nothing of its words is kept.
func TestWebhook_Retried(t *testing.T) {
	h := newHook(t, 500, 302, 429)
	p := newPost(t, h, loopback)
	p.to("hook")
	for i := range 4 {
		p.round(t)
		if s := p.sends[0]; i < 3 && (s.Tries != i+1 || !s.Sent.IsZero() || !s.Next.After(p.now) || strings.Contains(s.Fault, "canary")) {
			t.Fatalf("after try %d: %+v", i, s)
		}
		p.round(t) // not due yet
		if len(h.heads) != i+1 {
			t.Fatalf("%d tries, want %d", len(h.heads), i+1)
		}
		p.now = p.now.Add(time.Hour)
	}
	if s := p.sends[0]; s.Sent.IsZero() || s.Fault != "" {
		t.Fatalf("in the end: %+v", s)
	}
	ids := map[string]bool{}
	for i, head := range h.heads {
		ids[head.Get("webhook-id")] = true
		verify(t, head, h.bodies[i])
	}
	if len(ids) != 1 {
		t.Errorf("the tries have the ids %v", ids)
	}
	var body struct {
		Type string
		Data map[string]any
	}
	if err := json.Unmarshal(h.bodies[0], &body); err != nil || body.Type != "alarm.raised" || body.Data["id"] != "a1" || body.Data["entry"] != "gate.test/log#7" || body.Data["account"] != "kim" {
		t.Errorf("body %s (%v)", h.bodies[0], err)
	}
}

func TestWebhook_GivenUp(t *testing.T) {
	h := newHook(t, 410)
	p := newPost(t, h, loopback)
	p.to("hook", "gone", "owner")
	p.mails.err = fmt.Errorf("%w: no such person", mail.ErrPermanent)
	p.round(t)
	for _, s := range p.sends {
		if s.GivenUp.IsZero() || s.Fault == "" {
			t.Errorf("%s: %+v", s.Receiver, s)
		}
	}
	// After two days of nothing but faults it is given up as well.
	p = newPost(t, newHook(t, 500, 500), loopback)
	p.to("hook")
	p.round(t)
	p.now = p.now.Add(48 * time.Hour)
	p.round(t)
	if s := p.sends[0]; s.GivenUp.IsZero() || s.Tries != 2 {
		t.Errorf("after two days: %+v", s)
	}
}

// SSRF: whoever may name receivers has the gateway connect to nothing in its
// surroundings, whatever a name leads to, unless the operator has allowed it.
func TestWebhook_Addresses(t *testing.T) {
	h := newHook(t)
	p := newPost(t, h, nil)
	p.receivers["byname"] = alarm.Receiver{ID: "byname", Kind: alarm.Webhook, Address: strings.Replace(h.URL, "127.0.0.1", "localhost", 1), CA: h.ca(), Sealed: []byte(testSecret)}
	p.receivers["syslog"] = alarm.Receiver{ID: "syslog", Kind: alarm.Syslog, Address: h.Listener.Addr().String(), CA: h.ca()}
	p.receivers["metadata"] = alarm.Receiver{ID: "metadata", Kind: alarm.Webhook, Address: "https://169.254.169.254/latest", Sealed: []byte(testSecret)}
	p.to("hook", "byname", "syslog", "metadata")
	p.round(t)
	if len(h.heads) != 0 {
		t.Error("the gateway's own machine was reached")
	}
	for _, s := range p.sends {
		if !strings.Contains(s.Fault, "is not allowed") {
			t.Errorf("%s: %q", s.Receiver, s.Fault)
		}
	}
	for _, bad := range []string{"http://hooks.example.com/", "https://me:pw@hooks.example.com/", "file:///etc/passwd", "https://", "https://x/#y", "gopher://x"} {
		if CheckURL(bad) == nil {
			t.Errorf("%q is taken for an address", bad)
		}
	}
}

// One that hangs holds no other up, and its certificate is checked.
func TestCourier_Apart(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-release }))
	defer slow.Close()
	defer close(release)
	h := newHook(t)
	p := newPost(t, h, loopback)
	p.receivers["slow"] = alarm.Receiver{ID: "slow", Kind: alarm.Webhook, Address: slow.URL, CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: slow.Certificate().Raw})), Sealed: []byte(testSecret)}
	p.receivers["other"] = alarm.Receiver{ID: "other", Kind: alarm.Webhook, Address: h.URL, Sealed: []byte(testSecret)} // trusts the system's authorities alone
	p.to("slow", "hook", "owner", "other")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	if err := p.courier.round(ctx, &wg); err != nil {
		t.Fatal(err)
	}
	sent := func(i int) bool { p.mu.Lock(); defer p.mu.Unlock(); return !p.sends[i].Sent.IsZero() }
	until(t, "the other's message", func() bool { return sent(1) && sent(2) })
	until(t, "a fault", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.sends[3].Fault != "" })
	if !strings.Contains(p.sends[3].Fault, "certificate") || len(h.heads) != 1 {
		t.Errorf("a certificate that nobody vouches for: %q", p.sends[3].Fault)
	}
	cancel()
	wg.Wait()
	if p.mails.got[0].To != "ines@example.com" || p.mails.got[0].ID != "alarm_a1_owner" || p.mails.got[0].Text != "20 of Kim, by mail." {
		t.Errorf("mail %+v", p.mails.got)
	}
}

func TestCourier_Syslog(t *testing.T) {
	h := httptest.NewUnstartedServer(nil)
	h.StartTLS() // for its certificate alone
	defer h.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", h.TLS)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var b bytes.Buffer
		buf := make([]byte, 4096)
		for !strings.Contains(b.String(), "20 of Kim.") {
			n, err := c.Read(buf)
			if err != nil {
				break
			}
			b.Write(buf[:n])
		}
		got <- b.String()
		_, _ = c.Read(buf)
	}()
	p := newPost(t, nil, loopback)
	p.receivers["logs"] = alarm.Receiver{ID: "logs", Kind: alarm.Syslog, Address: l.Addr().String(), CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))}
	p.to("logs")
	p.round(t)
	text := <-got
	for _, want := range []string{"<105>1 2026-03-02T09:00:00", "gw1 ringfence", "alarm", `account="kim"`, `entry="gate.test/log#7"`, "Many denied requests. 20 of Kim."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	if p.sends[0].Sent.IsZero() {
		t.Errorf("%+v", p.sends[0])
	}
}

func TestNewCourier_Needs(t *testing.T) {
	if _, err := NewCourier(CourierConfig{}); err == nil {
		t.Error("nothing is needed")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("nothing is needed")
	}
	if !isPermanent(errGone) || isPermanent(errors.New("x")) {
		t.Error("what is for good is judged wrongly")
	}
}
