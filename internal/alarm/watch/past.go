package watch

import (
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
)

const (
	daySeconds = 24 * 60 * 60
	// forgetDays is after how many days without an entry an account's past is forgotten.
	forgetDays = 90
)

// A past is what is remembered of one account.
type past struct {
	Vendor   string           `json:"v,omitempty"`
	Clusters map[string]int64 `json:"c,omitempty"` // day of the last request that each let through
	Days     []dayFigures     `json:"d,omitempty"` // on which it worked, oldest first, at most MaxDays and the current one
}

// dayFigures are what an account did on one day, UTC.
type dayFigures struct {
	Day      int64  `json:"n"` // since 1970
	Hours    uint32 `json:"h"` // one bit for each in which it worked
	Requests int64  `json:"r,omitempty"`
	Bytes    int64  `json:"b,omitempty"`
}

func dayOf(t time.Time) int64 { return t.Unix() / daySeconds }

// weekend: the first of January 1970 was a Thursday.
func weekend(day int64) bool { w := (day + 4) % 7; return w == 0 || w == 6 }

// today returns the figures of the day of t, which is never earlier than the
// newest, because entries are in order.
func (p *past) today(t time.Time) *dayFigures {
	day := dayOf(t)
	if n := len(p.Days); n == 0 || p.Days[n-1].Day < day {
		if n > alarm.MaxDays {
			p.Days = slices.Delete(p.Days, 0, 1)
		}
		p.Days = append(p.Days, dayFigures{Day: day})
	}
	return &p.Days[len(p.Days)-1]
}

// before returns the days before the newest.
func (p *past) before() []dayFigures { return p.Days[:len(p.Days)-1] }

// unusualHour reports whether the account never worked at this hour or the ones
// beside it, on such a day (of the week, or of the weekend).
func (p *past) unusualHour(t time.Time, days int) bool {
	if len(p.Days) <= days {
		return false
	}
	hour := t.UTC().Hour()
	var near uint32
	for h := hour - 1; h <= hour+1; h++ { // a summer's time is no news
		near |= 1 << ((h + 24) % 24)
	}
	now := p.Days[len(p.Days)-1]
	for _, d := range p.before() {
		if weekend(d.Day) == weekend(now.Day) && d.Hours&near != 0 {
			return false
		}
	}
	if last := p.Days[len(p.Days)-2]; hour == 0 && last.Day == now.Day-1 && last.Hours&(1<<23) != 0 {
		return false // it goes on since before midnight
	}
	return now.Hours&near == 0
}

// usual returns the middle of a figure over the days before the newest.
func (p *past) usual(of func(*dayFigures) int64) int64 {
	var all [alarm.MaxDays + 1]int64
	n := 0
	for i := range p.before() {
		if n < len(all) {
			all[n] = of(&p.Days[i])
			n++
		}
	}
	if n == 0 {
		return 0
	}
	slices.Sort(all[:n])
	return all[n/2]
}

// idle reports whether nothing is known of the account since long before day.
func (p *past) idle(day int64) bool {
	for _, d := range p.Clusters {
		if day-d < forgetDays {
			return false
		}
	}
	return len(p.Days) == 0 || day-p.Days[len(p.Days)-1].Day >= forgetDays
}
