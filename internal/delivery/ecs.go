package delivery

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// ecsVersion is that of the Elastic Common Schema that [AppendECS] writes.
const ecsVersion = "9.4.0"

// object is a JSON object that leaves out what is empty.
type object map[string]any

// put sets a dotted field unless v is empty.
func (o object) put(field string, v any) {
	switch x := v.(type) {
	case string:
		if x == "" {
			return
		}
	case []string:
		if len(x) == 0 {
			return
		}
	case *int64:
		if x == nil {
			return
		}
		v = *x
	case int:
		if x == 0 {
			return
		}
	}
	parts := strings.Split(field, ".")
	at := o
	for _, p := range parts[:len(parts)-1] {
		next, ok := at[p].(object)
		if !ok {
			next = object{}
			at[p] = next
		}
		at = next
	}
	at[parts[len(parts)-1]] = v
}

// AppendECS appends e in the Elastic Common Schema. What it has no field for
// stands under "ringfence", an own name as the schema allows.
func AppendECS(b []byte, e *accesslog.Entry, origin, version string) ([]byte, error) {
	o := object{}
	o.put("@timestamp", e.Time.UTC().Format(time.RFC3339Nano))
	o.put("ecs.version", ecsVersion)
	o.put("message", accesslog.Line(e))
	ecsEvent(o, e, origin)
	o.put("observer.vendor", "Ringfence")
	o.put("observer.product", "Ringfence")
	o.put("observer.type", "proxy")
	o.put("observer.version", version)
	o.put("observer.name", e.Node)
	o.put("source.ip", e.SourceIP)
	o.put("source.address", e.SourceIP)
	o.put("user_agent.original", e.UserAgent)
	ecsUser(o, e)
	o.put("http.request.method", e.Method)
	o.put("http.request.id", e.RequestID)
	o.put("http.request.body.bytes", e.BytesIn)
	o.put("http.response.body.bytes", e.BytesOut)
	o.put("http.response.status_code", e.Status)
	o.put("url.domain", e.Host)
	o.put("url.path", e.Path)
	o.put("server.address", e.Upstream)
	o.put("rule.version", e.Revision)
	if e.Revision != "" {
		o.put("rule.ruleset", "ringfence")
	}
	ecsOwn(o, e, origin)
	out, err := json.Marshal(o)
	if err != nil {
		return nil, wrap("encoding an entry for ECS", err)
	}
	return append(b, out...), nil
}

func ecsUser(o object, e *accesslog.Entry) {
	id := e.Account
	if id == "" {
		id = e.Actor
	}
	o.put("user.id", id)
	o.put("user.name", id)
	o.put("user.email", e.Email)
	o.put("organization.name", e.Vendor)
	var users []string
	for _, u := range []string{e.Account, e.Actor, e.Email} {
		if u != "" && !slices.Contains(users, u) {
			users = append(users, u)
		}
	}
	o.put("related.user", users)
	if e.SourceIP != "" {
		o.put("related.ip", []string{e.SourceIP})
	}
	if e.Host != "" {
		o.put("related.hosts", []string{e.Host})
	}
}

func ecsOwn(o object, e *accesslog.Entry, origin string) {
	for field, v := range map[string]any{
		"origin": origin, "type": string(e.Type), "cluster": e.Cluster, "classification": e.Classification, "mode": e.Mode, "route": e.Route,
		"engagement": e.Engagement, "session": e.Session, "credential": e.Credential, "effect": e.Effect, "reasons": e.Reasons,
		"facts": e.Facts, "agreements": e.Agreements, "query_names": e.QueryNames, "ended": e.Ended, "result": e.Result,
		"actor": e.Actor, "object": e.Object, "code_age_s": e.CodeAge, "first_byte_ms": e.FirstByte,
	} {
		o.put("ringfence."+field, v)
	}
	o["ringfence"].(object)["index"] = e.Index
	if len(e.Detail) > 0 {
		o["ringfence"].(object)["detail"] = e.Detail
	}
}

// ecsEvent fills event.* with the words that the schema allows.
func ecsEvent(o object, e *accesslog.Entry, origin string) {
	category, types := []string{"api"}, []string{"access"}
	action := e.Action
	switch e.Type {
	case policy.RecordRequest:
		action = "request." + e.Effect
		if e.Effect == policy.Allow.String() {
			types = append(types, "allowed")
		} else {
			types = append(types, "denied")
		}
	case policy.RecordOutcome:
		action, types = "request.outcome", []string{"access", "end"}
	case policy.RecordLogin:
		category, types = []string{"authentication"}, []string{"info"}
		switch ocsfLogin(e) {
		case 1:
			types = []string{"start"}
		case 2:
			types = []string{"end"}
		}
	case policy.RecordAdmin:
		category, types = []string{"iam"}, []string{verbType(e.Action)}
	case policy.RecordPolicy:
		category, types = []string{"configuration"}, []string{"change"}
	case policy.RecordLog:
		category, types = []string{"configuration"}, []string{"info"}
	}
	o.put("event.kind", "event")
	o.put("event.category", category)
	o.put("event.type", types)
	o.put("event.action", action)
	o.put("event.outcome", ecsOutcome(e))
	o.put("event.id", (&Shape{Origin: origin}).key(e))
	o.put("event.module", "ringfence")
	o.put("event.dataset", "ringfence.access")
	o["event"].(object)["sequence"] = e.Index
	o.put("event.reason", strings.Join(e.Reasons, " "))
	if e.Duration != nil {
		o.put("event.duration", *e.Duration*int64(time.Millisecond))
	}
}

func verbType(action string) string {
	_, verb, _ := strings.Cut(action, ".")
	switch verb {
	case "create", "add", "invite":
		return "creation"
	case "delete", "remove":
		return "deletion"
	}
	return "change"
}

func ecsOutcome(e *accesslog.Entry) string {
	switch {
	case e.Type == policy.RecordRequest && e.Effect == policy.Allow.String():
		return "success"
	case e.Type == policy.RecordRequest, failed(e), e.Status >= http.StatusBadRequest:
		return "failure"
	}
	return "success"
}
