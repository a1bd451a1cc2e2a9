package delivery

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// ocsfVersion is that of the schema that [AppendOCSF] writes.
const ocsfVersion = "1.7.0"

// Classes of the schema.
const (
	ocsfHTTP           = 4002 // requests and outcomes
	ocsfAuthentication = 3002 // logins
	ocsfAPI            = 6003 // changes, and the log about itself
	ocsfOther          = 99   // of any enumeration
)

// AppendOCSF appends e in the Open Cybersecurity Schema Framework, with the
// profiles host and security_control. What the schema has no place for, the
// policies' reasons above all, stands under unmapped.ringfence.
func AppendOCSF(b []byte, e *accesslog.Entry, origin, version string) ([]byte, error) {
	o := object{}
	class, activity := ocsfAPI, ocsfVerb(e.Action)
	switch e.Type {
	case policy.RecordRequest, policy.RecordOutcome:
		class, activity = ocsfHTTP, ocsfMethod(e.Method)
		ocsfRequest(o, e)
	case policy.RecordLogin:
		class, activity = ocsfAuthentication, ocsfLogin(e)
		ocsfSignIn(o, e)
	default:
		o.put("api.operation", first2(e.Action, string(e.Type)))
		o.put("api.service.name", "ringfence")
	}
	o.put("class_uid", class)
	o.put("category_uid", class/1000)
	o["activity_id"] = activity
	o["type_uid"] = class*100 + activity
	o["time"] = e.Time.UnixMilli()
	o.put("message", accesslog.Line(e))
	ocsfStatus(o, e)
	o.put("metadata.version", ocsfVersion)
	o.put("metadata.uid", (&Shape{Origin: origin}).key(e))
	o.put("metadata.log_name", origin)
	o["metadata"].(object)["sequence"] = e.Index
	o.put("metadata.correlation_uid", e.RequestID)
	o.put("metadata.event_code", first2(e.Action, string(e.Type)))
	o.put("metadata.profiles", []string{"host", "security_control"})
	o.put("metadata.product.name", "Ringfence")
	o.put("metadata.product.vendor_name", "Ringfence")
	o.put("metadata.product.version", version)
	ocsfActor(o, e)
	o.put("src_endpoint.ip", e.SourceIP)
	if class == ocsfAPI && e.SourceIP == "" { // demanded, and the command line has no address
		o.put("src_endpoint.name", e.Node)
	}
	ocsfOwn(o, e)
	out, err := json.Marshal(o)
	if err != nil {
		return nil, wrap("encoding an entry for OCSF", err)
	}
	return append(b, out...), nil
}

func ocsfStatus(o object, e *accesslog.Entry) {
	o["severity_id"] = 1
	o["status_id"] = 1
	if failed(e) {
		o["severity_id"], o["status_id"] = 2, 2
	}
	if e.Result != "ok" {
		o.put("status_code", e.Result)
	}
	o.put("status_detail", first2(strings.Join(e.Reasons, " "), e.Ended))
}

func ocsfActor(o object, e *accesslog.Entry) {
	user := object{}
	user.put("uid", first2(e.Actor, e.Account))
	if e.Actor == "" || e.Actor == e.Account {
		user.put("email_addr", e.Email)
		user.put("org.name", e.Vendor)
	}
	if user["uid"] == nil {
		if email, ok := user["email_addr"]; ok {
			user["name"] = email
		} else {
			user = nil
		}
	}
	if user != nil {
		o.put("actor.user", user)
	} else {
		o.put("actor.app_name", "ringfence")
	}
	o.put("actor.session.uid", e.Session)
}

// ocsfRequest fills in what was asked and decided, or what became of it.
func ocsfRequest(o object, e *accesslog.Entry) {
	o.put("http_request.http_method", e.Method)
	o.put("http_request.uid", e.RequestID)
	o.put("http_request.user_agent", e.UserAgent)
	if e.Path != "" || e.Host != "" {
		o.put("http_request.url.scheme", "https")
		o.put("http_request.url.hostname", e.Host)
		o.put("http_request.url.path", first2(e.Path, "/"))
	}
	if e.Status != 0 {
		o.put("http_response.code", e.Status)
		o.put("http_response.length", e.BytesOut)
		o.put("http_response.latency", e.FirstByte)
	}
	o.put("dst_endpoint.hostname", e.Host)
	o.put("dst_endpoint.svc_name", first2(e.Cluster, "ringfence"))
	o.put("traffic.bytes_in", e.BytesIn)
	o.put("traffic.bytes_out", e.BytesOut)
	o.put("duration", e.Duration)
	if e.Type == policy.RecordOutcome {
		return
	}
	action, disposition := 2, 2
	switch e.Effect {
	case policy.Allow.String():
		action, disposition = 1, 1
	case policy.Challenge.String():
		disposition = 23
	}
	o["action_id"], o["disposition_id"] = action, disposition
	decided := object{}
	decided.put("decision", e.Effect)
	if e.Revision != "" {
		decided.put("policy.uid", e.Revision)
		decided.put("policy.name", "ringfence")
		o.put("firewall_rule.uid", e.Revision)
		o.put("firewall_rule.name", strings.Join(e.Reasons, " "))
	}
	o["authorizations"] = []object{decided}
}

var ocsfMethods = map[string]int{"CONNECT": 1, "DELETE": 2, "GET": 3, "HEAD": 4, "OPTIONS": 5, "POST": 6, "PUT": 7, "TRACE": 8, "PATCH": 9}

func ocsfMethod(method string) int {
	if n, ok := ocsfMethods[method]; ok {
		return n
	}
	return ocsfOther
}

// ocsfSignIn fills in who proved what.
func ocsfSignIn(o object, e *accesslog.Entry) {
	user := object{}
	user.put("uid", e.Account)
	user.put("email_addr", e.Email)
	user.put("name", first2(e.Email, first2(e.Account, "unknown")))
	user.put("org.name", e.Vendor)
	o["user"] = user
	o.put("service.name", "ringfence")
	o.put("session.uid", e.Session)
	o["is_remote"] = true
	if len(e.Factors) == 0 {
		return
	}
	o["is_mfa"] = len(e.Factors) > 1
	var list []object
	for _, f := range slices.Sorted(maps.Keys(e.Factors)) {
		id, ok := ocsfFactors[f]
		if !ok {
			id = ocsfOther
		}
		list = append(list, object{"factor_type": f, "factor_type_id": id, "is_totp": f == policy.FactorTOTP})
	}
	o["auth_factors"] = list
}

var ocsfFactors = map[string]int{policy.FactorPassword: 11, policy.FactorTOTP: 7, policy.FactorWebAuthn: 10}

func ocsfLogin(e *accesslog.Entry) int {
	switch e.Action {
	case "session.start", "device.start":
		return 1
	case "session.end", "session.expire", "session.idle", "device.end":
		return 2
	}
	if strings.HasSuffix(e.Action, ".failed") || strings.HasSuffix(e.Action, ".throttled") || strings.HasSuffix(e.Action, ".reused") {
		return 1
	}
	return ocsfOther
}

func ocsfVerb(action string) int {
	_, verb, _ := strings.Cut(action, ".")
	switch verb {
	case "create", "add", "invite":
		return 1
	case "query", "tail", "export", "read", "view":
		return 2
	case "update", "change", "disable", "enable", "rename", "publish", "rollback", "rotate", "loaded":
		return 3
	case "delete", "remove", "revoke":
		return 4
	}
	return ocsfOther
}

func ocsfOwn(o object, e *accesslog.Entry) {
	for field, v := range map[string]any{
		"type": string(e.Type), "node": e.Node, "cluster": e.Cluster, "classification": e.Classification, "mode": e.Mode, "route": e.Route, "credential": e.Credential,
		"engagement": e.Engagement, "vendor": e.Vendor, "effect": e.Effect, "reasons": e.Reasons, "revision": e.Revision,
		"facts": e.Facts, "agreements": e.Agreements, "query_names": e.QueryNames, "ended": e.Ended, "object": e.Object,
		"upstream": e.Upstream, "code_age_s": e.CodeAge,
	} {
		o.put("unmapped.ringfence."+field, v)
	}
	if len(e.Detail) > 0 {
		o.put("unmapped.ringfence.detail", e.Detail)
	}
}
