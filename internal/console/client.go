package console

import (
	"strings"

	"github.com/ringfence/ringfence/internal/ui"
)

var browsers = []struct{ token, name string }{
	{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	{"curl/", "curl"}, {"git/", "git"}, {"Go-http-client/", "Go"}, {"python-requests/", "Python"},
}

var systems = []struct{ token, name string }{
	{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
}

// clientWords guesses from a user agent what a person would call the client.
// The header is whatever the client says, so the words are for recognition only.
func clientWords(agent string) ui.Text {
	var name, system string
	for _, b := range browsers {
		if strings.Contains(agent, b.token) {
			name = b.name
			break
		}
	}
	for _, s := range systems {
		if strings.Contains(agent, s.token) {
			system = s.name
			break
		}
	}
	switch {
	case name != "" && system != "":
		return ui.Say("{1} on {2}", program(name), system)
	case name != "":
		return program(name)
	case system != "":
		return ui.Say("A program on {1}", system)
	}
	return "An unknown program"
}

// program names what is no browser.
func program(name string) ui.Text {
	switch name {
	case "Go":
		return "A Go program"
	case "Python":
		return "A Python program"
	}
	return ui.Verbatim(name)
}
