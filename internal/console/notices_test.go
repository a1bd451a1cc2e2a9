package console

import (
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// noticesSample is the page with a notice of every kind and one of none.
func noticesSample(base Base, say sampleText) *noticesPage {
	p := &noticesPage{Base: base, Unseen: 2, UpTo: sampleNow.Format(time.RFC3339Nano)}
	at := sampleNow
	for i, kind := range append(slices.Sorted(maps.Keys(noticeTexts)), "of_the_future") {
		n := auth.Notice{Kind: kind, At: at, IP: "198.51.100.24", UserAgent: say("Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0"),
			Detail: map[string]string{"name": say("Work phone"), "left": "7", "codes": "4", "sessions": "2", "by": say("ada@example.com"),
				"issuer": "https://login.northwind.example", "ip": "198.51.100.24", "ends": "2026-01-05T18:00:00Z", "cluster": "claims", "expires": "2026-01-06T18:00:00Z"}}
		if i > 1 {
			n.Seen = at
		}
		p.Notices = append(p.Notices, showNotice(&n))
		at = at.Add(-31 * time.Hour)
	}
	return p
}

func bannered(b Base, say sampleText) Base {
	b.Notice = &ui.Notice{Title: noticeTexts[auth.NoticeWrongCodes].Title, At: sampleNow, IP: "203.0.113.77", Client: ui.Verbatim(say("Chrome on Linux")), Others: 2, Grave: true}
	return b
}

// leave puts a notice into the store, as package auth does.
func (w *world) leave(n auth.Notice) {
	w.t.Helper()
	if n.At.IsZero() {
		n.At = w.clock()
	}
	if err := w.store.PutNotice(w.t.Context(), n); err != nil {
		w.t.Fatal(err)
	}
}

// dismiss posts the form that says that the notices of this page were seen.
func (b *browser) dismiss() *browser {
	b.w.t.Helper()
	for in := range elements(b.page, "input") {
		if attr(in, "name") == "up_to" {
			return b.submit(map[string]string{"up_to": attr(in, "value")})
		}
	}
	b.w.t.Fatalf("nothing can be dismissed at %s", b.at)
	return b
}

func TestNotices_ShownUntilSeen(t *testing.T) {
	w := newWorld(t).enrolled("kim", "lee")
	w.leave(auth.Notice{ID: "n1", Account: "kim", Kind: auth.NoticeWrongCodes, IP: "203.0.113.7", UserAgent: "curl/8", Detail: map[string]string{"codes": "4"}})
	w.leave(auth.Notice{ID: "n2", Account: "lee", Kind: auth.NoticePasswordChanged})
	b := w.browser()
	b.signIn("kim").has(200, "Your password was right, but the code was wrong", "203.0.113.7", "curl").lacks("Your password was changed")
	b.visit("/sessions").has(200, "Your password was right")
	b.visit("/notices").has(200, "Wrong codes since your last sign-in: 4.", "change your password", "new")

	// One that comes between reading and dismissing stays new.
	w.pass(time.Second)
	w.leave(auth.Notice{ID: "n3", Account: "kim", Kind: auth.NoticePasswordChanged})
	b.dismiss().has(200, "Your password was changed", "new")
	b.visit("/").has(200, "Your password was changed").lacks("the code was wrong", "more notice")
	b.dismiss().lacks("Your password was changed")
	b.visit("/notices").has(200, "Your password was changed", "the code was wrong").lacks("Mark all as seen")

	// Nobody dismisses what is somebody else's.
	other := w.browser()
	other.signIn("lee").has(200, "Your password was changed")
}

func TestNotices_OfAdministratorsStandOnTheConsole(t *testing.T) {
	w := newWorld(t).enrolled("ada")
	w.leave(auth.Notice{ID: "n1", Account: "ada", Kind: auth.NoticeRecoveryUsed, Detail: map[string]string{"left": "9"}})
	b := w.browser()
	b.signIn("ada").has(200, "Overview", "A recovery code was used")
	b.visit("/console/people").has(200, "A recovery code was used")
}

func TestNotices_OddForms(t *testing.T) {
	w := newWorld(t).enrolled("kim")
	b := w.browser()
	b.signIn("kim")
	for _, upTo := range []string{"", "yesterday", "2026-01-01"} {
		res, err := b.PostForm(gateURL+"/notices/seen", url.Values{"up_to": {upTo}})
		b.take(res, err).has(http.StatusBadRequest)
	}
}

// Every kind has a title, a text, and what to do; a kind without words gets
// sentences all the same.
func TestNotices_EveryKindIsWorded(t *testing.T) {
	kinds := noticeKinds(t)
	if len(kinds) < 20 {
		t.Errorf("package auth has the kinds %q only", kinds)
	}
	for _, kind := range kinds {
		if _, ok := noticeTexts[kind]; !ok {
			t.Errorf("a notice of the kind %s has no words", kind)
		}
	}
	for kind, words := range noticeTexts {
		if words.Title.String() == "" || words.Text == nil || words.Alarm == "" || strings.HasSuffix(words.Title.String(), ".") || !strings.HasSuffix(words.Text[0].Text.String(), ".") {
			t.Errorf("%s is worded %+v", kind, words)
		}
	}
	got := wordsOf(&auth.Notice{Kind: "of_the_future"})
	if got.Title != unknownNotice.Title || got.Text == nil {
		t.Errorf("an unknown kind is worded %+v", got)
	}
}

// noticeKinds reads from package auth which kinds of notices it leaves.
func noticeKinds(t *testing.T) []auth.NoticeKind {
	t.Helper()
	files, err := filepath.Glob("../../auth/*.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^(?:const )?\s*Notice\w+\s+NoticeKind = "([^"]+)"`)
	var kinds []auth.NoticeKind
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			kinds = append(kinds, auth.NoticeKind(m[1]))
		}
	}
	return kinds
}

// A sentence whose detail is missing is left out, and a detail is one line
// that is not looked into.
func TestNotices_Details(t *testing.T) {
	for _, c := range []struct{ detail, want string }{
		{"by", "It is done. It was done by Ada."}, {"nobody", "It is done."}, {"what", "It is done. It was done by {1}."}, {"lines", "It is done. It was done by a b c."},
	} {
		words := noticeText{Text: []noticeSentence{{Text: "It is done."}, {"It was done by {1}.", c.detail}}}
		if got := words.filled(map[string]string{"by": "Ada", "what": "{1}", "lines": "a\r\nb\u2028c\x1b"}).String(); got != c.want {
			t.Errorf("%s became %q, want %q", c.detail, got, c.want)
		}
	}
}
