package accesslog

import (
	"context"
	"fmt"

	"github.com/ringfence/ringfence/policy"
)

// A Querier is what entries are asked of: a [*Log], or a [Folder].
type Querier interface {
	Query(ctx context.Context, f Filter, yield func(*Entry) bool) error
}

// A Folder is a log's files, read without its writer.
type Folder string

// Query is the function [Query] on the folder.
func (d Folder) Query(ctx context.Context, f Filter, yield func(*Entry) bool) error {
	return Query(ctx, string(d), f, yield)
}

// FactsOf returns the facts document that e names; nil where it names none.
// The error is [ErrNoFacts] where the log does not have it in a form that this
// version reads. For many entries, see [Decisions].
func FactsOf(ctx context.Context, from Querier, e *Entry) (*policy.Document, error) {
	if e.Facts == "" {
		return nil, nil
	}
	var doc *policy.Document
	var bad error
	// It stands before the entry, in the same segment, and newest come first.
	f := Filter{Type: string(policy.RecordLog), Action: ActionFacts, Before: e.Index + 1}
	err := from.Query(ctx, f, func(found *Entry) bool {
		if found.Facts != e.Facts {
			return true
		}
		doc, bad = policy.ReadDocument(append([]byte(nil), found.FactsJSON...))
		return false
	})
	if err != nil {
		return nil, fmt.Errorf("finding facts: %w", err)
	}
	if doc == nil || bad != nil || doc.Hash() != e.Facts {
		return nil, fmt.Errorf("%w: entry %d names %q", ErrNoFacts, e.Index, e.Facts)
	}
	return doc, nil
}
