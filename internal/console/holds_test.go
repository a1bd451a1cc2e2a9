package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
)

// officePrivacy keeps holds and erasures in memory, by the store's rules.
type officePrivacy struct {
	mu     sync.Mutex
	o      *office
	holdsd []directory.Hold
	erased []directory.Erasure
	fail   error
}

func (p *officePrivacy) Holds(context.Context) ([]directory.Hold, error) { return p.holdsd, p.fail }

func (p *officePrivacy) Erasures(context.Context) ([]directory.Erasure, error) {
	return p.erased, p.fail
}

func (p *officePrivacy) PlaceHold(_ context.Context, actor directory.Actor, kind, subject, reason string) (directory.Hold, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.holdsd {
		if h.Stands() && h.Kind == kind && h.Subject == subject {
			return h, fmt.Errorf("placing a hold: %w", directory.ErrHeldTwice)
		}
	}
	h := directory.Hold{ID: int64(len(p.holdsd) + 1), Kind: kind, Subject: subject, Reason: reason, Placed: p.o.now, PlacedBy: actor.Account}
	p.holdsd = append(p.holdsd, h)
	return h, p.fail
}

func (p *officePrivacy) LiftHold(_ context.Context, actor directory.Actor, id int64, why string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := &p.holdsd[id-1]
	h.Lifted, h.LiftedBy, h.LiftedWhy = p.o.now, actor.Account, why
	return p.fail
}

func (p *officePrivacy) AskErasure(_ context.Context, actor directory.Actor, account, reason string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.holdsd {
		if h.Stands() && h.Subject == account {
			return fmt.Errorf("erasing an account: %w", &directory.HeldError{Hold: h})
		}
	}
	p.erased = append(p.erased, directory.Erasure{Account: account, Reason: reason, Asked: p.o.now, AskedBy: actor.Account})
	return p.fail
}

func withPrivacy(t *testing.T, say sampleText) (*office, *officePrivacy) {
	o := newOffice(t, say)
	p := &officePrivacy{o: o}
	o.Console.Privacy = p
	return o, p
}

func TestHolds_PlaceAndLift(t *testing.T) {
	o, p := withPrivacy(t, plainText)
	shows(t, o.get("ada", holdsPath), http.StatusOK, "No hold was ever placed", "Place the hold")
	if w := o.get("rae", holdsPath); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "Place the hold") {
		t.Errorf("a reviewer is offered to place one: %d", w.Code)
	}
	for want, fields := range map[string]url.Values{
		"Give a person or an engagement.":           {"reason": {"case 7"}},
		"No account has this address":               {"email": {"nobody@example.com"}, "reason": {"case 7"}},
		"Give a person or an engagement, not both.": {"email": {"kim@example.com"}, "engagement": {"migration"}, "reason": {"case 7"}},
		"reason": {"email": {"kim@example.com"}},
	} {
		shows(t, o.post("ada", holdsPath, fields), http.StatusUnprocessableEntity, want)
	}
	if w := o.post("ada", holdsPath, url.Values{"email": {"Kim@Example.com"}, "reason": {"case 7"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("placing: %d %s", w.Code, w.Body)
	}
	shows(t, o.post("ada", holdsPath, url.Values{"email": {"kim@example.com"}, "reason": {"again"}}), http.StatusUnprocessableEntity, "stands already")
	if w := o.post("ada", holdsPath, url.Values{"engagement": {"migration"}, "reason": {"audit"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("on an engagement: %d %s", w.Code, w.Body)
	}
	shows(t, o.get("ada", holdsPath), http.StatusOK, "case 7", personURL("kim"), "/console/engagements/migration", holdsPath+"/1/lift")

	shows(t, o.get("ada", "/console/people/kim/erase"), http.StatusOK, "This cannot be undone", "every proof of them still holds")
	shows(t, o.post("ada", "/console/people/kim/erase", url.Values{"reason": {"asked for"}}), http.StatusUnprocessableEntity, "A legal hold stands", "case 7")
	if len(p.erased) != 0 {
		t.Fatal("what is held was erased")
	}
	shows(t, o.get("ada", holdsPath+"/1/lift"), http.StatusOK, "It was placed because: case 7")
	if w := o.post("ada", holdsPath+"/1/lift", url.Values{"reason": {"settled"}}); w.Code != http.StatusSeeOther {
		t.Fatalf("lifting: %d %s", w.Code, w.Body)
	}
	shows(t, o.get("ada", holdsPath+"/1/lift"), http.StatusNotFound)
	shows(t, o.post("ada", "/console/people/kim/erase", nil), http.StatusUnprocessableEntity, "reason")
	if w := o.post("ada", "/console/people/kim/erase", url.Values{"reason": {"asked for"}}); w.Code != http.StatusSeeOther || len(p.erased) != 1 || p.erased[0].AskedBy != "ada" {
		t.Fatalf("erasing: %d %+v", w.Code, p.erased)
	}
	shows(t, o.get("ada", holdsPath), http.StatusOK, "settled", "about to be done")
	shows(t, o.post("ada", "/console/people/ada/erase", url.Values{"reason": {"mine"}}), http.StatusForbidden)
	shows(t, o.get("ada", "/console/people/kim"), http.StatusOK, "/console/people/kim/erase")
}
