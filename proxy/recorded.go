package proxy

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ringfence/ringfence/policy"
)

// maxKept bounds the bytes of the query's values in one record.
const maxKept = 4096

const (
	referer   = "referer"
	userAgent = "user-agent"
)

// keepInput notes, for the record of the decision, what of its input the
// record's other fields do not hold. What is not kept in full is named, so that
// a later reader never takes a part for the whole.
func (x *exchange) keepInput(decided policy.Effect) {
	in, k := &x.input, &x.kept
	*k = policy.RecordedInput{Version: in.Version, TokenCluster: in.Subject.TokenCluster, TokenBinding: in.Subject.TokenBinding,
		TokenScope: in.Subject.TokenScope, Headers: in.Request.Headers, TLS: in.Request.TLS,
		Allowed: decided == policy.Allow && x.decision.Effect != policy.Allow}
	withhold := func(path string) { k.Withheld = append(k.Withheld, path) }
	k.Query = x.keptQuery(withhold)
	if roles := rolesOf(in.Facts); !slices.Equal(roles, in.Subject.Roles) {
		if k.Roles = in.Subject.Roles; len(k.Roles) == 0 {
			withhold("subject.roles") // the record has no word for none
		}
	}
	if len(in.Request.RawPath) > maxText {
		withhold("request.path")
		withhold("request.raw_path")
	}
	own := false // the input's map is the decision's, so it is not changed
	for name, v := range in.Request.Headers {
		part, whole := keptHeader(name, v)
		if whole {
			continue
		}
		if !own {
			k.Headers, own = maps.Clone(k.Headers), true
		}
		delete(k.Headers, name)
		if part != "" {
			k.Headers[name] = part
		}
		withhold("request.headers." + name)
	}
	slices.Sort(k.Withheld)
}

func rolesOf(d *policy.Document) []policy.Role {
	if f := d.Facts(); f != nil && f.Account != nil {
		return f.Account.Roles
	}
	return nil
}

// keptQuery returns the values of those fields of the query that the
// configuration names.
func (x *exchange) keptQuery(withhold func(string)) (kept map[string][]string) {
	q := x.input.Request.Query
	if !namesKept(q) {
		withhold("request.query")
		return nil
	}
	room := maxKept
	for _, name := range x.h.QueryValues {
		values, ok := q[name]
		for _, v := range values {
			room -= len(v)
			ok = ok && utf8.ValidString(v)
		}
		if !ok || room < 0 {
			continue
		}
		if kept == nil {
			kept = map[string][]string{}
		}
		kept[name] = values
	}
	return kept
}

// namesKept reports whether a record's query_names hold all of the names.
func namesKept(q map[string][]string) bool {
	if len(q) > maxNames {
		return false
	}
	for name := range q {
		if len(name) > maxText {
			return false
		}
	}
	return true
}

// keptHeader returns what is kept of a header's value, and whether that is all
// of it. The address of a page can hold what only its reader should have, so
// its query goes, as does a password.
func keptHeader(name, v string) (kept string, whole bool) {
	whole = true
	if name == referer {
		if i := strings.IndexAny(v, "?#"); i >= 0 {
			v, whole = v[:i], false
		}
		if scheme, rest, ok := strings.Cut(v, "://"); ok {
			host, path, _ := strings.Cut(rest, "/")
			if i := strings.LastIndexByte(host, '@'); i >= 0 {
				v, whole = scheme+"://"+host[i+1:]+"/"+path, false
			}
		}
	}
	if len(v) > maxText || !utf8.ValidString(v) {
		if name == userAgent {
			return "", false // the record's own field has what there is of it
		}
		return clip(v), false
	}
	return v, whole
}
