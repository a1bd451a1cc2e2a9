package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Values of [Delivery.To].
const (
	ToSyslog       = "syslog"
	ToOTLP         = "otlp"
	ToElastic      = "elastic"
	ToSplunk       = "splunk"
	ToLoki         = "loki"
	ToVictoriaLogs = "victorialogs"
	ToS3           = "s3"
	ToParquet      = "parquet"
	ToClickHouse   = "clickhouse"
	ToPostgres     = "postgres"
)

// A Delivery is another system that gets every entry of the access log, at
// least once and in order.
type Delivery struct {
	// Name stands in metrics, and names the file that says how far the system
	// has come. Required. With another name, delivery begins anew.
	Name string `yaml:"name"`
	// To is the kind: "syslog" (RFC 5424 over TLS), "otlp" (logs as protobuf over
	// HTTP), "elastic" (bulk; OpenSearch too), "splunk" (HTTP event collector),
	// "loki", "victorialogs", "s3" (whole sealed segments of the log), "parquet" (a
	// file for each day that is over, to an S3-compatible store), or a table that
	// many gateways share, "clickhouse" or "postgres". A day's file is kept anew, or
	// goes, when an account is erased and when age removes entries from the log.
	To string `yaml:"to"`
	// URL is where it is: of syslog tls://host:6514, of otlp the whole, such as
	// https://host:4318/v1/logs, of the others the base without the interface's
	// path, of postgres postgres://host:5432/database. http:// is for this
	// machine itself alone.
	URL string `yaml:"url"`
	// Format is what an entry is written as: "ringfence", "ocsf", "ecs", or, for
	// syslog, splunk, loki and otlp, "cef". Default "ringfence". Not with s3 and parquet.
	Format string `yaml:"format"`
	// Start is where a new delivery begins: "oldest" or "newest". Default "oldest".
	Start string `yaml:"start"`
	// CAFile holds PEM certificates that are trusted for the connection. Default:
	// the system's.
	CAFile string `yaml:"ca_file"`
	// Certificate and Key are PEM files of a certificate to show to the system.
	// Default none.
	Certificate string `yaml:"certificate"`
	// Key is the certificate's private key, readable by the service alone.
	Key string `yaml:"key"`
	// TokenFile holds the token that the system asks for, readable by the service
	// alone: the collector's of splunk, an API key of elastic, otherwise a bearer
	// token. Default none.
	TokenFile string `yaml:"token_file"`
	// Username and PasswordFile are for systems that ask for those instead.
	Username string `yaml:"username"`
	// PasswordFile holds the password, readable by the service alone.
	PasswordFile string `yaml:"password_file"`
	// Index is the index or data stream of elastic (required), or the index of
	// splunk. Default: the token's own.
	Index string `yaml:"index"`
	// Tenant is loki's. Default none.
	Tenant string `yaml:"tenant"`
	// Database is of clickhouse alone. Default "default".
	Database string `yaml:"database"`
	// Table is of clickhouse and postgres. It is made if it is missing. Default
	// "ringfence".
	Table string `yaml:"table"`
	// Types are those of the entries that are delivered: request, outcome, login,
	// admin, policy, log. Default all. Not with s3 and parquet. Danger: what is left out cannot
	// be told from what was lost.
	Types []string `yaml:"types"`
	// Bucket is of s3 and parquet alone. Required there.
	Bucket string `yaml:"bucket"`
	// Prefix is what names in the bucket begin with. Default none.
	Prefix string `yaml:"prefix"`
	// Region is the bucket's. Default: asked of the store.
	Region string `yaml:"region"`
	// AccessKey names the key that signs requests to the store.
	AccessKey string `yaml:"access_key"`
	// SecretKeyFile holds that key, readable by the service alone.
	SecretKeyFile string `yaml:"secret_key_file"`
	// Lock keeps what is stored from being changed or removed for so long, by
	// Object Lock in compliance mode. Default none; 24h to 87600h. Of s3 alone. Danger: nobody
	// can shorten it, nor stop paying for it.
	Lock time.Duration `yaml:"lock"`
}

// forKinds are the settings that only some kinds have.
var forKinds = map[string][]string{
	"format": {ToSyslog, ToOTLP, ToElastic, ToSplunk, ToLoki, ToVictoriaLogs},
	"index":  {ToElastic, ToSplunk}, "tenant": {ToLoki},
	"token_file": {ToOTLP, ToElastic, ToSplunk, ToLoki, ToVictoriaLogs},
	"username":   {ToOTLP, ToElastic, ToLoki, ToVictoriaLogs, ToClickHouse, ToPostgres}, "password_file": {ToOTLP, ToElastic, ToLoki, ToVictoriaLogs, ToClickHouse, ToPostgres},
	"database": {ToClickHouse}, "table": {ToClickHouse, ToPostgres},
	"types":  {ToSyslog, ToOTLP, ToElastic, ToSplunk, ToLoki, ToVictoriaLogs, ToClickHouse, ToPostgres},
	"bucket": {ToS3, ToParquet}, "prefix": {ToS3, ToParquet}, "region": {ToS3, ToParquet}, "access_key": {ToS3, ToParquet}, "secret_key_file": {ToS3, ToParquet}, "lock": {ToS3},
}

func (d *decoder) deliveries(list []Delivery) {
	for i := range list {
		at := fmt.Sprintf("access_log.deliver[%d]", i)
		x := &list[i]
		switch {
		case x.Name == "":
			d.bad(at+".name", "is missing: metrics and the file of its progress are called by it")
		case !slug.MatchString(x.Name):
			d.bad(at+".name", "%s is not a name: write lower-case letters, digits and hyphens, such as siem", quote(x.Name))
		case slices.ContainsFunc(list[:i], func(y Delivery) bool { return y.Name == x.Name }):
			d.bad(at+".name", "%s names two deliveries: give each its own", x.Name)
		}
		oneOf(d, at+".to", x.To, ToSyslog, ToOTLP, ToElastic, ToSplunk, ToLoki, ToVictoriaLogs, ToS3, ToParquet, ToClickHouse, ToPostgres)
		for _, name := range slices.Sorted(maps.Keys(forKinds)) {
			if d.given(at+"."+name) && !slices.Contains(forKinds[name], x.To) {
				d.bad(at+"."+name, "is of no use to %s", quote(x.To))
			}
		}
		d.deliveryURL(at+".url", x)
		d.deliverySecrets(at, x)
		for _, t := range x.Types {
			oneOf(d, at+".types", t, "request", "outcome", "login", "admin", "policy", "log")
		}
		d.sharedTable(at, x.To, x.URL, x.Database, x.Table, x.Username)
		if x.Format != "" {
			oneOf(d, at+".format", x.Format, "ringfence", "ocsf", "ecs", "cef")
		}
		if x.Format == "cef" && (x.To == ToElastic || x.To == ToVictoriaLogs) {
			d.bad(at+".format", "is cef, which is no object: %s takes ringfence, ocsf or ecs", x.To)
		}
		if x.Start != "" {
			oneOf(d, at+".start", x.Start, "oldest", "newest")
		}
		if x.To == ToElastic && x.Index == "" {
			d.bad(at+".index", "is missing: name the index or data stream, such as logs-ringfence-default")
		}
		if d.given(at + ".lock") {
			between(d, at+".lock", x.Lock, 24*time.Hour, 87600*time.Hour)
		}
	}
}

func (d *decoder) deliveryURL(at string, x *Delivery) {
	u, err := url.Parse(x.URL)
	if x.URL == "" || err != nil || u.Host == "" || u.Hostname() == "" {
		d.bad(at, "is missing or no URL: write it as https://host, and of syslog as tls://host:6514")
		return
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		d.bad(at, "holds a name, a password or a query: secrets go into files of their own")
		return
	}
	if x.To == ToPostgres {
		return // judged with the table
	}
	if x.To == ToSyslog {
		if _, _, err := net.SplitHostPort(u.Host); u.Scheme != "tls" || err != nil || u.Path != "" {
			d.bad(at, "is not of the form tls://host:6514: entries are not sent in the open")
		}
		return
	}
	ip, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		d.bad(at, "is not https: entries are sent in the open to this machine itself alone")
	}
	if (x.To == ToS3 || x.To == ToParquet) && strings.Trim(u.Path, "/") != "" {
		d.bad(at, "has a path: write the store alone, and the bucket as bucket")
	}
}

func (d *decoder) deliverySecrets(at string, x *Delivery) {
	pair := func(a, av, b, bv string) {
		if av != "" && bv == "" {
			d.bad(at+"."+b, "is missing: %s is of no use without it", a)
		} else if av == "" && bv != "" {
			d.bad(at+"."+a, "is missing: %s is of no use without it", b)
		}
	}
	pair("certificate", x.Certificate, "key", x.Key)
	pair("username", x.Username, "password_file", x.PasswordFile)
	if x.TokenFile != "" && x.PasswordFile != "" {
		d.bad(at+".token_file", "is given beside a password: keep one of them")
	}
	if x.To == ToSplunk && x.TokenFile == "" {
		d.bad(at+".token_file", "is missing: the collector asks for a token")
	}
	if x.To == ToS3 || x.To == ToParquet {
		for _, need := range [][2]string{{"bucket", x.Bucket}, {"access_key", x.AccessKey}, {"secret_key_file", x.SecretKeyFile}} {
			if need[1] == "" {
				d.bad(at+"."+need[0], "is missing: %s needs bucket, access_key and secret_key_file", x.To)
			}
		}
	}
}
