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
		"{to: syslog, url: 'tls://h:1'}":                                                              "name: is missing",
		"{name: 'a b', to: syslog, url: 'tls://h:1'}":                                                 "is not a name",
		"{name: a, to: kafka, url: 'https://h'}":                                                      "is not one of syslog",
		"{name: a, to: syslog, url: 'tcp://h:514'}":                                                   "not sent in the open",
		"{name: a, to: syslog, url: 'tls://h'}":                                                       "tls://host:6514",
		"{name: a, to: loki, url: 'http://loki.example.com'}":                                         "is not https",
		"{name: a, to: loki, url: 'https://kim:hush@loki.example.com'}":                               "secrets go into files",
		"{name: a, to: splunk, url: 'https://h'}":                                                     "token_file: is missing",
		"{name: a, to: elastic, url: 'https://h'}":                                                    "index: is missing",
		"{name: a, to: elastic, url: 'https://h', index: i, format: cef}":                             "is no object",
		"{name: a, to: otlp, url: 'https://h/v1/logs', tenant: x}":                                    "tenant: is of no use",
		"{name: a, to: otlp, url: 'https://h/v1/logs', username: x}":                                  "password_file: is missing",
		"{name: a, to: s3, url: 'https://h/b', bucket: b, access_key: a, secret_key_file: f}":         "has a path",
		"{name: a, to: s3, url: 'https://h', access_key: a, secret_key_file: f}":                      "bucket: is missing",
		"{name: a, to: s3, url: 'https://h', bucket: b, access_key: a, secret_key_file: f, lock: 1h}": "not between",
		"{name: a, to: loki, url: 'https://h', start: yesterday}":                                     "is not one of oldest",
		"{name: a, to: loki, url: 'https://h', certificate: c}":                                       "key: is missing",
		"{name: a, to: loki, url: 'https://h'}\n  - {name: a, to: loki, url: 'https://h'}":            "names two deliveries",
	} {
		_, err := Parse("f", []byte(head+"  - "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
