package auth_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// A vendor's office: two hundred people behind one address sign in every
// working day of a month, with the slips that people make, while somebody with
// a thousand addresses, and a machine in that very office, tries passwords of
// all of them and, knowing one password, codes. Nobody in the office notices,
// and the guesses at codes stay below one in a thousand.
func TestOffice_NeverNotices(t *testing.T) {
	const people, addresses, days = 200, 1000, 30
	var accounts []auth.Account
	for i := range people {
		accounts = append(accounts, auth.Account{ID: fmt.Sprintf("acc-%03d", i), Email: fmt.Sprintf("person%03d@vendor.example", i),
			Name: "Somebody", Vendor: "acme", Roles: []policy.Role{policy.Contractor}})
	}
	e := authtest.NewEnv(t, authtest.New(accounts...), nil)
	office := authtest.From("192.0.2.10")
	staff := make([]*authtest.Person, people)
	device := make([]string, people)
	for i, a := range accounts {
		staff[i] = e.Enrol(t, a)
		staff[i].Origin = office
		_, sess := e.SignIn(t, staff[i]) // the first sign-in, in peace
		var err error
		if device[i], err = e.Device(sess); err != nil {
			t.Fatal(err)
		}
		if err := e.Logout(t.Context(), office, sess); err != nil {
			t.Fatal(err)
		}
	}
	ctx, looked, tried := t.Context(), 0, 0
	victim := staff[0]
	attack := func() {
		for range 200 {
			tried++
			from := authtest.From(fmt.Sprintf("203.0.%d.%d", tried/250%(addresses/250), 1+tried%250))
			if tried%10 == 0 {
				from = office
			}
			if _, err := e.Login(ctx, from, staff[tried%people].Email, "Summer2026 Summer2026"); err == nil {
				t.Fatal("a wrong password was right")
			}
			from = authtest.From(fmt.Sprintf("203.0.%d.%d", tried/250%(addresses/250), 1+tried%250))
			flow, err := e.Login(ctx, from, victim.Email, victim.Password)
			if err != nil {
				continue // slowed down
			}
			if _, _, err := e.LoginCode(ctx, from, flow, "99999z"); errors.Is(err, auth.ErrBadCredentials) {
				looked++
			}
		}
	}
	for day := range days {
		e.Clock.Advance(24 * time.Hour)
		attack()
		if day%7 >= 5 {
			continue
		}
		for i, p := range staff {
			p.Origin.Device = device[i]
			if (i+day)%25 == 0 { // a slip of the hand
				if _, err := e.Login(ctx, p.Origin, p.Email, p.Password+"x"); !errors.Is(err, auth.ErrBadCredentials) {
					t.Fatalf("day %d, person %d, a slip: %v", day, i, err)
				}
			}
			flow, err := e.Login(ctx, p.Origin, p.Email, p.Password)
			if err != nil {
				t.Fatalf("day %d, person %d was kept out: %v", day, i, err)
			}
			if (i+day)%20 == 0 {
				if _, _, err := e.LoginCode(ctx, p.Origin, flow, "00000z"); !errors.Is(err, auth.ErrBadCredentials) {
					t.Fatalf("day %d, person %d, a mistyped code: %v", day, i, err)
				}
			}
			_, sess, err := e.LoginCode(ctx, p.Origin, flow, e.FreshCode(t, p))
			if err != nil {
				t.Fatalf("day %d, person %d was kept out at the code: %v", day, i, err)
			}
			if err := e.Logout(ctx, p.Origin, sess); err != nil {
				t.Fatal(err)
			}
		}
		attack()
	}
	// Three codes of a million are right at a time.
	if chance := float64(looked) * 3e-6; chance >= 0.001 || looked < 20 {
		t.Errorf("%d guesses at codes were looked at: %.3f %%", looked, 100*chance)
	}
	t.Logf("%d attempts, %d guesses at codes looked at", tried, looked)
}
