package accesslog

import (
	"slices"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

const userAgentHeader = "user-agent"

// appendInput writes what completes the policies' input. The user agent is not
// repeated where the entry has it already.
func appendInput(b []byte, in *policy.RecordedInput, userAgent string) []byte {
	if in == nil {
		return b
	}
	b = append(b, `,"input":{"version":`...)
	b = appendInt(b, int64(in.Version))
	b = appendList(b, `,"roles":`, in.Roles)
	b = appendField(b, `,"token_cluster":`, in.TokenCluster)
	b = appendField(b, `,"token_binding":`, in.TokenBinding)
	if s := in.TokenScope; s != nil {
		b = append(b, `,"token_scope":{"access":`...)
		b = appendString(b, s.Access)
		b = append(b, `,"methods":`...)
		b = appendStrings(b, s.Methods)
		b = append(b, `,"paths":[`...)
		for i, p := range s.Paths {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendStrings(b, p)
		}
		b = append(b, "]}"...)
	}
	b = appendMap(b, `,"query":`, in.Query, appendStrings[string])
	b = appendHeaders(b, in.Headers, userAgent)
	if t := in.TLS; t != nil {
		b = append(b, `,"tls":{"version":`...)
		b = appendString(b, t.Version)
		b = append(b, `,"cipher":`...)
		b = appendString(b, t.Cipher)
		b = append(b, '}')
	}
	if in.Allowed {
		b = append(b, `,"allowed":true`...)
	}
	b = appendList(b, `,"withheld":`, in.Withheld)
	return append(b, '}')
}

func appendHeaders(b []byte, headers map[string]string, userAgent string) []byte {
	var few [8]string // as many as there are input headers
	names := few[:0]
	for name, v := range headers {
		if name != userAgentHeader || userAgent == "" || v != userAgent {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return b
	}
	slices.Sort(names)
	b = append(b, `,"headers":`...)
	for i, name := range names {
		b = append(b, "{,"[min(i, 1)])
		b = append(appendString(b, name), ':')
		b = appendString(b, headers[name])
	}
	return append(b, '}')
}

func inputCell(e *Entry) string {
	return strings.TrimPrefix(string(appendInput(nil, e.Record.Input, e.UserAgent)), `,"input":`)
}

func (d *decoder) input() *policy.RecordedInput {
	in := &policy.RecordedInput{}
	d.lit(`{"version":`)
	in.Version = int(d.int())
	if d.key(`,"roles":`) {
		for _, r := range d.strings() {
			in.Roles = append(in.Roles, policy.Role(r))
		}
	}
	d.str(`,"token_cluster":`, &in.TokenCluster)
	d.str(`,"token_binding":`, &in.TokenBinding)
	if d.key(`,"token_scope":`) {
		in.TokenScope = d.scope()
	}
	decodeMap(d, `,"query":`, &in.Query, (*decoder).strings)
	decodeMap(d, `,"headers":`, &in.Headers, (*decoder).string)
	if d.key(`,"tls":`) {
		in.TLS = &policy.TLS{}
		d.lit(`{"version":`)
		in.TLS.Version = d.string()
		d.lit(`,"cipher":`)
		in.TLS.Cipher = d.string()
		d.lit(`}`)
	}
	in.Allowed = d.key(`,"allowed":true`)
	d.list(`,"withheld":`, &in.Withheld)
	d.lit(`}`)
	return in
}

func (d *decoder) scope() *policy.TokenScope {
	s := &policy.TokenScope{Paths: [][]string{}}
	d.lit(`{"access":`)
	s.Access = d.string()
	d.lit(`,"methods":`)
	s.Methods = d.strings()
	d.lit(`,"paths":[`)
	for d.err == nil && !d.has(`]`) {
		if len(s.Paths) > 0 {
			d.lit(`,`)
		}
		s.Paths = append(s.Paths, d.strings())
	}
	d.lit(`]}`)
	return s
}
