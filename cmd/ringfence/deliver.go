package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/index"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/delivery"
)

// newDelivery makes what hands entries to other systems. It connects to nothing.
func newDelivery(cfg *config.Config, l *accesslog.Log, logger *slog.Logger) (*delivery.Service, error) {
	list, err := destinations(cfg)
	if err != nil {
		return nil, err
	}
	p := paths{cfg.Data}
	return delivery.New(delivery.Config{Source: l, Origin: logOrigin(cfg), Dir: p.delivery(), LogDir: p.log(), Destinations: list, Logger: logger})
}

// destinations reads the secrets and certificates that the configuration names.
func destinations(cfg *config.Config) ([]delivery.Destination, error) {
	var out []delivery.Destination
	for _, c := range cfg.AccessLog.Deliver {
		d, err := newDestination(cfg, c)
		if err != nil {
			return nil, err
		}
		if files := deliveryFiles(c); len(files) > 0 {
			seen := fingerprint(files...)
			d.Changed = func() bool { return fingerprint(files...) != seen }
			d.Renew = func() (delivery.Destination, error) {
				seen = fingerprint(files...)
				return newDestination(cfg, c)
			}
		}
		out = append(out, d)
	}
	return out, nil
}

func newDestination(cfg *config.Config, c config.Delivery) (d delivery.Destination, err error) {
	d = delivery.Destination{Name: c.Name, Kind: c.To, Newest: c.Start == "newest", Types: c.Types}
	switch c.To {
	case config.ToS3:
		d.Segments, err = bucket(cfg, c)
	case config.ToParquet:
		d.Days, err = days(cfg, c)
	default:
		d.Sender, err = newDeliverySender(cfg, c)
	}
	if err != nil {
		return d, fmt.Errorf("configuring delivery to %s: %w", c.Name, err)
	}
	return d, nil
}

// days are the files of the index.
func days(cfg *config.Config, c config.Delivery) (*delivery.Days, error) {
	store, err := bucket(cfg, c)
	if err != nil {
		return nil, err
	}
	p := paths{cfg.Data}
	return &delivery.Days{Store: store, List: func() (out []delivery.DayFile, err error) {
		list, err := index.Days(p.log(), p.index())
		for _, d := range list {
			out = append(out, delivery.DayFile(d))
		}
		return out, err
	}}, nil
}

func bucket(cfg *config.Config, c config.Delivery) (*delivery.S3, error) {
	conf, err := deliveryTLS(c)
	if err != nil {
		return nil, err
	}
	secret, err := secretFile(c.SecretKeyFile)
	if err != nil {
		return nil, err
	}
	return delivery.NewS3(delivery.S3Config{URL: c.URL, TLS: conf, Bucket: c.Bucket, Prefix: c.Prefix, Region: c.Region,
		Origin: logOrigin(cfg), AccessKey: c.AccessKey, SecretKey: secret, Lock: c.Lock})
}

func newDeliverySender(cfg *config.Config, c config.Delivery) (delivery.Sender, error) {
	conf, err := deliveryTLS(c)
	if err != nil {
		return nil, err
	}
	shape := &delivery.Shape{Format: delivery.Format(cmp.Or(c.Format, string(delivery.Ringfence))), Origin: logOrigin(cfg), Version: buildVersion()}
	if c.To == config.ToClickHouse || c.To == config.ToPostgres {
		return openShared(cfg, config.LogSearch{Engine: c.To, URL: c.URL, Database: c.Database, Table: c.Table, CAFile: c.CAFile,
			Certificate: c.Certificate, Key: c.Key, Username: c.Username, PasswordFile: c.PasswordFile})
	}
	if c.To == config.ToSyslog {
		u, err := url.Parse(c.URL)
		if err != nil {
			return nil, fmt.Errorf("reading its URL: %w", err)
		}
		return delivery.NewSyslog(u.Host, conf, delivery.FacilityAudit, shape)
	}
	web := delivery.Web{URL: c.URL, TLS: conf, Gzip: true}
	if web.Authorization, err = deliveryAuthorization(c); err != nil {
		return nil, err
	}
	switch c.To {
	case config.ToOTLP:
		return delivery.NewOTLP(web, shape)
	case config.ToElastic:
		return delivery.NewElastic(web, c.Index, shape)
	case config.ToSplunk:
		return delivery.NewSplunk(web, c.Index, shape)
	case config.ToLoki:
		return delivery.NewLoki(web, c.Tenant, shape)
	case config.ToVictoriaLogs:
		return delivery.NewVictoriaLogs(web, shape)
	}
	return nil, fmt.Errorf("kind %q is not known", c.To) // the configuration was judged before
}

func deliveryAuthorization(c config.Delivery) (string, error) {
	switch {
	case c.TokenFile != "":
		token, err := secretFile(c.TokenFile)
		if err != nil {
			return "", err
		}
		scheme := map[string]string{config.ToSplunk: "Splunk", config.ToElastic: "ApiKey"}[c.To]
		return cmp.Or(scheme, "Bearer") + " " + token, nil
	case c.PasswordFile != "":
		password, err := secretFile(c.PasswordFile)
		if err != nil {
			return "", err
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+password)), nil
	}
	return "", nil
}

func secretFile(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("reading its secret: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return "", fmt.Errorf("reading its secret: %s is empty or has several lines", name)
	}
	return s, nil
}

// deliveryTLS returns nil where nothing but the system's authorities is asked for.
func deliveryTLS(c config.Delivery) (*tls.Config, error) {
	if c.CAFile == "" && c.Certificate == "" {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		b, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading its authorities: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("reading its authorities: %s holds no certificate", c.CAFile)
		}
	}
	if c.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate to show: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// deliveryPatience is how long a delivery may fail before readiness tells of it.
const deliveryPatience = time.Minute

// deliveryFaults says which deliveries need somebody.
func deliveryFaults(states []delivery.State, now time.Time) map[string]string {
	out := map[string]string{}
	for _, s := range states {
		switch {
		case s.Stopped:
			out[s.Name] = "has stopped and needs somebody: " + s.Fault
		case s.Fault != "" && now.Sub(s.Since) >= deliveryPatience:
			out[s.Name] = fmt.Sprintf("has failed since %s, %d entries behind: %s", s.Since.UTC().Format(time.RFC3339), s.Lag, s.Fault)
		case s.UpkeepFault != "" && now.Sub(s.UpkeepSince) >= deliveryPatience:
			out[s.Name] = fmt.Sprintf("has not let go since %s of what was erased or removed by age (%d erased accounts): %s", s.UpkeepSince.UTC().Format(time.RFC3339), s.Forgetting, s.UpkeepFault)
		case s.Refused > 0:
			out[s.Name] = fmt.Sprintf("%d entries were refused and set aside; they are listed in delivery/%s.refused in the data folder", s.Refused, s.Name)
		}
	}
	return out
}

// deliveryMetrics reads figures off the deliveries at each scrape.
type deliveryMetrics struct{ s *delivery.Service }

var deliveryFigures = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(delivery.State) float64
}{
	{deliveryDesc("ringfence_delivery_lag_entries", "Entries that a destination does not have yet."), prometheus.GaugeValue, func(s delivery.State) float64 { return float64(s.Lag) }},
	{deliveryDesc("ringfence_delivery_lag_seconds", "Age of the oldest entry that is being sent to a destination, 0 when none is."), prometheus.GaugeValue, func(s delivery.State) float64 {
		if s.Oldest.IsZero() {
			return 0
		}
		return time.Since(s.Oldest).Seconds()
	}},
	{deliveryDesc("ringfence_delivery_entries_total", "Entries that a destination took."), prometheus.CounterValue, func(s delivery.State) float64 { return float64(s.Delivered) }},
	{deliveryDesc("ringfence_delivery_failures_total", "Failed tries."), prometheus.CounterValue, func(s delivery.State) float64 { return float64(s.Failures) }},
	{deliveryDesc("ringfence_delivery_refused", "Entries that a destination refused and that were set aside."), prometheus.GaugeValue, func(s delivery.State) float64 { return float64(s.Refused) }},
	{deliveryDesc("ringfence_delivery_forgetting", "Erased accounts that a table has yet to forget."), prometheus.GaugeValue, func(s delivery.State) float64 { return float64(s.Forgetting) }},
	{deliveryDesc("ringfence_delivery_healthy", "1 while the newest try to deliver succeeded."), prometheus.GaugeValue, func(s delivery.State) float64 { return yes(s.Fault == "") }},
}

func deliveryDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"destination", "kind"}, nil)
}

// Describe implements [prometheus.Collector].
func (deliveryMetrics) Describe(c chan<- *prometheus.Desc) {
	for _, f := range deliveryFigures {
		c <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (m deliveryMetrics) Collect(c chan<- prometheus.Metric) {
	for _, s := range m.s.States() {
		for _, f := range deliveryFigures {
			c <- prometheus.MustNewConstMetric(f.desc, f.kind, f.read(s), s.Name, s.Kind)
		}
	}
}
