// Package regotest holds policies that try to do harm, for the tests of
// whatever runs policies. It runs none itself.
package regotest

import (
	"fmt"
	"strings"
)

// Hostile are bodies of a deny rule that try to take time or memory, or to
// reach out. Everyone who may publish policies could write them.
var Hostile = map[string]string{
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
	"patched into itself":   patched("a") + patched("b") + `a == b`,
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

// Head begins a module for every cluster.
const Head = "package ringfence.all\n\nimport rego.v2\n\n"

// Denying returns a module with one deny rule of a body.
func Denying(body string) string {
	return Head + `deny contains {"code": "hostile", "message": "This is hostile."} if { ` + body + " }\n"
}

// Modules are whole modules that try to overwhelm whoever parses, compiles or
// compares, or to hide among the tests.
func Modules() map[string]string {
	nest := func(open, inner, closed string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(closed, n)
	}
	lines := func(n int, line func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(line(i))
		}
		return b.String()
	}
	return map[string]string{
		"brackets":            Denying("x := " + nest("[", "", "]", 400_000) + "; count(x) > 0"),
		"some brackets":       Denying("x := " + nest("[", "", "]", 20_000) + "; count(x) > 0"),
		"braces":              Denying("x := " + nest(`{"a":`, "1", "}", 100_000) + "; count(x) > 0"),
		"parentheses":         Denying(nest("(", "1", ")", 400_000) + " == 1"),
		"calls":               Denying(nest("abs(", "1", ")", 100_000) + " == 1"),
		"negations":           Denying(strings.Repeat("not ", 200_000) + "input.version == 1"),
		"comprehensions":      Denying("x := " + nest("[y | y := ", "1", "]", 50_000) + "; count(x) > 0"),
		"every in every":      Denying(nest("every x in [1] { ", "x == 1", " }", 20_000)),
		"a long sum":          Denying("x := 1" + strings.Repeat("+1", 400_000) + "; x > 0"),
		"a long union":        Denying("x := {1}" + strings.Repeat("|{1}", 200_000) + "; count(x) > 0"),
		"a long path":         Denying("input" + strings.Repeat(".a", 400_000)),
		"a chain of rules":    Denying("r30000") + "r0 if input.version == 1\n" + lines(30_000, func(i int) string { return fmt.Sprintf("r%d if r%d\n", i+1, i) }),
		"a chain of else":     Denying("x == 0") + "x := 1 if input.version == 0" + lines(25_000, func(i int) string { return fmt.Sprintf(" else := %d if input.version == 0", i) }) + "\n",
		"rules of one name":   Head + lines(20_000, func(i int) string { return fmt.Sprintf("x contains %d if input.version == %d\n", i, i) }),
		"faults without end":  Head + lines(50_000, func(i int) string { return fmt.Sprintf("r%d if y%d\n", i, i) }),
		"values of values":    Denying("r40 == s40") + doublingRules("r") + doublingRules("s"),
		"functions of values": Denying("f40(1) == g40(1)") + doublingFunctions("f") + doublingFunctions("g"),
		"lists of lists":      Denying(lists("a") + lists("b") + "a5 == b5"),
		"patched":             Denying(patched("a") + patched("b") + "a == b"),
		"deep and compared":   Denying(deep("a") + deep("b") + "a9000 == b9000"),
		"deep over rules":     Denying("r20000 == s20000") + deepRules("r") + deepRules("s"),
		"unmarshalled":        Denying(`s := concat("", ["[" | some _ in numbers.range(1, 100000)]); t := concat("", ["]" | some _ in numbers.range(1, 100000)]); json.unmarshal(concat("", [s, t])) == json.unmarshal(concat("", [s, " ", t]))`),
		"memory":              Denying(`x := [[a, b, "aaaaaaaaaaaaaaaa"] | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000)]; count(x) == 1`),
		"memory of texts":     Denying(`x := {sprintf("%d %d %s", [a, b, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]) | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000)}; count(x) == 1`),
	}
}

func doublingRules(name string) string {
	out := name + "0 := [1]\n"
	for i := range 40 {
		out += fmt.Sprintf("%[1]s%[2]d := [%[1]s%[3]d, %[1]s%[3]d]\n", name, i+1, i)
	}
	return out
}

func doublingFunctions(name string) string {
	out := name + "0(x) := [x]\n"
	for i := range 40 {
		out += fmt.Sprintf("%[1]s%[2]d(x) := [%[1]s%[3]d(x), %[1]s%[3]d(x)]\n", name, i+1, i)
	}
	return out
}

func lists(name string) string {
	out := name + "0 := [1 | some _ in numbers.range(1, 1000)]; "
	for i := range 5 {
		out += fmt.Sprintf("%[1]s%[2]d := [%[1]s%[3]d | some _ in numbers.range(1, 1000)]; ", name, i+1, i)
	}
	return out
}

func patched(name string) string {
	return name + ` := json.patch({"a": 1}, [p | some _ in numbers.range(1, 60); some p in [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/c", "value": {}}, {"op": "copy", "from": "/a", "path": "/c/a"}, {"op": "copy", "from": "/b", "path": "/c/b"}, {"op": "copy", "from": "/c", "path": "/a"}]]); `
}

func deep(name string) string {
	var b strings.Builder
	b.WriteString(name + "0 := [1]; ")
	for i := range 9000 {
		fmt.Fprintf(&b, "%[1]s%[2]d := [%[1]s%[3]d]; ", name, i+1, i)
	}
	return b.String()
}

func deepRules(name string) string {
	var b strings.Builder
	b.WriteString(name + "0 := [1]\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "%[1]s%[2]d := [%[1]s%[3]d]\n", name, i+1, i)
	}
	return b.String()
}
