package rego

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// hostile are bodies of a deny rule that try to take time or memory, or to
// reach out. Everyone who may publish policies could write them.
var hostile = map[string]string{
	"three nested loops":    `some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); some c in numbers.range(1, 3000); a + b + c == -1`,
	"long range":            `count(numbers.range(1, 100000000)) > 0`,
	"range with steps":      `count(numbers.range_step(1, 100000000, 1)) > 0`,
	"wide format":           `count(sprintf("%0200000000d", [1])) > 0`,
	"concat that grows":     `a := concat("", [x | some _ in numbers.range(1, 1000); x := "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]); b := concat("", [a | some _ in numbers.range(1, 1000)]); c := concat("", [b | some _ in numbers.range(1, 100000)]); count(c) > 0`,
	"format that doubles":   doubling(`"aaaaaaaaaaaaaaaa"`, `sprintf("%%s%%s", [%[1]s, %[1]s])`, 30) + `count(x30) > 0`,
	"array that doubles":    doubling(`[1]`, `array.concat(%[1]s, %[1]s)`, 34) + `count(x34) > 0`,
	"nested and printed":    doubling(`["a"]`, `[%[1]s, %[1]s]`, 34) + `count(sprintf("%v", [x34])) > 0`,
	"nested and encoded":    doubling(`["a"]`, `[%[1]s, %[1]s]`, 34) + `count(json.marshal(x34)) > 0`,
	"nested and walked":     doubling(`["a"]`, `[%[1]s, %[1]s]`, 34) + `count([1 | walk(x34, _)]) > 0`,
	"replacement":           doubling(`"aaaaaaaaaaaaaaaa"`, `replace(%[1]s, "a", "aaaaaaaaaaaaaaaa")`, 12) + `count(x12) > 0`,
	"regular replacement":   doubling(`"aaaaaaaaaaaaaaaa"`, `regex.replace(%[1]s, "a", "aaaaaaaaaaaaaaaa")`, 12) + `count(x12) > 0`,
	"replacement by group":  doubling(`"aaaaaaaaaaaaaaaa"`, `regex.replace(%[1]s, "^(.*)$", "$1$1$1$1$1$1$1$1")`, 20) + `count(x20) > 0`,
	"base64":                doubling(`"aaaaaaaaaaaaaaaa"`, `base64.encode(%[1]s)`, 90) + `count(x90) > 0`,
	"split":                 long + `count(split(s, "")) > 0`,
	"match":                 long + `regex.match("^(a|b|ab)*(a|b|ab)*(a|b|ab)*c$", s)`,
	"find":                  long + `count(regex.find_n("(a|b)", s, -1)) > 0`,
	"large expression":      `regex.match("((((a{1,30}){1,30}){1,30}){1,30}){1,30}", "aaaaaaaaaaaaaaaaaaaaaaaaaa")`,
	"long expression":       long + `regex.match(s, "abab")`,
	"globs":                 long + `glob.match("{a,b}*{a,b}*{a,b}*{a,b}*c", [], s)`,
	"pairs":                 `count({[a, b] | some a in numbers.range(1, 2000); some b in numbers.range(1, 2000)}) > 0`,
	"wide walk":             `o := {x: {y: 1 | some y in numbers.range(1, 1000)} | some x in numbers.range(1, 1000)}; count([1 | walk(o, _)]) > 0`,
	"reachable":             `g := {x: [y | some y in numbers.range(1, 400)] | some x in numbers.range(1, 400)}; count(graph.reachable(g, {1})) > 400`,
	"nested and compared":   andAgain(doubling(`["a"]`, `[%[1]s, %[1]s]`, 34)) + `x34 == y34`,
	"collected and printed": doubling(`["a"]`, `[%[1]s | some _ in [1, 2]]`, 34) + `count(sprintf("%v", [x34])) > 0`,
	"reachable paths":       `g := {x: [y | some y in numbers.range(1, 400)] | some x in numbers.range(1, 400)}; count(graph.reachable_paths(g, {1})) > 0`,
	"large power":           `x := 1e2000; y := x * x; z := y * y; a := z * z; b := a * a; b > 0`,
	"squares":               doubling(`12345678901234567890`, `%[1]s * %[1]s`, 34) + `x34 == 1`,
	"factorial":             `product(numbers.range(1, 200000)) == 1`,
	"large exponent":        `x := to_number("1e900000000"); x + 1 > 5`,
	"exponents compared":    `x := to_number("1e900000000"); y := to_number("1e900000001"); x == y`,
	"large floor":           `floor(to_number("1e900000000")) == 1`,
	"shift":                 `bits.lsh(1, 100000000000) == 1`,
	"expanded network":      `count(net.cidr_expand("10.0.0.0/8")) > 0`,
	"unions":                doubling(`{1: 1}`, `object.union(%[1]s, {%[1]s: %[1]s})`, 30) + `count(x30) > 0`,
	"schema from elsewhere": `json.match_schema("{}", {"$ref": "http://127.0.0.1:1/x"}) == [1]`,
	"request":               `http.send({"method": "GET", "url": "http://127.0.0.1:1/"}).status_code == 200`,
	"environment":           `opa.runtime().env.HOME == "/root"`,
	"names":                 `count(net.lookup_ip_addr("localhost")) > 0`,
	"clock":                 `time.now_ns() > 0`,
	"chance":                `rand.intn("x", 10) > 5`,
	"identifiers":           `uuid.rfc4122("x") != ""`,
	"signature":             `io.jwt.encode_sign({}, {}, {}) != ""`,
	"trace":                 `trace("x")`,
}

// long makes a text that is just within what a built-in function may work on.
var long = `s := concat("", ["` + strings.Repeat("ab", 500) + `" | some _ in numbers.range(1, 250)]); `

// doubling returns n assignments x01, x02, …, each made from the one before.
func doubling(first, next string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "x00 := %s; ", first)
	for i := range n {
		fmt.Fprintf(&b, "x%02d := %s; ", i+1, fmt.Sprintf(next, fmt.Sprintf("x%02d", i)))
	}
	return b.String()
}

func andAgain(body string) string { return body + strings.ReplaceAll(body, "x", "y") }

// TestHostileRego holds the row of that name: each attempt is refused when it
// is compiled or ends by its deadline or soon after, with bounded memory.
func TestHostileRego(t *testing.T) {
	most, memory := 400*time.Millisecond, uint64(256<<20)
	if raceEnabled { // which is many times slower and empties pools
		most, memory = 10*time.Second, 4<<30
	}
	for title, body := range hostile {
		t.Run(title, func(t *testing.T) {
			s, err := compile(Source{"all/hostile.rego": "package ringfence.all\n\nimport rego.v2\n\n" +
				`deny contains {"code": "hostile", "message": "hostile"} if { ` + body + " }\n"})
			if refused, ok := errors.AsType[*CompileError](err); ok {
				if code := refused.Diagnostics[0].Code; code != "rego_type_error" && code != codeRule {
					t.Fatalf("refused for a reason of its own: %v", refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			e := newEngine(t, Config{Logger: quiet.Logger})
			e.current.Store(s)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			done := make(chan policy.Decision, 1)
			start := time.Now()
			go func() { done <- e.Decide(context.Background(), trialInput("claims", noon)) }()
			select {
			case d := <-done:
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				grown := after.TotalAlloc - before.TotalAlloc
				t.Logf("%v after %v, %d MiB", d.Reasons, took.Round(time.Millisecond), grown>>20)
				if took > most || grown > memory {
					t.Errorf("%v after %v and %d bytes", d, took, grown)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end")
			}
		})
	}
}

// TestHostileRego_Trial shows that a set that does not finish is not put in force.
func TestHostileRego_Trial(t *testing.T) {
	e := newEngine(t, Config{Deadline: 20 * time.Millisecond, Logger: quiet.Logger})
	before := e.Revision()
	_, err := e.Load(context.Background(), Source{"clusters/claims/slow.rego": "package ringfence.clusters.claims\n\nimport rego.v2\n\n" +
		`deny contains {"code": "slow", "message": "slow"} if { ` + hostile["three nested loops"] + " }\n"})
	refused, ok := errors.AsType[*CompileError](err)
	if !ok || refused.Diagnostics[0].Code != codeTrial || refused.Diagnostics[0].File != "clusters/claims" {
		t.Fatalf("got %v", err)
	}
	if e.Revision() != before {
		t.Error("the revision changed")
	}
}
