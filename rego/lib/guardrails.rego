# What must hold before an account reaches any cluster. No administrator's
# policy can widen it. The conditions say what must be so: a field that is
# absent or of another type makes them fail.
package ringfence.guardrails

import rego.v2

# Nobody is signed in unless an account is named.
signed_in if input.subject.account != ""

# Nothing stands against the account, its vendor and the contract. The reasons
# under deny below explain a failure; they do not decide.
permitted if {
	input.version == 1
	account_in_order
	vendor_in_order
	engagement_in_order
	assignment_in_order
	credential_in_order
}

# Nothing is left for the person to do first.
cleared if {
	second_factor_given
	factor_of_engagement_given
	agreements_accepted
}

account_in_order if {
	account := input.facts.account
	account.id == input.subject.account
	account.status == "active"
	input.request.time_ns < account_ends
}

# An account without an end has no ends_ns; one whose end cannot be read has ended.
account_ends := ends if {
	ends := object.get(input.facts.account, "ends_ns", 9223372036854775807)
	is_number(ends)
}

vendor_in_order if {
	vendor := input.facts.vendor
	vendor.status == "active"
	vendor.name == input.subject.vendor
}

# The customer's own people belong to no vendor. A contractor always does.
vendor_in_order if {
	object.get(input.facts, "vendor", "") == ""
	not input.subject.vendor
	roles := input.facts.account.roles
	count(roles) > 0
	every role in roles {
		role in {"administrator", "approver", "reviewer"}
	}
}

engagement_in_order if {
	engagement := input.facts.engagement
	engagement.status == "active"
	is_number(engagement.starts_ns)
	is_number(engagement.ends_ns)
	engagement.starts_ns <= input.request.time_ns
	input.request.time_ns < engagement.ends_ns
	input.resource.cluster in engagement.clusters
}

assignment_in_order if {
	assignment := input.facts.assignment
	is_number(assignment.starts_ns)
	is_number(assignment.ends_ns)
	assignment.starts_ns <= input.request.time_ns
	input.request.time_ns < assignment.ends_ns
}

credential_in_order if input.subject.credential == "session"

# A token is good for one cluster only, wherever else it is shown.
credential_in_order if {
	input.subject.credential == "token"
	input.subject.token_cluster == input.resource.cluster
}

# A personal access token is good for one cluster, below what it was narrowed
# to, and only where the engagement admits such tokens.
credential_in_order if {
	input.subject.credential == "access_token"
	input.subject.token_cluster == input.resource.cluster
	access_tokens_admitted
	token_in_scope
}

access_tokens_admitted if input.facts.engagement.access_tokens == true

token_in_scope if {
	token_method_in_scope
	some prefix in input.subject.token_scope.paths
	array.slice(input.request.path, 0, count(prefix)) == prefix
}

token_method_in_scope if {
	token_method_of_access
	input.subject.token_scope.methods == []
}

token_method_in_scope if {
	token_method_of_access
	input.request.method in input.subject.token_scope.methods
}

token_method_of_access if {
	input.subject.token_scope.access == "write"
	is_string(input.request.method)
	input.request.protocol in {"http", "websocket", "grpc"}
}

# As with assignments, a WebSocket is no reading.
token_method_of_access if {
	input.subject.token_scope.access == "read"
	input.request.method in {"GET", "HEAD", "OPTIONS"}
	input.request.protocol in {"http", "grpc"}
}

second_factor_given if {
	factor_proved
	input.subject.credential in {"session", "token"}
}

# Nobody gives a factor when a machine shows its token: the one that made the
# token stands for it, and only where the engagement admits that.
second_factor_given if {
	factor_proved
	input.subject.credential == "access_token"
	access_tokens_admitted
}

factor_proved if {
	some factor, age in input.subject.factors
	not factor in {"password", "external", "provider"}
	is_number(age)
	age >= 0
}

# What was given at the vendor's identity provider counts only where the
# engagement says so.
second_factor_given if {
	input.facts.engagement.trust_provider_factor == true
	age := input.subject.factors.provider
	is_number(age)
	age >= 0
}

# An engagement says whether codes count under it. One that does not say
# counts none.
factor_of_engagement_given if input.facts.engagement.phishing_resistant == false

# Only a passkey or security key cannot be given to the wrong site. A personal
# access token can, for months after the key that made it.
factor_of_engagement_given if {
	input.facts.engagement.phishing_resistant == true
	input.subject.credential in {"session", "token"}
	is_number(input.subject.factors.webauthn)
	input.subject.factors.webauthn >= 0
}

agreements_accepted if {
	is_array(input.facts.agreements)
	every agreement in input.facts.agreements {
		agreement.accepted_version == agreement.version
	}
}

sign_in contains {
	"code": "sign_in_required",
	"message": "You are not signed in.",
	"help": "Sign in with your password and a code, then try again.",
}

challenge contains {
	"code": "second_factor",
	"message": "You have not given a second factor in this session.",
	"help": "Sign in again and give a code from your authenticator app.",
} if not second_factor_given

challenge contains {
	"code": "phishing_resistant_factor",
	"message": "The engagement behind your assignment demands a passkey or security key.",
	"help": "Confirm with your passkey or security key, or add one first.",
} if {
	second_factor_given
	not factor_of_engagement_given
}

challenge contains {
	"code": "agreement_missing",
	"message": "An agreement that your engagement demands is not accepted in its current version.",
	"help": "Read and accept it, then try again.",
} if not agreements_accepted

# Accounts and vendors

now := input.request.time_ns

deny contains {
	"code": "facts_missing",
	"message": "What must be known about your account is not known.",
	"help": "Tell an administrator and give them the request number.",
} if not input.facts.account.id == input.subject.account

deny contains {
	"code": "account_not_active",
	"message": "Your account is not active.",
	"help": "Ask an administrator to enable it.",
} if input.facts.account.status != "active"

deny contains {
	"code": "account_ended",
	"message": "Your account has reached its end date.",
	"help": "Ask the owner of your vendor inside the customer to have it extended.",
} if {
	input.facts.account
	not now < account_ends
}

deny contains {
	"code": "vendor_not_active",
	"message": "Your company's access is suspended or cannot be confirmed.",
	"help": "Ask the owner of your vendor inside the customer.",
} if {
	input.facts.account
	not vendor_in_order
}

# The engagement and the assignment

deny contains {
	"code": "no_assignment",
	"message": "You are not assigned to this cluster.",
	"help": "Ask the owner of the cluster for an assignment.",
} if {
	input.facts.account
	not assigned
}

assigned if {
	input.facts.assignment
	input.facts.engagement
}

deny contains {
	"code": "assignment_not_started",
	"message": "Your assignment to this cluster has not started yet.",
	"help": "Ask the owner of the cluster when it starts.",
} if now < input.facts.assignment.starts_ns

deny contains {
	"code": "assignment_ended",
	"message": "Your assignment to this cluster has ended.",
	"help": "Ask the owner of the cluster to have it extended.",
} if now >= input.facts.assignment.ends_ns

deny contains {
	"code": "engagement_not_active",
	"message": "The engagement behind your assignment is closed.",
	"help": "Ask the owner of your vendor inside the customer.",
} if input.facts.engagement.status != "active"

deny contains {
	"code": "engagement_not_started",
	"message": "The engagement behind your assignment has not started yet.",
	"help": "Ask the owner of your vendor inside the customer when it starts.",
} if now < input.facts.engagement.starts_ns

deny contains {
	"code": "engagement_ended",
	"message": "The engagement behind your assignment has ended.",
	"help": "Ask the owner of your vendor inside the customer to have it extended.",
} if now >= input.facts.engagement.ends_ns

deny contains {
	"code": "cluster_not_covered",
	"message": "The engagement behind your assignment does not cover this cluster.",
	"help": "Ask the owner of the cluster to have the engagement extended to it.",
} if {
	input.facts.engagement
	not input.resource.cluster in input.facts.engagement.clusters
}

# The credential

deny contains {
	"code": "token_other_cluster",
	"message": "This token is not good for this cluster.",
	"help": "Create a token for this cluster on your page of tokens.",
} if {
	input.subject.credential in {"token", "access_token"}
	not input.subject.token_cluster == input.resource.cluster
}

deny contains {
	"code": "token_not_allowed",
	"message": "The engagement behind your assignment admits no personal access tokens.",
	"help": "Sign in with 'ringfence login', or ask the owner of your vendor inside the customer to have them admitted.",
} if {
	input.subject.credential == "access_token"
	not access_tokens_admitted
}

deny contains {
	"code": "token_out_of_scope",
	"message": "This token does not include this kind of request or this path.",
	"help": "Make a token with the scope that is needed on your page of tokens.",
} if {
	input.subject.credential == "access_token"
	not token_in_scope
}
