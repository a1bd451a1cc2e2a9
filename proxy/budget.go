package proxy

import (
	"net/http"
	"sync"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// day is the day that budgets are for.
const day = 24 * time.Hour

// today returns the number of a day in UTC since 1970.
func today(t time.Time) int64 { return t.Unix() / int64(day/time.Second) }

// A meterKey names what one budget is shared by: all that an account is sent
// from a cluster, in whatever session and by whatever token.
type meterKey struct{ account, cluster string }

// A meter counts the bytes that an account is sent from a cluster in a day.
type meter struct {
	mu   sync.Mutex
	day  int64
	used int64
}

// roll begins a new day. A clock that goes back begins none.
func (m *meter) roll(day int64) {
	if day > m.day {
		m.day, m.used = day, 0
	}
}

// take counts up to n bytes and returns how many of them the budget has room
// for; no budget, 0, has room for all. What is taken and not sent is given back.
func (m *meter) take(day int64, n int, budget int64) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roll(day)
	if budget > 0 {
		n = int(min(int64(n), max(0, budget-m.used)))
	}
	m.used += int64(n)
	return n
}

func (m *meter) giveBack(day int64, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.day == day {
		m.used -= int64(n)
	}
}

// left returns what is left of a budget.
func (m *meter) left(day, budget int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roll(day)
	return max(0, budget-m.used)
}

// meterOf returns the meter of an account on a cluster, which s keeps with the
// account's requests, and notes that x holds it where there is an x.
func (s *streams) meterOf(account, cluster string, x *exchange) *meter {
	sh := s.shardOf(account)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	k := meterKey{account, cluster}
	m := sh.meters[k]
	if m == nil {
		m = &meter{}
		sh.meters[k] = m
	}
	if x != nil {
		x.meter = m
	}
	return m
}

// spend makes x count what its client is sent, and reports whether there is
// anything left of its budget.
func (x *exchange) spend() bool {
	budget := x.decision.Obligations.EgressBudget
	x.budget.Store(budget)
	if x.input.Subject.Account == "" {
		return budget == 0
	}
	m := x.h.streams.meterOf(x.input.Subject.Account, x.cluster.Name, x)
	return budget == 0 || m.left(today(x.h.Now()), budget) > 0
}

// forgetMeters drops the counts of days that are over. A request that still
// holds one goes on counting in it alone until it ends, so those stay.
func (s *streams) forgetMeters(day int64) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		held := map[*meter]bool{}
		for x := sh.first; x != nil; x = x.next {
			held[x.meter] = true
		}
		for k, m := range sh.meters {
			m.mu.Lock()
			if m.day < day && !held[m] {
				delete(sh.meters, k)
			}
			m.mu.Unlock()
		}
		sh.mu.Unlock()
	}
}

// RestoreEgress adds bytes that an account was sent from a cluster on the day
// of at, as the access log has it, to what counts against egress budgets. It is
// to be called for the outcomes of the current day before anything is served.
func (h *Handler) RestoreEgress(account, cluster string, at time.Time, bytes int64) {
	if account == "" || bytes <= 0 {
		return
	}
	m := h.streams.meterOf(account, cluster, nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	d := today(at)
	m.roll(d)
	if m.day == d {
		m.used += bytes
	}
}

// Egress returns how many bytes an account was sent from a cluster today.
func (h *Handler) Egress(account, cluster string) int64 {
	m := h.streams.meterOf(account, cluster, nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roll(today(h.Now()))
	return m.used
}

// tooMuchToday refuses an answer whose announced length is more than is left.
func tooMuchToday(now time.Time) *denial {
	d := budgetSpent(now)
	d.message = "This answer is larger than what a policy lets you be sent from this cluster today."
	d.help = "Ask for a smaller part, come back after midnight UTC, or ask the cluster's owner."
	return d
}

func budgetSpent(now time.Time) *denial {
	next := time.Unix((today(now)+1)*int64(day/time.Second), 0)
	return &denial{http.StatusForbidden, policy.ReasonEgressBudget,
		"You have been sent as much from this cluster today as a policy allows.",
		"Come back after midnight UTC, or ask the cluster's owner.", int(next.Sub(now)/time.Second) + 1}
}
