package console

import (
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// contractFields says what each name under input is. Every field of the
// contract stands here.
var contractFields = map[string]ui.Text{
	"input":         "Everything that a decision is made from. Nothing is looked up later.",
	"input.version": "The version of this contract.",

	"input.subject":                     "Who asks, as they proved themselves to the gateway.",
	"input.subject.account":             "The id of the account. It never changes, whatever the person is called.",
	"input.subject.email":               "The address that the account signs in with.",
	"input.subject.vendor":              "The name of the vendor that the account belongs to; absent for the organisation's own people.",
	"input.subject.roles":               "The roles of the account.",
	"input.subject.session":             "The id of the session, the same for as long as it lasts.",
	"input.subject.credential":          "How the request proved the session: the browser's cookie, a token of at most an hour, or a personal access token.",
	"input.subject.token_cluster":       "The one cluster that the token is good for.",
	"input.subject.token_binding":       "What the token is bound to; absent for nothing.",
	"input.subject.token_scope":         "What a personal access token is narrowed to; absent for everything else.",
	"input.subject.token_scope.access":  "Whether the token reads or also writes.",
	"input.subject.token_scope.methods": "The methods that the token is narrowed to; empty: all that its access covers.",
	"input.subject.token_scope.paths":   "The beginnings of paths, cut at their slashes, that the token is narrowed to.",
	"input.subject.factors":             "For each factor that was proved in this session, the whole seconds since it last was.",
	"input.subject.factors.password":    "Seconds since the password was given.",
	"input.subject.factors.external":    "Seconds since the vendor's identity provider vouched for the person.",
	"input.subject.factors.totp":        "Seconds since a code of an authenticator app was given.",
	"input.subject.factors.webauthn":    "Seconds since a passkey or security key was used.",
	"input.subject.factors.recovery":    "Seconds since a recovery code was given.",
	"input.subject.factors.provider":    "Seconds since a second factor was given at the vendor's identity provider. It counts only where the engagement trusts it.",

	"input.facts":                                  "What the gateway knows about this account on this cluster; absent when it knows nothing.",
	"input.facts.account":                          "The account as the directory has it.",
	"input.facts.account.id":                       "The id of the account.",
	"input.facts.account.email":                    "The address of the account.",
	"input.facts.account.status":                   "How the account stands.",
	"input.facts.account.roles":                    "The roles of the account, as the directory has them.",
	"input.facts.account.ends_ns":                  "When the account ends, in nanoseconds since 1970; absent: it does not.",
	"input.facts.account.time_zone":                "The time zone that the person works in, such as Europe/Berlin; absent: not known.",
	"input.facts.account.clusters":                 "The clusters that are assigned to the account, each from when until when.",
	"input.facts.account.clusters[]":               "One cluster that is assigned to the account.",
	"input.facts.account.clusters[].name":          "The name of the cluster, as it stands in the directory.",
	"input.facts.account.clusters[].starts_ns":     "From when the account may reach the cluster, in nanoseconds since 1970.",
	"input.facts.account.clusters[].ends_ns":       "Until when the account may reach the cluster, in nanoseconds since 1970.",
	"input.facts.vendor":                           "The vendor that the account belongs to.",
	"input.facts.vendor.name":                      "The name of the vendor, as it stands in the directory.",
	"input.facts.vendor.title":                     "What the vendor is called.",
	"input.facts.vendor.status":                    "How the vendor stands.",
	"input.facts.vendor.owner":                     "Who answers for the vendor inside the organisation.",
	"input.facts.vendor.owner.name":                "The owner's name.",
	"input.facts.vendor.owner.email":               "The owner's address.",
	"input.facts.engagement":                       "The contract under which the access stands.",
	"input.facts.engagement.name":                  "The name of the engagement.",
	"input.facts.engagement.status":                "How the engagement stands.",
	"input.facts.engagement.starts_ns":             "When the engagement starts, in nanoseconds since 1970.",
	"input.facts.engagement.ends_ns":               "When the engagement ends, in nanoseconds since 1970.",
	"input.facts.engagement.clusters":              "The clusters that the engagement covers.",
	"input.facts.engagement.trust_provider_factor": "Whether a second factor given at the vendor's identity provider counts.",
	"input.facts.engagement.phishing_resistant":    "Whether a passkey or security key is demanded: codes do not count.",
	"input.facts.engagement.access_tokens":         "Whether personal access tokens are admitted.",
	"input.facts.assignment":                       "What the account was given on this cluster; absent: nothing.",
	"input.facts.assignment.starts_ns":             "When the assignment starts, in nanoseconds since 1970.",
	"input.facts.assignment.ends_ns":               "When the assignment ends, in nanoseconds since 1970.",
	"input.facts.assignment.access":                "Whether the assignment reads or also writes.",
	"input.facts.assignment.methods":               "The methods that the assignment is narrowed to; empty: all that its access covers.",
	"input.facts.assignment.paths":                 "The beginnings of paths, cut at their slashes, that may be reached. An empty one is everything.",
	"input.facts.assignment.reason":                "Why the access was given, in the words of whoever gave it.",
	"input.facts.agreements":                       "The agreements that the engagement demands, and what the account has accepted of them.",
	"input.facts.agreements[]":                     "One agreement that the engagement demands.",
	"input.facts.agreements[].name":                "The name of the agreement.",
	"input.facts.agreements[].version":             "The version that is in force.",
	"input.facts.agreements[].accepted_version":    "The newest version that the account has accepted; 0: none.",
	"input.facts.agreements[].accepted_ns":         "When that was, in nanoseconds since 1970.",
	"input.facts.zone":                             "The network zone that the request comes from; absent: none that has a name.",

	"input.request":                           "The request as it goes on to the cluster's system: what is judged is what is forwarded.",
	"input.request.id":                        "The id of the request, as the access log has it.",
	"input.request.time":                      "When the request came, in UTC.",
	"input.request.time_ns":                   "When the request came, in nanoseconds since 1970.",
	"input.request.protocol":                  "What is spoken.",
	"input.request.method":                    "The method, in upper case.",
	"input.request.host":                      "The host, in lower case, without a port.",
	"input.request.path":                      "The decoded path cut at its slashes: /a/b is a and b. Compare parts of it rather than the raw path, which has several spellings.",
	"input.request.raw_path":                  "The escaped path as it is forwarded.",
	"input.request.query":                     "The values of the query by name, each a list. Recorded requests do not keep them.",
	"input.request.headers":                   "The headers that policies may read, by name in lower case. Cookies and credentials are never among them.",
	`input.request.headers["accept"]`:         "What the client wants to be answered with.",
	`input.request.headers["content-type"]`:   "The kind of what the request carries.",
	`input.request.headers["content-length"]`: "How much the request carries, as text.",
	`input.request.headers["origin"]`:         "The site whose page made the request, as the browser says.",
	`input.request.headers["referer"]`:        "The page that the request came from, as the browser says.",
	`input.request.headers["user-agent"]`:     "What the client calls itself. Anybody can call themselves anything.",
	`input.request.headers["x-purpose"]`:      "The purpose that the client names, where people are asked for one.",
	`input.request.headers["x-ticket"]`:       "The ticket that the client names, where people are asked for one.",
	"input.request.source_ip":                 "The address that the request comes from.",
	"input.request.tls":                       "What is known of the connection's encryption.",
	"input.request.tls.version":               "The version of TLS, such as 1.3.",
	"input.request.tls.cipher":                "The cipher that was agreed on.",

	"input.resource":                "What is asked for, chosen once, before the decision.",
	"input.resource.cluster":        "The name of the cluster.",
	"input.resource.classification": "How sensitive the cluster's data is.",
	"input.resource.route":          "The route of the cluster that the path belongs to.",
}

// contractValues are what fields can hold, where that is a list.
var contractValues = map[string]string{
	"input.subject.credential":         policy.CredentialSession + " " + policy.CredentialToken + " " + policy.CredentialAccessToken,
	"input.subject.token_binding":      policy.BindingKey + " " + policy.BindingNetwork,
	"input.subject.roles":              "contractor administrator approver reviewer",
	"input.facts.account.roles":        "contractor administrator approver reviewer",
	"input.facts.account.status":       policy.StatusActive + " " + policy.StatusInvited + " " + policy.StatusDisabled,
	"input.facts.vendor.status":        policy.StatusActive + " " + policy.StatusSuspended,
	"input.facts.engagement.status":    policy.StatusActive + " " + policy.StatusClosed,
	"input.facts.assignment.access":    policy.AccessRead + " " + policy.AccessWrite,
	"input.subject.token_scope.access": policy.AccessRead + " " + policy.AccessWrite,
	"input.request.protocol":           "http websocket grpc",
	"input.request.method":             "GET HEAD OPTIONS POST PUT PATCH DELETE",
	"input.resource.classification":    "public internal confidential restricted",
}

// A contractWord is one name with what it is.
type contractWord struct {
	Name, Type, Values, Snippet string
	Text                        ui.Text
	English                     bool // Text is the language's own description
}

// contractRules are what a policy contributes.
var contractRules = []contractWord{
	{Name: "deny", Snippet: "deny contains {\n\t\"code\": \"${code}\",\n\t\"message\": \"${This is not allowed.}\",\n\t\"help\": \"${Ask the owner of the cluster.}\",\n} if {\n\t${condition}\n}", Text: "Refuses the request, for a reason with a code, a sentence for the person who reads it and what would help."},
	{Name: "challenge", Snippet: "challenge contains {\n\t\"code\": \"${code}\",\n\t\"message\": \"${Do this first.}\",\n} if {\n\t${condition}\n}", Text: "Asks for something first, such as a fresh code. The reason's code says for what."},
	{Name: "obligations", Snippet: "obligations contains {\"${max_code_age}\": ${3600}} if {\n\t${condition}\n}", Text: "Binds an allowed request. Where several rules oblige, the narrowest holds."},
	{Name: "allow", Snippet: "allow if {\n\t${condition}\n}", Text: "Narrows access to what it names: once a file has it, nothing else is allowed. It never widens what the guardrails and assignments give."},
}

// contractObligations are what an allowed request can be bound to.
var contractObligations = []contractWord{
	{Name: "max_response_bytes", Type: "number", Text: "How long an answer may be, in bytes."},
	{Name: "egress_budget", Type: "number", Text: "How many bytes an account may take from the cluster in a day."},
	{Name: "mask", Type: "array", Text: "Names of JSON fields whose values are blanked in answers."},
	{Name: "strip_headers", Type: "array", Text: "Names of headers that are taken off answers."},
	{Name: "max_code_age", Type: "number", Text: "How old the second factor may be, in seconds. Where it is older, the person is asked for a fresh one."},
	{Name: "notify", Type: "array", Text: "Addresses to tell about the request."},
}

// contractReasons say when Ringfence itself gives a reason. Policies may use
// the codes of challenges and have others of their own.
var contractReasons = []contractWord{
	{Name: policy.ReasonSignIn, Text: "Challenge: nobody is signed in."},
	{Name: policy.ReasonCodeStale, Text: "Challenge: the newest second factor is too old, and a fresh one is asked for."},
	{Name: policy.ReasonAgreementMissing, Text: "Challenge: an agreement that the engagement demands is not accepted, or not in its newest version."},
	{Name: policy.ReasonSecondFactor, Text: "Challenge: the session has no second factor that counts."},
	{Name: policy.ReasonPhishingResistant, Text: "Challenge: the engagement demands a passkey or security key."},
	{Name: policy.ReasonAccountNotActive, Text: "The account is disabled, or its enrolment is not finished."},
	{Name: policy.ReasonAccountEnded, Text: "The account's last day is over."},
	{Name: policy.ReasonVendorNotActive, Text: "The vendor is suspended."},
	{Name: policy.ReasonNoAssignment, Text: "Nobody gave this account access to the cluster."},
	{Name: policy.ReasonAssignmentPending, Text: "The assignment has not started yet."},
	{Name: policy.ReasonAssignmentEnded, Text: "The assignment is over."},
	{Name: policy.ReasonEngagementInactive, Text: "The engagement is closed."},
	{Name: policy.ReasonEngagementPending, Text: "The engagement has not started yet."},
	{Name: policy.ReasonEngagementEnded, Text: "The engagement is over."},
	{Name: policy.ReasonClusterNotCovered, Text: "The engagement does not cover the cluster."},
	{Name: policy.ReasonMethodOutOfScope, Text: "The assignment does not cover the method."},
	{Name: policy.ReasonPathOutOfScope, Text: "The assignment does not cover the path."},
	{Name: policy.ReasonTokenOtherCluster, Text: "The token is good for another cluster."},
	{Name: policy.ReasonTokenNotAllowed, Text: "The engagement admits no personal access tokens."},
	{Name: policy.ReasonTokenOutOfScope, Text: "The personal access token is narrowed to something else."},
	{Name: policy.ReasonFactsMissing, Text: "Something that must be known for a decision is not."},
	{Name: policy.ReasonPolicyNotAllowed, Text: "A file has allow, and none of its conditions held."},
	{Name: policy.ReasonPolicyUndefined, Text: "The policies gave no answer, or one that cannot be read. That denies."},
	{Name: policy.ReasonPolicyError, Text: "The policies ended with an error. That denies."},
	{Name: policy.ReasonPolicyTimeout, Text: "The policies took too long. That denies."},
	{Name: policy.ReasonRequestAmbiguous, Text: "The request could be read in two ways, so no policy was asked."},
	{Name: policy.ReasonRequestTooLarge, Text: "The request is larger than the cluster takes."},
	{Name: policy.ReasonCrossOrigin, Text: "The page of another site made the request."},
	{Name: policy.ReasonUnknownHost, Text: "No cluster has this host."},
	{Name: policy.ReasonUnknownRoute, Text: "The cluster has no route for the path."},
	{Name: policy.ReasonLogUnavailable, Text: "The request could not be recorded, so it was not forwarded."},
	{Name: policy.ReasonUpstreamDown, Text: "The cluster's system did not answer."},
	{Name: policy.ReasonResponseTooLarge, Text: "The answer was longer than an obligation allows."},
	{Name: policy.ReasonRateLimited, Text: "There were too many requests."},
}
