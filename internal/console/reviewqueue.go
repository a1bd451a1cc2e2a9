package console

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/internal/ui"
)

const (
	queuePath = "/console/log/queue"
	// queueDays is how many days the queue goes back, today included.
	queueDays = 14
)

// queuePage shows what nobody has reviewed, by search and day.
type queuePage struct {
	Base
	Lede     ui.Text
	Searches []queueRow
	Partial  bool
	Empty    ui.Empty
}

// queueRow is one search that is reviewed daily.
type queueRow struct {
	Title, Query, By string
	Run, Edit        string
	Days             []queueDay
	Open             int
}

// queueDay is one day of a search.
type queueDay struct {
	Date          time.Time
	Label         ui.Text
	Matched, Open int
	Today         bool
	URL           string // empty: nothing waits
}

// queue shows, for each search that is to be reviewed daily, the days on which
// entries wait for somebody to look at them.
func (c *Console) queue(w http.ResponseWriter, r *http.Request, v *visit) error {
	all, err := c.Reviews.Searches(r.Context(), v.Session.Account)
	if err != nil {
		return err
	}
	page := queuePage{Base: v.page("To review"), Lede: "What of the access log nobody has looked at yet, day by day."}
	var daily []review.Search
	for _, s := range all {
		if s.Daily {
			daily = append(daily, s)
		}
	}
	if len(daily) == 0 {
		page.Empty = ui.Empty{Title: "No search is reviewed daily", Text: "Save a search and tick “Have it reviewed daily”. Then this page says, day by day, what nobody has looked at.", ActionURL: searchesPath, Action: "Saved searches"}
		return c.show(w, r, http.StatusOK, "log-queue", page)
	}
	if err := c.recordRead(r, v, "log.count", "log", map[string]string{"searches": strconv.Itoa(len(daily)), "days": strconv.Itoa(queueDays)}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	waiting := 0
	for i := range daily {
		row, err := c.queueOf(ctx, v, &daily[i])
		if overdueIsNothing(err) == nil && err != nil {
			page.Partial = true
			break
		}
		if err != nil {
			return err
		}
		waiting += row.Open
		page.Searches = append(page.Searches, row)
	}
	page.Lede = ui.Say("Everything of the last {1} days was reviewed.", queueDays)
	if waiting > 0 {
		page.Lede = ui.Count(waiting, "{1} entry of the last {2} days waits for somebody to look at it.", "{1} entries of the last {2} days wait for somebody to look at them.", queueDays)
	}
	return c.show(w, r, http.StatusOK, "log-queue", page)
}

// queueOf counts what waits of one search.
func (c *Console) queueOf(ctx context.Context, v *visit, s *review.Search) (queueRow, error) {
	row := queueRow{Title: s.Title, Query: s.Query, By: s.Email, Run: searchAddress(s.Query)}
	if v.mayChangeSearch(s) {
		row.Edit = savedSearchPath(s.ID) + "/edit"
	}
	conditions, err := query.Parse(s.Query)
	if err != nil {
		return row, err
	}
	today := v.Now.UTC().Truncate(24 * time.Hour)
	oldest := today.AddDate(0, 0, 1-queueDays)
	first, err := c.firstEntry(ctx, oldest)
	if err != nil {
		return row, err
	}
	offs, err := c.Reviews.SignOffsOf(ctx, query.Print(conditions), first)
	if err != nil {
		return row, err
	}
	open, err := unreviewed(conditions, offs)
	if err != nil {
		return row, err
	}
	matched, err := c.byDay(ctx, v, conditions, oldest)
	if err != nil {
		return row, err
	}
	waiting, err := c.byDay(ctx, v, open, oldest)
	if err != nil {
		return row, err
	}
	for day := today; !day.Before(oldest); day = day.AddDate(0, 0, -1) {
		d := queueDay{Date: day, Label: ui.Day(day), Matched: matched[day], Open: waiting[day], Today: day.Equal(today)}
		if d.Open > 0 {
			d.URL = address(reviewsPath+"/new", url.Values{"search": {strconv.FormatInt(s.ID, 10)}, "day": {day.Format(time.DateOnly)}})
		}
		row.Open += d.Open
		row.Days = append(row.Days, d)
	}
	return row, nil
}

// byDay counts entries by day (UTC) from oldest on.
func (c *Console) byDay(ctx context.Context, v *visit, n query.Node, oldest time.Time) (map[time.Time]int, error) {
	e, err := c.engine()
	if err != nil {
		return nil, err
	}
	cells, err := e.Histogram(ctx, query.Request{Where: query.All(n, query.Bound{Field: query.Since, At: oldest}, v.mayRead()), Now: v.Now}, query.Type, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	out := map[time.Time]int{}
	for _, cell := range cells {
		out[cell.Start.UTC()] += cell.N
	}
	return out, nil
}
