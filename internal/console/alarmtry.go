package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
)

// postedRule reads the rule of a posted form; nothing else than what its form
// has is taken from it.
func (c *Console) postedRule(r *http.Request, v *visit) (*form, alarm.Rule, error) {
	f := posted(r)
	id := r.PathValue("rule")
	x, err := c.ruleNamed(r, id)
	if err != nil {
		if !ownRule(id) || f.Value("seen") != "0" {
			return f, x, err
		}
		x = alarm.Rule{ID: id, Kind: alarm.Matches}
	}
	seen, err := strconv.ParseInt(f.Value("seen"), 10, 64)
	if err != nil {
		return f, x, ui.NotFound()
	}
	x.Revision = seen
	return f, c.ruleFrom(v, f, x), nil
}

// ownRule reports whether an id is one that the form of a new rule made.
func ownRule(id string) bool { return len(id) == 14 && id[:4] == "own-" && slug.MatchString(id) }

func (c *Console) saveAlarmRule(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, x, err := c.postedRule(r, v)
	if err != nil {
		return err
	}
	if f.OK() {
		_, err = c.Alarms.SaveRule(r.Context(), v.Actor(), x)
		switch {
		case errors.Is(err, alarm.ErrChanged):
			f.note("Somebody else changed this in the meantime. Open it again and repeat your change.")
		case errors.Is(err, alarm.ErrTooMany):
			f.note("There are too many rules already. Change one of yours.")
		case err != nil:
			return alarmError(err)
		}
	}
	if !f.OK() {
		return c.showRule(w, r, v, f, x)
	}
	return c.seeOther(w, r, v, alarmRulesPath, "The rule is saved. It is in force from its entry in the access log on.")
}

// tryAlarmRule begins to ask the rule of the form about the recorded past.
// Nothing is saved or raised. Reading the log for it is recorded first.
func (c *Console) tryAlarmRule(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, x, err := c.postedRule(r, v)
	if err != nil {
		return err
	}
	days, _ := strconv.Atoi(f.Value("try_days"))
	if !slices.Contains([]int{7, 30, 90}, days) {
		f.fault("try_days", "Choose one of them.")
	}
	if v.mayRead() != nil {
		f.note("A trial reads the whole access log, of which you may see a part.")
	}
	if !f.OK() {
		return c.showRule(w, r, v, f, x)
	}
	since := v.Now.AddDate(0, 0, -days)
	if err := c.recordRead(r, v, "log.query", "log", map[string]string{"for": "alarm rule " + x.ID, "since": since.Format(time.RFC3339)}); err != nil {
		return err
	}
	c.desk.trials.begin(r.Context(), &trial{Kind: trialOfRule(x.ID), By: v.Session.Email, Detail: triedRule{x, days}}, c.Now, func(ctx context.Context, tell func(studio.Progress)) (any, error) {
		t, err := c.Alarms.Try(ctx, x, since, func(done, total uint64) { tell(studio.Progress{Done: int(done), Total: int(total)}) })
		if err != nil && ctx.Err() == nil {
			c.Logger.Warn("trying a rule of alarms", "rule", x.ID, "err", err)
		}
		return t, err
	})
	http.Redirect(w, r, ruleURL(x.ID)+"?tried=yes#tried", http.StatusSeeOther)
	return nil
}

func (c *Console) stopAlarmTrial(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := r.PathValue("rule")
	c.desk.trials.newest(trialOfRule(id), trialSet{}).stop()
	http.Redirect(w, r, ruleURL(id)+"?tried=yes#tried", http.StatusSeeOther)
	return nil
}
