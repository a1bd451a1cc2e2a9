package auth_test

import (
	"testing"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

func TestMemoryStore(t *testing.T) {
	authtest.TestStore(t, func(t *testing.T, accounts []auth.Account) auth.Store { return authtest.New(accounts...) })
}
