package console

import (
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// A MailText is what a mail says. It never holds a secret other than an
// invitation's link.
type MailText struct{ Subject, Text string }

// Letterhead is what every mail names.
type Letterhead struct {
	Organisation string // whose gateway it is
	Gate         string // its URL
}

// letter joins the paragraphs of a mail; empty ones are left out.
func (h Letterhead) letter(subject string, paragraphs ...string) MailText {
	var kept []string
	for _, p := range append(paragraphs, h.foot()) {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return MailText{Subject: subject, Text: strings.Join(kept, "\n\n") + "\n"}
}

func (h Letterhead) foot() string {
	return "-- \n" + plainLine(h.Organisation) + ", " + h.Gate + "\nThis mail was sent by a program: nobody reads answers to it. It never asks for a password or a code."
}

func greeting(name string) string {
	if name = plainLine(name); name == "" {
		return "Good day,"
	}
	return "Good day, " + name + ","
}

// whence says when and from where something was done.
func whence(n *auth.Notice) string {
	facts := []string{"When: " + clock(n.At).String()}
	if n.IP != "" {
		facts = append(facts, "From: "+plainLine(n.IP))
	}
	if n.UserAgent != "" {
		facts = append(facts, "With: "+clientWords(n.UserAgent).String())
	}
	return strings.Join(facts, "\n")
}

// Notice words a notice to the account's owner, called name.
func (h Letterhead) Notice(name string, n *auth.Notice) MailText {
	t := wordsOf(n)
	return h.letter(t.Title.String(), greeting(name), t.Title.String()+".", t.filled(n.Detail).String(), whence(n), t.Alarm.String(), "All that happened to your account: "+h.Gate+"/notices")
}

// Warning words a notice to whoever answers for the account's vendor.
func (h Letterhead) Warning(owner policy.Person, account auth.Account, vendor string, n *auth.Notice) MailText {
	who := plainLine(account.Name)
	if who == "" {
		who = account.Email
	}
	title := warningTitle(n).String()
	return h.letter(title+": "+who,
		greeting(owner.Name),
		"You answer for "+plainLine(vendor)+" here. This happened to the account of "+who+" ("+account.Email+"):",
		title+".", whence(n), warningHelp(n).String())
}

// PolicyWarning words a notice about policies that one person put in force
// alone, to whoever answers for a vendor whose people they govern.
func (h Letterhead) PolicyWarning(owner policy.Person, vendor string, n *auth.Notice) MailText {
	t := wordsOf(n)
	return h.letter(t.Title.String(), greeting(owner.Name),
		"You answer for "+plainLine(vendor)+" here. What its people may do follows from policies, and these were changed without a second person.",
		t.filled(n.Detail).String(), whence(n), warningHelp(n).String())
}

// Invitation words an invitation to set up an account.
func (h Letterhead) Invitation(name, link string, expires time.Time, phone bool) MailText {
	number := ""
	if phone {
		number = "You also need a number of six digits. You are told it by telephone; it is never sent by mail."
	}
	return h.letter("Your access at "+plainLine(h.Organisation),
		greeting(name),
		"an account was made for you. Open this link to choose a password and to connect your authenticator app. It takes about three minutes; have your phone at hand.",
		link,
		"The link works once, until "+clock(expires).String()+", and is for you alone: do not pass it on.",
		number,
		"If you do not know what this is about, do nothing, and tell whoever you work with at "+plainLine(h.Organisation)+".")
}

// Test words the mail that an operator asks for.
func (h Letterhead) Test() MailText {
	return h.letter("Mail from Ringfence works", "Good day,", "an operator asked for this mail to see whether it arrives. It did.")
}

// warningTitles word a warning for somebody other than the account's owner.
var warningTitles = map[auth.NoticeKind]ui.Text{
	auth.NoticeWrongCodes:   "Somebody knew the password, but not the code",
	auth.NoticeCodesStopped: "There were so many wrong codes that none is looked at any longer",
	auth.NoticeRecoveryUsed: "A recovery code was used",
	auth.NoticeSignInReset:  "An administrator has reset the sign-in",

	auth.NoticePolicyBackAlone: "Policies were rolled back by one person alone",
}

func warningTitle(n *auth.Notice) ui.Text {
	if t, ok := warningTitles[n.Kind]; ok {
		return t
	}
	return "Something about the sign-in changed"
}

// warningHelps say what to do about a warning.
var warningHelps = map[auth.NoticeKind]ui.Text{
	auth.NoticeWrongCodes:   "Ask them by telephone whether it was them. If not, their password is known to somebody else: have it changed, or the sign-in reset.",
	auth.NoticeCodesStopped: "Ask them by telephone what happened. Their password may be known to somebody else: have the sign-in reset.",
	auth.NoticeRecoveryUsed: "Ask them by telephone whether it was them, for example because a phone was lost. If not, have the sign-in reset at once.",
	auth.NoticeSignInReset:  "They get a new invitation. If nobody asked for it, ask the administrator why it was done.",

	auth.NoticePolicyBackAlone: "Ask them why it could not wait for a second person, and look at what the earlier revision allows.",
}

func warningHelp(n *auth.Notice) ui.Text {
	if t, ok := warningHelps[n.Kind]; ok {
		return t
	}
	return "Ask them by telephone whether it was them."
}
