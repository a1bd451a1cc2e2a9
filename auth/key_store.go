package auth

import (
	"context"
	"time"
)

// A Secret is a random value that the service keeps for itself, sealed.
type Secret struct {
	Name    string
	Sealed  []byte
	Created time.Time
}

// A Place is where a sealed value belongs: it opens there and nowhere else.
// The names are part of what is sealed and need not be those of a database.
type Place struct{ Table, Column, Row string }

// A SealedValue is a sealed value with its place.
type SealedValue struct {
	Place
	Sealed []byte
}

// Rotation keeps what the rotation of keys needs.
type Rotation interface {
	// AllKeys must return every signing key, the oldest first.
	AllKeys(ctx context.Context) ([]SigningKey, error)
	// PutKey must store the key and tell the other processes.
	PutKey(ctx context.Context, k SigningKey) error
	// RevokeKey must, all or nothing, remove the key with the id and store
	// next where that is not nil, and tell the other processes; [ErrNotFound] when there is no such key.
	RevokeKey(ctx context.Context, id string, next *SigningKey) error
	// Secret must return the secret of the name, or [ErrNotFound].
	Secret(ctx context.Context, name string) (Secret, error)
	// EnsureSecret must store s unless there is one of its name, and return
	// the one that is stored: two processes that start together must agree.
	EnsureSecret(ctx context.Context, s Secret) (Secret, error)
	// CountSealed must return how many sealed values there are in all tables,
	// by the id of the root key before each.
	CountSealed(ctx context.Context) (map[string]int, error)
	// SealedValues must return at most limit sealed values that do not begin
	// with the root key's id.
	SealedValues(ctx context.Context, not string, limit int) ([]SealedValue, error)
	// Reseal must, all or nothing, replace each of the values that still is as
	// was[i] by now[i], and return how many were.
	Reseal(ctx context.Context, was []SealedValue, now [][]byte) (int, error)
}
