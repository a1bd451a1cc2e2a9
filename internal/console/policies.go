package console

import (
	"context"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
)

// Changes is change control over policies, as pages use it. Every method that
// changes something must record it and must refuse, with the errors of package
// change, what the state or the rule of two forbids: pages draw what it says
// and rely on nothing of their own.
type Changes interface {
	// Origin says where the policies in force come from.
	Origin() change.Origin
	// Drafts returns every draft, the newest first, without modules.
	Drafts(ctx context.Context) ([]change.Draft, error)
	// Draft returns one draft whole, or change.ErrNotFound.
	Draft(ctx context.Context, id int64) (change.Draft, error)
	// Begin makes a draft of the newest revision.
	Begin(ctx context.Context, actor directory.Actor, title, reason string) (change.Draft, error)
	// Save changes a draft as it was at version seen; *change.ConflictError where somebody was first.
	Save(ctx context.Context, actor directory.Actor, id int64, seen int, e change.Edit) (change.Draft, error)
	// Submit hands a draft to review. It must refuse one that could not be published.
	Submit(ctx context.Context, actor directory.Actor, id int64, seen int) (change.Draft, error)
	// Return sends a draft back to its authors with a note.
	Return(ctx context.Context, actor directory.Actor, id int64, seen int, text string) (change.Draft, error)
	// Withdraw gives a draft up.
	Withdraw(ctx context.Context, actor directory.Actor, id int64, seen int) error
	// Rebase puts a draft upon the newest revision and returns the files in which
	// both changed: there the draft's own text stands.
	Rebase(ctx context.Context, actor directory.Actor, id int64, seen int) (change.Draft, []string, error)
	// Note adds what somebody says about a draft.
	Note(ctx context.Context, actor directory.Actor, id int64, text string) error
	// KeepFigures keeps what a trial found; figures about other modules than the draft has now are dropped.
	KeepFigures(ctx context.Context, id int64, f change.Figures) error
	// Second returns nil where actor could approve the draft, and why not otherwise.
	Second(ctx context.Context, actor directory.Actor, id int64) error
	// Approve publishes the draft, if seal is still its [change.Draft.Seal]: the
	// title, reason, modules and base that the approver saw.
	Approve(ctx context.Context, actor directory.Actor, id int64, seal string) (change.Revision, error)
	// Revisions returns every revision, the newest first, without modules.
	Revisions(ctx context.Context) ([]change.Revision, error)
	// Revision returns one revision whole, or change.ErrNotFound.
	Revision(ctx context.Context, id int64) (change.Revision, error)
	// RollBack makes a draft, in review at once, of an earlier revision.
	RollBack(ctx context.Context, actor directory.Actor, to int64, reason string) (change.Draft, error)
	// RollBackAlone puts an earlier revision in force at once and alarms the owners.
	RollBackAlone(ctx context.Context, actor directory.Actor, to int64, reason string) (change.Revision, error)
}

// Studio tries policies out; see [studio.Runner].
type Studio interface {
	Check(ctx context.Context, a studio.CheckRequest) (studio.CheckResult, error)

	Try(ctx context.Context, a studio.TryRequest) (policy.Explanation, error)

	// Reach and Format are for whoever writes: what is wrong with the set is in their results.
	Reach(ctx context.Context, a studio.ReachRequest) (studio.ReachResult, error)
	Format(ctx context.Context, a studio.FormatRequest) (studio.FormatResult, error)

	// Replay and Matrix must say how far they are by tell.
	Replay(ctx context.Context, a studio.ReplayRequest, tell func(studio.Progress)) (studio.ReplayResult, error)
	Matrix(ctx context.Context, a studio.MatrixRequest, tell func(studio.Progress)) (studio.MatrixResult, error)
}

// Shadows is what decides beside the policies in force. Every method that
// changes something must record it.
type Shadows interface {
	// Shadows returns those that are kept, the newest first, without modules.
	Shadows(ctx context.Context) ([]change.Shadow, error)
	// Differences returns the groups of requests that a shadow decided otherwise, in the order to show.
	Differences(ctx context.Context, id int64) ([]change.Difference, error)
	// Start has the modules of s decide; change.ErrShadowRuns while others do, *change.FaultyError where they cannot.
	Start(ctx context.Context, actor directory.Actor, s change.Shadow) (change.Shadow, error)
	// Stop ends a shadow.
	Stop(ctx context.Context, actor directory.Actor, id int64) error
}
