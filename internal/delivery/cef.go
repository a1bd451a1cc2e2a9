package delivery

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// AppendCEF appends e as one line of CEF version 0. Custom strings are the
// cluster, vendor, reasons, policy revision, session and origin, and the first
// flexible one how long the request waited for its entry.
func AppendCEF(b []byte, e *accesslog.Entry, origin, version string) []byte {
	id, name := cefEvent(e)
	b = append(b, "CEF:0"...)
	for _, field := range []string{"Ringfence", "Ringfence", version, id, name, cefSeverity(e)} {
		b = append(b, '|')
		b = append(b, cefHeader.Replace(oneLine(field))...)
	}
	b = append(b, '|')
	first := true
	put := func(key, v string) {
		if v == "" {
			return
		}
		if !first {
			b = append(b, ' ')
		}
		first = false
		b = append(append(b, key...), '=')
		b = append(b, cefValue.Replace(visible(v))...)
	}
	count := func(key string, n *int64) {
		if n != nil {
			put(key, strconv.FormatInt(*n, 10))
		}
	}
	put("rt", strconv.FormatInt(e.Time.UnixMilli(), 10))
	put("externalId", strconv.FormatUint(e.Index, 10))
	put("dvchost", e.Node)
	put("cat", string(e.Type))
	put("act", e.Effect)
	put("outcome", ecsOutcome(e))
	put("reason", e.Result+e.Ended)
	put("src", e.SourceIP)
	put("suid", first2(e.Account, e.Actor))
	put("suser", first2(e.Email, first2(e.Account, e.Actor)))
	put("app", e.Protocol)
	put("dhost", e.Host)
	put("requestMethod", e.Method)
	if e.Host != "" {
		put("request", "https://"+e.Host+e.Path)
	}
	put("requestClientApplication", e.UserAgent)
	count("in", e.BytesIn)
	count("out", e.BytesOut)
	if account, ok := strings.CutPrefix(e.Object, "account:"); ok {
		put("duser", account)
	} else {
		put("msg", e.Object)
	}
	for i, c := range [][2]string{{"cluster", e.Cluster}, {"vendor", e.Vendor}, {"reasons", strings.Join(e.Reasons, " ")},
		{"policyRevision", e.Revision}, {"session", e.Session}, {"logOrigin", origin}} {
		if c[1] != "" {
			n := "cs" + strconv.Itoa(i+1)
			put(n, c[1])
			put(n+"Label", c[0])
		}
	}
	if e.Mode != "" {
		put("flexString1", e.Mode)
		put("flexString1Label", "logMode")
	}
	if e.Status != 0 {
		put("cn1", strconv.Itoa(e.Status))
		put("cn1Label", "httpStatus")
	}
	if e.Duration != nil {
		count("cn2", e.Duration)
		put("cn2Label", "durationMs")
	}
	return b
}

var (
	cefHeader = strings.NewReplacer(`\`, `\\`, `|`, `\|`)
	cefValue  = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`, "\r", `\r`)
)

// oneLine is for fields that know no line end.
func oneLine(s string) string { return strings.Join(strings.Fields(visible(s)), " ") }

// visible puts a space in the place of what is no line end and cannot be seen.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\r' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

func first2(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// cefEvent returns what kind of event it is, as a code and in words.
func cefEvent(e *accesslog.Entry) (id, name string) {
	switch e.Type {
	case policy.RecordRequest:
		return "request." + e.Effect, "Request decided: " + e.Effect
	case policy.RecordOutcome:
		return "request.outcome", "Request finished"
	}
	return string(e.Type) + "." + e.Action, string(e.Type) + " " + e.Action
}

// cefSeverity is 0 to 10.
func cefSeverity(e *accesslog.Entry) string {
	switch {
	case failed(e):
		return "6"
	case e.Type == policy.RecordAdmin || e.Type == policy.RecordPolicy || e.Type == policy.RecordLog:
		return "4"
	}
	return "2"
}
