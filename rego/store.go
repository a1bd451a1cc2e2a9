package rego

import (
	"context"

	"github.com/open-policy-agent/opa/v1/storage"
)

// noData is the store behind every evaluation: policies have no data besides
// the input, so that every read finds nothing. It has no state and no lock.
type noData struct {
	storage.WritesNotSupported
	storage.PolicyNotSupported
	storage.TriggersNotSupported
}

type noTransaction struct{}

func (noTransaction) ID() uint64 { return 0 }

var errNoData = &storage.Error{Code: storage.NotFoundErr, Message: "policies have no data"}

func (noData) NewTransaction(context.Context, ...storage.TransactionParams) (storage.Transaction, error) {
	return noTransaction{}, nil
}

func (noData) Read(context.Context, storage.Transaction, storage.Path) (any, error) {
	return nil, errNoData
}

func (noData) Commit(context.Context, storage.Transaction) error { return nil }

func (noData) Truncate(context.Context, storage.Transaction, storage.TransactionParams, storage.Iterator) error {
	return errNoData
}

func (noData) Abort(context.Context, storage.Transaction) {}
