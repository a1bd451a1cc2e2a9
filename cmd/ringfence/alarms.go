package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/alarm/watch"
	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/witness"
)

// unsignedAlarm is how long entries may wait for a signed checkpoint before
// that is trouble: one is signed every second.
const unsignedAlarm = 30 * time.Second

// alarms are what watches the log, and what tells of it.
type alarms struct {
	watch   *watch.Service
	courier *watch.Courier
}

func (g *gateway) buildAlarms() (err error) {
	cfg := g.cfg.Load()
	p := paths{cfg.Data}
	g.alarms.watch, err = watch.New(watch.Config{Source: g.log, Origin: logOrigin(cfg), Keeper: g.db, Logger: g.logger, Conditions: g.alarmConditions,
		LearnFrom: func() (uint64, error) { return accesslog.FirstAt(p.log(), time.Now().Add(-watch.Learn)) }})
	if err != nil {
		return err
	}
	c := watch.CourierConfig{Outbox: g.db, Words: g.alarmLetter, AllowNetworks: cfg.Alarms.AllowNetworks, Origin: logOrigin(cfg), Node: cfg.AccessLog.Node, Logger: g.logger,
		Open: func(id string, sealed []byte) ([]byte, error) {
			return g.auth.OpenSecret("alarm_receiver", "secret", id, sealed)
		},
		Owner: func(vendor string) string {
			owner, _ := vendorOwner(g.snapshot.Load().Directory(), vendor)
			return owner.Email
		}}
	if g.post != nil {
		c.Mail = g.post.sender
	}
	g.alarms.courier, err = watch.NewCourier(c)
	return err
}

// alarmLetter words an alarm with the names of the moment.
func (g *gateway) alarmLetter(a alarm.Alarm) watch.Letter {
	h := letterhead(g.cfg.Load())
	title, text, mail := h.Alarm(g.snapshot.Load().Directory(), &a)
	return watch.Letter{Title: title, Text: text, Mail: mail.Text, URL: h.Gate + console.AlarmPath(a.ID)}
}

// alarmConditions are the troubles of the log that hold at this moment.
func (g *gateway) alarmConditions() []watch.Condition {
	var out []watch.Condition
	if err := g.log.Healthy(); err != nil {
		out = append(out, watch.Condition{Kind: alarm.LogTrouble, Name: "unwritable", Facts: map[string]string{"what": "unwritable"}})
	}
	if d := g.log.Stats().OldestUnsigned; d > unsignedAlarm {
		out = append(out, watch.Condition{Kind: alarm.LogTrouble, Name: "unsigned", For: d, Facts: map[string]string{"what": "unsigned"}})
	}
	if g.witness != nil {
		s := g.witness.Status()
		if _, conflict := errors.AsType[*witness.ConflictError](s.Stopped); conflict {
			out = append(out, watch.Condition{Kind: alarm.LogTrouble, Name: "conflict", Facts: map[string]string{"what": "conflict"}})
		}
		if s.Gap > 0 {
			out = append(out, watch.Condition{Kind: alarm.Unanchored, Name: "witness", For: s.Gap, Facts: map[string]string{"what": "gap", "gap": s.Gap.Round(time.Second).String()}})
		}
	}
	return out
}

// consoleAlarms is what pages do with alarms.
type consoleAlarms struct {
	alarm.Desk
	g *gateway
}

// Try implements [console.Alarms].
func (c consoleAlarms) Try(ctx context.Context, r alarm.Rule, since time.Time, progress func(done, total uint64)) (alarm.Trial, error) {
	return watch.Try(ctx, paths{c.g.cfg.Load().Data}.log(), r, since, c.g.log.Size(), progress)
}

// TryReceiver implements [console.Alarms].
func (c consoleAlarms) TryReceiver(ctx context.Context, id string, a alarm.Alarm) error {
	r, err := c.g.db.Receiver(ctx, id)
	if err != nil {
		return err
	}
	return c.g.alarms.courier.Send(ctx, r, a)
}

// SaveRule has the record that puts the rule in force go to the log at once.
func (c consoleAlarms) SaveRule(ctx context.Context, actor directory.Actor, r alarm.Rule) (alarm.Rule, error) {
	r, err := c.Desk.SaveRule(ctx, actor, r)
	if err != nil {
		return r, err
	}
	return r, c.g.refresh(ctx, nil)
}

// alarmFigures are what /metrics says of alarms.
func (g *gateway) alarmFigures() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ringfence_alarms_lag_entries", Help: "Entries of the access log that no rule of alarms has looked at yet."},
			func() float64 { return float64(g.alarms.watch.Status().Lag) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ringfence_alarms_healthy", Help: "1 while alarms can be raised."},
			func() float64 { return yes(g.alarms.watch.Status().Fault == "") }),
	}
}
