package config

import (
	"net/url"
	"regexp"
)

// LogSearch is where the console searches the entries of many gateways together.
type LogSearch struct {
	// Engine is "clickhouse" or "postgres", into which each gateway delivers its
	// entries. Default none: each gateway searches its own log alone.
	Engine string `yaml:"engine"`
	// URL is where it is: https://host:8443, or postgres://host:5432/database.
	// http:// is for this machine itself alone.
	URL string `yaml:"url"`
	// Database is of clickhouse alone. Default "default".
	Database string `yaml:"database"`
	// Table is that of the deliveries. Default "ringfence".
	Table string `yaml:"table"`
	// CAFile holds PEM certificates that are trusted for the connection. Default:
	// the system's.
	CAFile string `yaml:"ca_file"`
	// Certificate and Key are PEM files of a certificate to show to the engine.
	// Default none.
	Certificate string `yaml:"certificate"`
	// Key is the certificate's private key, readable by the service alone.
	Key string `yaml:"key"`
	// Username and PasswordFile are of an account that may read the table, and
	// should be allowed nothing else.
	Username string `yaml:"username"`
	// PasswordFile holds the password, readable by the service alone.
	PasswordFile string `yaml:"password_file"`
}

func (d *decoder) logSearch(s *LogSearch) {
	const at = "access_log.search"
	if s.Engine == "" {
		for _, name := range []string{"url", "database", "table", "ca_file", "certificate", "key", "username", "password_file"} {
			if d.given(at + "." + name) {
				d.bad(at+".engine", "is missing: without it %s is of no use", name)
				return
			}
		}
		return
	}
	oneOf(d, at+".engine", s.Engine, ToClickHouse, ToPostgres)
	x := Delivery{To: s.Engine, URL: s.URL, Certificate: s.Certificate, Key: s.Key, Username: s.Username, PasswordFile: s.PasswordFile}
	d.deliveryURL(at+".url", &x)
	d.deliverySecrets(at, &x)
	d.sharedTable(at, s.Engine, s.URL, s.Database, s.Table, s.Username)
	if d.given(at+".database") && s.Engine != ToClickHouse {
		d.bad(at+".database", "is of no use to %s: it stands in the URL", quote(s.Engine))
	}
}

var tableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
var tableWithSchema = regexp.MustCompile(`^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$`)

// sharedTable judges what names a table that many gateways share.
func (d *decoder) sharedTable(at, to, address, database, table, username string) {
	if to != ToClickHouse && to != ToPostgres {
		return
	}
	form := tableName
	if to == ToPostgres {
		form = tableWithSchema
	}
	if table != "" && !form.MatchString(table) {
		d.bad(at+".table", "%s is not the name of a table: write small letters, digits and _", quote(table))
	}
	if database != "" && !tableName.MatchString(database) {
		d.bad(at+".database", "%s is not the name of a database: write small letters, digits and _", quote(database))
	}
	if to != ToPostgres {
		return
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" || u.Hostname() == "" || len(u.Path) < 2 || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		d.bad(at+".url", "is not of the form postgres://host:5432/database: account, password and certificates have places of their own")
	}
	if username == "" {
		d.bad(at+".username", "is missing: name the account of the database")
	}
}
