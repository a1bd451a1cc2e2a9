package delivery

import (
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// What a destination repeats of an entry while it refuses it is not kept.
func TestUnnamed(t *testing.T) {
	e := &accesslog.Entry{Record: policy.Record{Email: "kim@acme.example", SourceIP: "192.0.2.7", UserAgent: "curl/8", Object: "account:kim@acme.example", Detail: map[string]string{"name": "Kim's phone"}}}
	e.Personal = []accesslog.Personal{{Account: "kim", Opening: &accesslog.Opening{}}}
	got := unnamed(`mapper: field [object] is "account:kim@acme.example", [name] "Kim's phone", from 192.0.2.7 (kim@acme.example, curl/8)`, e)
	if want := `mapper: field [object] is "…", [name] "…", from … (…, …)`; got != want {
		t.Errorf("%s", got)
	}
	if got := unnamed("no such index", e); got != "no such index" {
		t.Errorf("%s", got)
	}
}
