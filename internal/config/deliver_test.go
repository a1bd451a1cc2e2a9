package config

import (
	"strings"
	"testing"
)

func TestDeliver(t *testing.T) {
	head := "gate: https://gate.example.com\naccess_log:\n  deliver:\n"
	c, err := Parse("/etc/ringfence/config.yaml", []byte(head+"  - name: siem\n    to: syslog\n    url: tls://siem.example.com:6514\n    format: cef\n    ca_file: siem.pem\n"+
		"  - {name: archive, to: s3, url: 'http://127.0.0.1:9000', bucket: log, access_key: a, secret_key_file: s3.key, lock: 9490h}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := c.AccessLog.Deliver; len(d) != 2 || d[0].CAFile != "/etc/ringfence/siem.pem" || d[1].SecretKeyFile != "/etc/ringfence/s3.key" {
		t.Errorf("%+v", d)
	}
	for text, want := range map[string]string{
		"{to: syslog, url: 'tls://h:1'}":                                                                    "name: is missing",
		"{name: 'a b', to: syslog, url: 'tls://h:1'}":                                                       "is not a name",
		"{name: a, to: kafka, url: 'https://h'}":                                                            "is not one of syslog",
		"{name: a, to: syslog, url: 'tcp://h:514'}":                                                         "not sent in the open",
		"{name: a, to: syslog, url: 'tls://h'}":                                                             "tls://host:6514",
		"{name: a, to: loki, url: 'http://loki.example.com'}":                                               "is not https",
		"{name: a, to: loki, url: 'https://kim:hush@loki.example.com'}":                                     "secrets go into files",
		"{name: a, to: splunk, url: 'https://h'}":                                                           "token_file: is missing",
		"{name: a, to: elastic, url: 'https://h'}":                                                          "index: is missing",
		"{name: a, to: elastic, url: 'https://h', index: i, format: cef}":                                   "is no object",
		"{name: a, to: otlp, url: 'https://h/v1/logs', tenant: x}":                                          "tenant: is of no use",
		"{name: a, to: otlp, url: 'https://h/v1/logs', username: x}":                                        "password_file: is missing",
		"{name: a, to: s3, url: 'https://h/b', bucket: b, access_key: a, secret_key_file: f}":               "has a path",
		"{name: a, to: s3, url: 'https://h', access_key: a, secret_key_file: f}":                            "bucket: is missing",
		"{name: a, to: s3, url: 'https://h', bucket: b, access_key: a, secret_key_file: f, lock: 1h}":       "not between",
		"{name: a, to: parquet, url: 'https://h', access_key: a, secret_key_file: f}":                       "bucket: is missing: parquet needs",
		"{name: a, to: parquet, url: 'https://h', bucket: b, access_key: a, secret_key_file: f, lock: 48h}": "lock: is of no use",
		"{name: a, to: parquet, url: 'https://h/b', bucket: b, access_key: a, secret_key_file: f}":          "has a path",
		"{name: a, to: loki, url: 'https://h', types: [requests]}":                                          "is not one of request",
		"{name: a, to: s3, url: 'https://h', types: [login]}":                                               "types: is of no use",
		"{name: a, to: clickhouse, url: 'http://db.example.com'}":                                           "is not https",
		"{name: a, to: clickhouse, url: 'https://h', table: 'a;b'}":                                         "is not the name of a table",
		"{name: a, to: clickhouse, url: 'https://h', database: 'a.b'}":                                      "is not the name of a database",
		"{name: a, to: postgres, url: 'postgres://h/db'}":                                                   "username: is missing",
		"{name: a, to: postgres, url: 'postgres://kim:hush@h/db'}":                                          "is not of the form postgres",
		"{name: a, to: postgres, url: 'postgres://h/db?sslmode=disable'}":                                   "is not of the form postgres",
		"{name: a, to: postgres, url: 'https://h/db'}":                                                      "is not of the form postgres",
		"{name: a, to: postgres, url: 'postgres://h/db', database: x}":                                      "database: is of no use",
		"{name: a, to: loki, url: 'https://h', start: yesterday}":                                           "is not one of oldest",
		"{name: a, to: loki, url: 'https://h', certificate: c}":                                             "key: is missing",
		"{name: a, to: loki, url: 'https://h'}\n  - {name: a, to: loki, url: 'https://h'}":                  "names two deliveries",
	} {
		_, err := Parse("f", []byte(head+"  - "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestLogSearch(t *testing.T) {
	head := "gate: https://gate.example.com\naccess_log:\n  search: "
	c, err := Parse("/etc/ringfence/config.yaml", []byte(head+"{engine: postgres, url: 'postgres://db.example.com/logs', username: reader, password_file: reader.pw, ca_file: ca.pem}\n"))
	if err != nil || c.AccessLog.Search.PasswordFile != "/etc/ringfence/reader.pw" || c.AccessLog.Search.CAFile != "/etc/ringfence/ca.pem" {
		t.Errorf("%+v, %v", c, err)
	}
	for text, want := range map[string]string{
		"{url: 'https://h'}":                                          "engine: is missing",
		"{engine: elastic, url: 'https://h'}":                         "is not one of clickhouse",
		"{engine: clickhouse}":                                        "url: is missing",
		"{engine: clickhouse, url: 'http://db.example.com'}":          "is not https",
		"{engine: clickhouse, url: 'https://h', username: u}":         "password_file: is missing",
		"{engine: postgres, url: 'postgres://h/db'}":                  "username: is missing",
		"{engine: postgres, url: 'postgres://h', username: u}":        "is not of the form postgres",
		"{engine: clickhouse, url: 'https://h', table: 'A'}":          "is not the name of a table",
		"{engine: clickhouse, url: 'https://h', certificate: c}":      "key: is missing",
		"{engine: clickhouse, url: 'https://kim:hush@h.example.com'}": "secrets go into files",
	} {
		_, err := Parse("f", []byte(head+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
