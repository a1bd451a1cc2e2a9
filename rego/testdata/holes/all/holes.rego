# A policy full of holes, one of a kind: each rule is silent when a field is
# missing. The knock-out test must find them all.
package ringfence.all

import rego.v2

import data.ringfence.all.lib

deny contains {"code": "compared", "message": "This is not allowed.", "help": "Ask somebody."} if {
	input.request.headers["user-agent"] == "curl"
}

deny contains {"code": "older", "message": "This is not allowed.", "help": "Ask somebody."} if {
	input.subject.factors.password > 86400
}

deny contains {"code": "local_name", "message": "This is not allowed.", "help": "Ask somebody."} if {
	zone := input.facts.zone
	zone != "office"
}

far(address) if not net.cidr_contains("192.0.2.0/24", address)

deny contains {"code": "function", "message": "This is not allowed.", "help": "Ask somebody."} if {
	far(input.request.source_ip)
}

deny contains {"code": "library", "message": "This is not allowed.", "help": "Ask somebody."} if {
	lib.referred
}

deny contains {"code": "library_function", "message": "This is not allowed.", "help": "Ask somebody."} if {
	lib.header("origin") == "null"
}

deny contains {"code": "default_value", "message": "This is not allowed.", "help": "Ask somebody."} if {
	object.get(input.request.headers, "x-purpose", "work") == "play"
}

deny contains {"code": "interpolated", "message": sprintf("%s may not do this.", [input.subject.email]), "help": "Ask somebody."} if {
	input.request.method == "PUT"
}

deny contains {"code": "in_a_list", "message": "This is not allowed.", "help": "Ask somebody."} if {
	some agreement in input.facts.agreements
	agreement.accepted_ns < 1000
}

deny contains {"code": "every_one", "message": "This is not allowed.", "help": "Ask somebody."} if {
	every scope in input.request.query.scope {
		scope == "all"
	}
}

deny contains {"code": "comprehension", "message": "This is not allowed.", "help": "Ask somebody."} if {
	count([word | some word in input.request.query.word; word == "secret"]) > 0
}

modern if not input.request.tls.version == "1.0"

deny contains {"code": "double_negation", "message": "This is not allowed.", "help": "Ask somebody."} if {
	not modern
}

deny contains {"code": "member", "message": "This is not allowed.", "help": "Ask somebody."} if {
	input.resource.classification in {"secret", "sealed"}
}

level := 2 if {
	input.resource.route == "admin"
} else := 0

deny contains {"code": "otherwise", "message": "This is not allowed.", "help": "Ask somebody."} if {
	level > 1
}

default risky := false

risky if input.request.headers["content-type"] == "application/x-sh"

deny contains {"code": "default_rule", "message": "This is not allowed.", "help": "Ask somebody."} if {
	risky
}

challenge contains {"code": "challenged", "message": "This is not allowed.", "help": "Ask somebody."} if {
	input.request.host == "old.example"
}

refused := {"text/x-dump": true}

deny contains {"code": "table", "message": "This is not allowed.", "help": "Ask somebody."} if {
	refused[input.request.headers.accept]
}

deny contains {"code": "pattern", "message": "This is not allowed.", "help": "Ask somebody."} if {
	regex.match(`^T-0+$`, input.request.headers["x-ticket"])
}

deny contains {"code": "soon_over", "message": "This is not allowed.", "help": "Ask somebody."} if {
	input.facts.account.ends_ns - input.request.time_ns < 86400000000000
}

deny contains {"code": "walked", "message": "This is not allowed.", "help": "Ask somebody."} if {
	walk(input.request.query, [_, value])
	value == "drop table"
}

deny contains {"code": "flag", "message": "This is not allowed.", "help": "Ask somebody."} if {
	input.facts.engagement.trust_provider_factor
}

deny contains {"code": "looked_through", "message": "This is not allowed.", "help": "Ask somebody."} if {
	some name, value in input.request.headers
	name == "content-length"
	to_number(value) > 1000000
}

deny contains {"code": "of_a_person", "message": "This is not allowed.", "help": "Ask somebody."} if {
	input.facts.vendor.owner.email == "gone@customer.example"
}

deny contains because("computed") if input.request.query.debug == ["1"]

because(code) := {"code": code, "message": "This is not allowed.", "help": "Ask somebody."}

obligations contains {"max_code_age": 30} if input.request.headers["x-purpose"] == "export"

# Without holes, for comparison.

deny contains {"code": "sound_method", "message": "This is not allowed.", "help": "Ask somebody."} if {
	input.request.method == "TRACE"
}

deny contains {"code": "sound_negation", "message": "This is not allowed.", "help": "Ask somebody."} if {
	not input.request.raw_path
}

deny contains {"code": "sound_helper", "message": "This is not allowed.", "help": "Ask somebody."} if {
	not of_this_house
}

of_this_house if endswith(input.subject.session, "l")
