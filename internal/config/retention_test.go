package config

import (
	"strings"
	"testing"
)

func TestRetention(t *testing.T) {
	head := "gate: https://gate.example.com\naccess_log:\n  retention: "
	c, err := Parse("/etc/ringfence/config.yaml", []byte(head+"\n    days: 0\n    rules: [{classification: restricted, days: 2555}, {cluster: claims, days: 0}]\n    archive: {folder: archive}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r := c.AccessLog.Retention; r.Days != 0 || len(r.Rules) != 2 || r.Archive.Folder != "/etc/ringfence/archive" {
		t.Errorf("%+v", r)
	}
	for text, want := range map[string]string{
		"{days: 29}":            "not between",
		"{days: -1}":            "not between",
		"{rules: [{days: 40}]}": "either cluster or classification",
		"{rules: [{cluster: a, classification: public, days: 40}]}":                               "either cluster or classification",
		"{rules: [{cluster: a}]}":                                                                 "days: is missing",
		"{rules: [{classification: secret, days: 40}]}":                                           "is not one of public",
		"{rules: [{cluster: 'a b', days: 40}]}":                                                   "is not the name of a cluster",
		"{rules: [{cluster: a, days: 40}, {cluster: a, days: 50}]}":                               "second rule",
		"{archive: {folder: /mnt/a, bucket: b}}":                                                  "a folder and a store",
		"{archive: {folder: /}}":                                                                  "root of the file system",
		"{archive: {url: 'https://h', bucket: b, access_key: a}}":                                 "secret_key_file: is missing",
		"{archive: {url: 'http://s3.example.com', bucket: b, access_key: a, secret_key_file: f}}": "is not https",
		"{archive: {url: 'https://kim:hush@h', bucket: b, access_key: a, secret_key_file: f}}":    "is not the URL",
	} {
		_, err := Parse("f", []byte(head+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
