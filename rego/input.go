package rego

import (
	"maps"
	"strconv"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/ringfence/ringfence/policy"
)

// maxInput bounds the bytes of a request that policies may see: the work of
// some built-in functions grows with it and cannot be interrupted.
const maxInput = 64 << 10

var (
	keyVersion, keySubject, keyFacts, keyRequest, keyResource = newKey("version"), newKey("subject"), newKey("facts"), newKey("request"), newKey("resource")

	keyAccount, keyEmail, keyVendor, keyRoles = newKey("account"), newKey("email"), newKey("vendor"), newKey("roles")
	keySession, keyCredential                 = newKey("session"), newKey("credential")
	keyTokenCluster, keyFactors               = newKey("token_cluster"), newKey("factors")
	keyTokenBinding, keyTokenScope            = newKey("token_binding"), newKey("token_scope")
	keyAccess, keyMethods, keyPaths           = newKey("access"), newKey("methods"), newKey("paths")

	keyID, keyTime, keyTimeNS, keyProtocol = newKey("id"), newKey("time"), newKey("time_ns"), newKey("protocol")
	keyMethod, keyHost, keyPath            = newKey("method"), newKey("host"), newKey("path")
	keyRawPath, keyQuery, keyHeaders       = newKey("raw_path"), newKey("query"), newKey("headers")
	keySourceIP, keyTLS, keyCipher         = newKey("source_ip"), newKey("tls"), newKey("cipher")

	keyCluster, keyClassification, keyRoute = newKey("cluster"), newKey("classification"), newKey("route")
)

// constants are the terms of strings that nearly every request repeats.
var constants = func() map[string]*ast.Term {
	out := map[string]*ast.Term{}
	for _, s := range []string{
		"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "http", "websocket", "grpc",
		policy.CredentialSession, policy.CredentialToken, policy.FactorPassword, policy.FactorTOTP, policy.FactorRecovery,
		policy.FactorExternal, policy.FactorProvider, policy.FactorWebAuthn,
	} {
		out[s] = ast.StringTerm(s)
	}
	return out
}()

// A builder makes the term of one input out of the fields that a set reads.
// Its terms come out of one block.
type builder struct {
	reads *reads
	group string
	items [][2]*ast.Term
	pairs [12][2]*ast.Term
	block []ast.Term
}

func (b *builder) start(group string) { b.group, b.items = group, b.pairs[:0] }

func (b *builder) put(k key, t *ast.Term) { b.items = append(b.items, [2]*ast.Term{k.term, t}) }

func (b *builder) wants(k key) bool { return b.reads.has(b.group, k.name) }

// term returns a term of v.
func (b *builder) term(v ast.Value) *ast.Term {
	if len(b.block) == 0 {
		b.block = make([]ast.Term, 24)
	}
	t := &b.block[0]
	b.block = b.block[1:]
	t.Value = v
	return t
}

func (b *builder) string(s string) *ast.Term {
	if len(s) <= 9 { // the longest constant
		if t := constants[s]; t != nil {
			return t
		}
	}
	return b.term(ast.String(s))
}

func (b *builder) int(n int64) *ast.Term {
	if n >= 0 && n < 512 {
		return ast.InternedTerm(int(n))
	}
	return b.term(ast.Number(strconv.FormatInt(n, 10)))
}

// text puts a string that is always there.
func (b *builder) text(k key, s string) {
	if b.wants(k) {
		b.put(k, b.string(s))
	}
}

// maybe puts a string unless it is empty, which stands for not known.
func (b *builder) maybe(k key, s string) {
	if s != "" {
		b.text(k, s)
	}
}

// list returns a term of an array of strings.
func list[S ~string](b *builder, from []S) *ast.Term {
	if len(from) == 0 {
		return emptyArray
	}
	terms := make([]*ast.Term, len(from))
	for i, s := range from {
		terms[i] = b.string(string(s))
	}
	return b.term(ast.NewArray(terms...))
}

func (b *builder) done() *ast.Term { return b.term(ast.NewObject(b.items...)) }

// buildInput returns in as an evaluation of s gets it: the same as
// [inputTerm], without what s never reads.
func (s *set) buildInput(in *policy.Input) *ast.Term {
	b := builder{reads: &s.reads}
	items := [5][2]*ast.Term{
		{keyVersion.term, b.int(int64(in.Version))}, {keySubject.term, b.subject(&in.Subject)},
		{keyRequest.term, b.request(&in.Request)}, {keyResource.term, s.resources.term(&b, in.Resource)},
	}
	n := 4
	if in.Facts != nil {
		items[n] = [2]*ast.Term{keyFacts.term, factsTerm(in.Facts)}
		n++
	}
	return b.term(ast.NewObject(items[:n]...))
}

func (b *builder) subject(s *policy.Subject) *ast.Term {
	var factors *ast.Term
	b.start("subject")
	if len(s.Factors) > 0 && b.wants(keyFactors) {
		factors = b.factors(s.Factors)
	}
	b.start("subject")
	b.maybe(keyAccount, s.Account)
	b.maybe(keyEmail, s.Email)
	b.maybe(keyVendor, s.Vendor)
	if len(s.Roles) > 0 && b.wants(keyRoles) {
		b.put(keyRoles, list(b, s.Roles))
	}
	b.maybe(keySession, s.Session)
	b.maybe(keyCredential, s.Credential)
	b.maybe(keyTokenCluster, s.TokenCluster)
	b.maybe(keyTokenBinding, s.TokenBinding)
	if s.TokenScope != nil && b.wants(keyTokenScope) {
		b.put(keyTokenScope, b.scope(s.TokenScope))
	}
	if factors != nil {
		b.put(keyFactors, factors)
	}
	return b.done()
}

func (b *builder) factors(factors map[string]int64) *ast.Term {
	for name, age := range factors {
		b.items = append(b.items, [2]*ast.Term{b.string(name), b.int(age)})
	}
	return b.done()
}

func (b *builder) scope(s *policy.TokenScope) *ast.Term {
	paths := make([]*ast.Term, len(s.Paths))
	for i, p := range s.Paths {
		paths[i] = list(b, p)
	}
	return ast.ObjectTerm([2]*ast.Term{keyAccess.term, b.string(s.Access)},
		[2]*ast.Term{keyMethods.term, list(b, s.Methods)}, [2]*ast.Term{keyPaths.term, b.term(ast.NewArray(paths...))})
}

func (b *builder) request(q *policy.Request) *ast.Term {
	b.start("request")
	b.text(keyID, q.ID)
	b.text(keyTime, q.Time)
	if b.wants(keyTimeNS) {
		b.put(keyTimeNS, b.int(q.TimeNS))
	}
	b.text(keyProtocol, q.Protocol)
	b.text(keyMethod, q.Method)
	b.text(keyHost, q.Host)
	if b.wants(keyPath) {
		b.put(keyPath, list(b, q.Path))
	}
	b.text(keyRawPath, q.RawPath)
	if len(q.Query) > 0 && b.wants(keyQuery) {
		items := make([][2]*ast.Term, 0, len(q.Query))
		for name, values := range q.Query {
			items = append(items, [2]*ast.Term{b.string(name), list(b, values)})
		}
		b.put(keyQuery, b.term(ast.NewObject(items...)))
	}
	if len(q.Headers) > 0 && b.wants(keyHeaders) {
		items := make([][2]*ast.Term, 0, len(q.Headers))
		for name, value := range q.Headers {
			items = append(items, [2]*ast.Term{b.string(name), b.string(value)})
		}
		b.put(keyHeaders, b.term(ast.NewObject(items...)))
	}
	b.text(keySourceIP, q.SourceIP)
	if q.TLS != nil && b.wants(keyTLS) {
		b.put(keyTLS, ast.ObjectTerm([2]*ast.Term{keyVersion.term, b.string(q.TLS.Version)}, [2]*ast.Term{keyCipher.term, b.string(q.TLS.Cipher)}))
	}
	return b.done()
}

// resources keeps the terms of resources, of which a deployment has few: one a
// route. Readers take no lock.
type resources struct {
	kept atomic.Pointer[map[policy.Resource]*ast.Term]
}

// maxResources bounds what is kept; further ones are built each time.
const maxResources = 2_000

func (k *resources) term(b *builder, r policy.Resource) *ast.Term {
	old := k.kept.Load()
	if old != nil {
		if t := (*old)[r]; t != nil {
			return t
		}
	}
	own := builder{reads: b.reads} // what is kept shares no block with a request
	own.start("resource")
	own.text(keyCluster, r.Cluster)
	own.text(keyClassification, r.Classification)
	own.text(keyRoute, r.Route)
	t := own.done()
	now := map[policy.Resource]*ast.Term{r: t}
	if old != nil {
		if len(*old) >= maxResources {
			return t
		}
		maps.Copy(now, *old)
	}
	k.kept.CompareAndSwap(old, &now) // whoever comes second is kept the next time
	return t
}

// size returns the bytes of the request that its sender chose.
func size(q *policy.Request) int {
	n := len(q.Method) + len(q.Host) + len(q.RawPath)
	for _, s := range q.Path {
		n += len(s) + 1
	}
	for name, values := range q.Query {
		n += len(name)
		for _, v := range values {
			n += len(v) + 1
		}
	}
	for name, v := range q.Headers {
		n += len(name) + len(v)
	}
	return n
}
