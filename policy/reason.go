package policy

// A Reason says why: a stable code, a sentence for the person, and what would help.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Help    string `json:"help,omitempty"`
}

// Codes of the reasons that Ringfence itself gives. Administrators' policies
// add their own.
const (
	ReasonSignIn             = "sign_in_required"          // challenge: nobody is signed in
	ReasonCodeStale          = "code_stale"                // challenge: give a fresh code
	ReasonAgreementMissing   = "agreement_missing"         // challenge: accept an agreement
	ReasonSecondFactor       = "second_factor"             // challenge: the session has no second factor
	ReasonPhishingResistant  = "phishing_resistant_factor" // challenge: the engagement demands a passkey or security key
	ReasonAccountNotActive   = "account_not_active"
	ReasonAccountEnded       = "account_ended"
	ReasonVendorNotActive    = "vendor_not_active"
	ReasonNoAssignment       = "no_assignment"
	ReasonAssignmentPending  = "assignment_not_started"
	ReasonAssignmentEnded    = "assignment_ended"
	ReasonEngagementInactive = "engagement_not_active"
	ReasonEngagementPending  = "engagement_not_started"
	ReasonEngagementEnded    = "engagement_ended"
	ReasonClusterNotCovered  = "cluster_not_covered" // by the engagement
	ReasonMethodOutOfScope   = "method_out_of_scope"
	ReasonPathOutOfScope     = "path_out_of_scope"
	ReasonTokenOtherCluster  = "token_other_cluster"
	ReasonTokenNotAllowed    = "token_not_allowed"  // the engagement admits no personal access tokens
	ReasonTokenOutOfScope    = "token_out_of_scope" // of the token itself
	ReasonFactsMissing       = "facts_missing"      // something that must be known is not
	ReasonPolicyNotAllowed   = "policy_not_allowed" // a module defines allow and it does not hold
	ReasonPolicyUndefined    = "policy_undefined"
	ReasonPolicyError        = "policy_error"
	ReasonPolicyTimeout      = "policy_timeout"
	ReasonRequestAmbiguous   = "request_ambiguous"
	ReasonRequestTooLarge    = "request_too_large"
	ReasonCrossOrigin        = "cross_origin"
	ReasonUnknownHost        = "unknown_host"
	ReasonUnknownRoute       = "unknown_route"
	ReasonLogUnavailable     = "log_unavailable"
	ReasonUpstreamDown       = "upstream_unavailable"
	ReasonResponseTooLarge   = "response_too_large"
	ReasonRateLimited        = "rate_limited"
	ReasonEgressBudget       = "egress_budget_spent"   // the obligation egress_budget
	ReasonNotMaskable        = "response_not_maskable" // the obligation mask, and no JSON
)
