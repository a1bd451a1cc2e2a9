package console

import "strings"

var browsers = []struct{ token, name string }{
	{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	{"curl/", "curl"}, {"git/", "git"}, {"Go-http-client/", "A Go program"}, {"python-requests/", "A Python program"},
}

var systems = []struct{ token, name string }{
	{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
}

// clientWords guesses from a user agent what a person would call the client.
// The header is whatever the client says, so the words are for recognition only.
func clientWords(agent string) string {
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
		return name + " on " + system
	case name != "":
		return name
	case system != "":
		return "A program on " + system
	}
	return "An unknown program"
}
