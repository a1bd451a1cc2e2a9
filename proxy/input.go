package proxy

import (
	"crypto/tls"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// inputHeaders are [policy.InputHeaders] with the names that net/http gives them.
var inputHeaders = func() (out []struct{ canonical, name string }) {
	for _, n := range policy.InputHeaders {
		out = append(out, struct{ canonical, name string }{canonicalName(n), n})
	}
	return out
}()

// cipherNames holds every suite's name, since crypto/tls makes a list at each look-up.
var cipherNames = func() map[uint16]string {
	m := make(map[uint16]string)
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		m[s.ID] = s.Name
	}
	return m
}()

func canonicalName(s string) string {
	parts := strings.Split(s, "-")
	for i, p := range parts {
		parts[i] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "-")
}

// fillInput completes the input of the decision from what is settled by now.
// The subject is there already.
func (x *exchange) fillInput() {
	in := &x.input
	in.Version = policy.ContractVersion
	in.Resource = policy.Resource{Cluster: x.cluster.Name, Classification: x.cluster.Classification, Route: x.route.Name}
	in.Request = policy.Request{
		ID: x.id, Time: x.now.Format(time.RFC3339Nano), TimeNS: x.now.UnixNano(),
		Protocol: x.protocol, Method: x.r.Method, Host: x.host,
		Path: x.target.Segments, RawPath: x.target.Raw, Query: x.target.Query,
		SourceIP: x.sourceText,
	}
	for _, h := range inputHeaders {
		lines := x.r.Header[h.canonical]
		if len(lines) == 0 {
			continue
		}
		if in.Request.Headers == nil {
			in.Request.Headers = make(map[string]string, len(inputHeaders))
		}
		if len(lines) == 1 {
			in.Request.Headers[h.name] = lines[0]
		} else {
			in.Request.Headers[h.name] = strings.Join(lines, ", ")
		}
	}
	if s := x.r.TLS; s != nil && s.Version != 0 {
		x.tls = policy.TLS{Version: strings.TrimPrefix(tls.VersionName(s.Version), "TLS "), Cipher: cipherNames[s.CipherSuite]}
		in.Request.TLS = &x.tls
	}
	in.Facts = x.facts()
}

func (x *exchange) facts() *policy.Document {
	if x.h.Knower == nil || x.input.Subject.IsAnonymous() {
		return nil
	}
	return x.h.Knower.Facts(x.input.Subject.Account, x.cluster.Name, x.source)
}
