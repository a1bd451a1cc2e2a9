package console

import (
	"cmp"

	"github.com/ringfence/ringfence/internal/ui"
)

// changeNames says what changes and the log's own acts are to people, as
// actionNames does for what people do.
var changeNames = map[string]ui.Text{
	"vendor.create":         "vendor added",
	"vendor.update":         "vendor changed",
	"vendor.delete":         "vendor removed",
	"vendor.suspend":        "vendor suspended",
	"vendor.resume":         "vendor no longer suspended",
	"agreement.create":      "agreement added",
	"agreement.update":      "agreement changed",
	"agreement.delete":      "agreement removed",
	"agreement.statement":   "had a statement of what was accepted made",
	"engagement.create":     "engagement added",
	"engagement.update":     "engagement changed",
	"engagement.delete":     "engagement removed",
	"engagement.close":      "engagement closed",
	"engagement.reopen":     "engagement opened again",
	"cluster.create":        "cluster added",
	"cluster.update":        "cluster changed",
	"cluster.delete":        "cluster removed",
	"account.create":        "account added",
	"account.update":        "account changed",
	"account.delete":        "account removed",
	"account.disable":       "account disabled",
	"account.enable":        "account enabled",
	"account.erase":         "asked for personal data to be erased",
	"account.erased":        "personal data erased",
	"assignment.create":     "assignment given",
	"assignment.update":     "assignment changed",
	"assignment.delete":     "assignment taken away",
	"policy.draft":          "began a draft of the policies",
	"policy.save":           "saved a draft of the policies",
	"policy.submit":         "asked for the approval of a draft",
	"policy.return":         "returned a draft",
	"policy.approve":        "approved a draft",
	"policy.withdraw":       "withdrew a draft",
	"policy.publish":        "published policies",
	"policy.rollback":       "went back to earlier policies",
	"policy.rollback_alone": "went back to earlier policies alone",
	"policy.rebase":         "brought a draft up to date",
	"policy.note":           "wrote a note on a draft",
	"policy.loaded":         "policies came into force",
	"retention.set":         "set how long entries are kept",
	"retention.ask":         "asked to keep entries for less time",
	"retention.approve":     "approved that entries are kept for less time",
	"retention.refuse":      "refused a rule of retention, or took it back",
	"hold.place":            "placed a legal hold",
	"hold.lift":             "lifted a legal hold",
	"delivery.retry":        "had refused entries sent again",
	"delivery.skip":         "left refused entries out",
	"delivery.reset":        "began a delivery anew",
	"log.evidence":          "took evidence from the access log",
	"prune":                 "entries removed by age",
	"disk":                  "little space for the log",
	"key":                   "a further key signs the log",
	"key_retired":           "a key no longer signs the log",
}

// resultNames says why something was not done.
var resultNames = map[string]ui.Text{
	"bad_credentials": "the password, code or key was wrong",
	"throttled":       "too many tries",
	"code_spent":      "the code was used already",
	"clock_behind":    "the gateway’s clock is behind",
	"key_refused":     "the key was refused",
	"key_cloned":      "the key looks like a copy",
	"other_network":   "from another network",
	"used_already":    "used already",
	"gone":            "no longer there",
	"conflict":        "changed in the meantime",
	"broken":          "broken off",
	"stopped":         "stopped",
	"cut":             "cut off",
}

// resultWords makes words of how something ended.
func resultWords(result string) ui.Text { return cmp.Or(resultNames[result], ui.Known(result)) }
