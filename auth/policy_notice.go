package auth

// Kinds of notices about policies that one person put in force alone, for every
// administrator and approver. Detail: by, reason, revision; back_to where an
// earlier revision was brought back.
const (
	NoticePolicyAlone     NoticeKind = "policy_published_alone"   // by whoever works on the machine
	NoticePolicyBackAlone NoticeKind = "policy_rolled_back_alone" // in an emergency
)
