package rego

import (
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

	keyID, keyTime, keyTimeNS, keyProtocol = newKey("id"), newKey("time"), newKey("time_ns"), newKey("protocol")
	keyMethod, keyHost, keyPath            = newKey("method"), newKey("host"), newKey("path")
	keyRawPath, keyQuery, keyHeaders       = newKey("raw_path"), newKey("query"), newKey("headers")
	keySourceIP, keyTLS, keyCipher         = newKey("source_ip"), newKey("tls"), newKey("cipher")

	keyCluster, keyClassification, keyRoute = newKey("cluster"), newKey("classification"), newKey("route")

	factorTerms = map[string]*ast.Term{
		policy.FactorPassword: ast.StringTerm(policy.FactorPassword),
		policy.FactorTOTP:     ast.StringTerm(policy.FactorTOTP),
		policy.FactorRecovery: ast.StringTerm(policy.FactorRecovery),
	}
)

// object collects the fields of one object that a set reads.
type object struct {
	reads *reads
	group string
	items [][2]*ast.Term
	pairs [12][2]*ast.Term
}

func (o *object) start(group string) {
	o.group, o.items = group, o.pairs[:0]
}

func (o *object) put(k key, t *ast.Term) { o.items = append(o.items, [2]*ast.Term{k.term, t}) }

func (o *object) wants(k key) bool { return o.reads.has(o.group, k.name) }

// text puts a string that is always there.
func (o *object) text(k key, s string) {
	if o.wants(k) {
		o.put(k, ast.StringTerm(s))
	}
}

// maybe puts a string unless it is empty, which stands for not known.
func (o *object) maybe(k key, s string) {
	if s != "" {
		o.text(k, s)
	}
}

func (o *object) done() *ast.Term { return ast.NewTerm(ast.NewObject(o.items...)) }

// buildInput returns in as the set's evaluation gets it: the same as
// [inputTerm], without what the set never reads.
func buildInput(r *reads, in *policy.Input) *ast.Term {
	o := object{reads: r}
	subject := subjectTerm(&o, &in.Subject)
	request := requestTerm(&o, &in.Request)
	resource := resourceTerm(&o, &in.Resource)
	items := [5][2]*ast.Term{
		{keyVersion.term, intTerm(int64(in.Version))}, {keySubject.term, subject},
		{keyRequest.term, request}, {keyResource.term, resource},
	}
	n := 4
	if in.Facts != nil {
		items[n] = [2]*ast.Term{keyFacts.term, factsTerm(in.Facts)}
		n++
	}
	return ast.NewTerm(ast.NewObject(items[:n]...))
}

func subjectTerm(o *object, s *policy.Subject) *ast.Term {
	o.start("subject")
	o.maybe(keyAccount, s.Account)
	o.maybe(keyEmail, s.Email)
	o.maybe(keyVendor, s.Vendor)
	if len(s.Roles) > 0 && o.wants(keyRoles) {
		o.put(keyRoles, stringsTerm(s.Roles))
	}
	o.maybe(keySession, s.Session)
	o.maybe(keyCredential, s.Credential)
	o.maybe(keyTokenCluster, s.TokenCluster)
	if len(s.Factors) > 0 && o.wants(keyFactors) {
		o.put(keyFactors, factorsTerm(s.Factors))
	}
	return o.done()
}

func factorsTerm(factors map[string]int64) *ast.Term {
	var room [4][2]*ast.Term
	items := room[:0]
	for name, age := range factors {
		k := factorTerms[name]
		if k == nil {
			k = ast.StringTerm(name)
		}
		items = append(items, [2]*ast.Term{k, intTerm(age)})
	}
	return ast.NewTerm(ast.NewObject(items...))
}

func requestTerm(o *object, q *policy.Request) *ast.Term {
	o.start("request")
	o.text(keyID, q.ID)
	o.text(keyTime, q.Time)
	if o.wants(keyTimeNS) {
		o.put(keyTimeNS, intTerm(q.TimeNS))
	}
	o.text(keyProtocol, q.Protocol)
	o.text(keyMethod, q.Method)
	o.text(keyHost, q.Host)
	if o.wants(keyPath) {
		o.put(keyPath, stringsTerm(q.Path))
	}
	o.text(keyRawPath, q.RawPath)
	if len(q.Query) > 0 && o.wants(keyQuery) {
		items := make([][2]*ast.Term, 0, len(q.Query))
		for name, values := range q.Query {
			items = append(items, [2]*ast.Term{ast.StringTerm(name), stringsTerm(values)})
		}
		o.put(keyQuery, ast.ObjectTerm(items...))
	}
	if len(q.Headers) > 0 && o.wants(keyHeaders) {
		items := make([][2]*ast.Term, 0, len(q.Headers))
		for name, value := range q.Headers {
			items = append(items, [2]*ast.Term{ast.StringTerm(name), ast.StringTerm(value)})
		}
		o.put(keyHeaders, ast.ObjectTerm(items...))
	}
	o.text(keySourceIP, q.SourceIP)
	if q.TLS != nil && o.wants(keyTLS) {
		o.put(keyTLS, ast.ObjectTerm([2]*ast.Term{keyVersion.term, ast.StringTerm(q.TLS.Version)},
			[2]*ast.Term{keyCipher.term, ast.StringTerm(q.TLS.Cipher)}))
	}
	return o.done()
}

func resourceTerm(o *object, r *policy.Resource) *ast.Term {
	o.start("resource")
	o.text(keyCluster, r.Cluster)
	o.text(keyClassification, r.Classification)
	o.text(keyRoute, r.Route)
	return o.done()
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
