package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// A noticeText is how a kind of notice is worded, on pages and in mails.
type noticeText struct {
	Title ui.Text          // what happened, short
	Text  []noticeSentence // what it means
	// Alarm is what to do if it was not the account's owner.
	Alarm ui.Text
	Grave bool // worth a second look even by whoever did it
}

// A noticeSentence is a whole sentence. Detail names the detail of the notice
// that stands at {1}; the sentence is left out of a notice without it.
type noticeSentence struct {
	Text   ui.Text
	Detail string
}

const (
	alarmPassword ui.Text = "If that was not you, change your password and end your other sessions at once, and tell your administrator."
	alarmReset    ui.Text = "If that was not you, somebody else holds your password or a factor of yours: end your sessions and ask your administrator for a reset at once."
)

// noticeTexts words every kind of notice. A kind that is not here is shown by
// [unknownNotice].
var noticeTexts = map[auth.NoticeKind]noticeText{
	auth.NoticePasswordChanged: {Title: "Your password was changed", Alarm: alarmReset, Text: []noticeSentence{
		{Text: "Only the new password is good from now on."}, {"Other sessions that were ended with it: {1}.", "sessions"}}},
	auth.NoticeSignInReset: {Title: "Your sign-in was reset", Grave: true, Alarm: "If you did not ask for it, ask your administrator why it was done.", Text: []noticeSentence{
		{Text: "An administrator took away your password, your factors and your recovery codes, and ended every session and token. You set up anew with the invitation that you were sent."},
		{"It was done by {1}.", "by"}}},
	auth.NoticeRecoveryUsed: {Title: "A recovery code was used", Grave: true, Alarm: alarmReset, Text: []noticeSentence{
		{Text: "Somebody signed in or confirmed with a recovery code in place of your factor. That code is spent."}, {"Recovery codes that are left: {1}.", "left"}}},
	auth.NoticeRecoveryReplaced: {Title: "Your recovery codes were replaced", Alarm: alarmReset, Text: []noticeSentence{
		{Text: "None of the codes from before is good any longer."}}},
	auth.NoticeWrongCodes: {Title: "Your password was right, but the code was wrong", Grave: true, Alarm: alarmPassword, Text: []noticeSentence{
		{Text: "Somebody who knows your password tried to sign in and did not have your second factor."}, {"Wrong codes since your last sign-in: {1}.", "codes"}}},
	auth.NoticeCodesStopped: {Title: "Codes of your app are no longer accepted", Grave: true, Alarm: alarmPassword, Text: []noticeSentence{
		{Text: "There were so many wrong codes for your account that no further ones are looked at. Sign in with a recovery code, or ask your administrator for a reset."}}},
	auth.NoticeNewDevice: {Title: "A sign-in on a new device", Alarm: alarmReset,
		Text: []noticeSentence{
			{Text: "Somebody signed in with your password and your second factor on a device that you had not used before."}}},
	auth.NoticeNewNetwork: {Title: "A sign-in from a new network", Alarm: alarmReset,
		Text: []noticeSentence{
			{Text: "A device that you have used before signed in from a network that you had not used for 90 days."}}},
	auth.NoticeFactorAdded: {Title: "An authenticator app was added", Grave: true, Alarm: alarmReset,
		Text: []noticeSentence{
			{Text: "Its codes sign in to your account from now on."}, {"It is called {1}.", "name"}}},
	auth.NoticeFactorRemoved: {Title: "An authenticator app was removed", Alarm: alarmReset,
		Text: []noticeSentence{
			{Text: "Its codes are worth nothing any longer."}, {"It was called {1}.", "name"}}},
	auth.NoticeKeyAdded: {Title: "A passkey or security key was added", Grave: true, Alarm: alarmReset,
		Text: []noticeSentence{
			{Text: "It confirms sign-ins to your account from now on."}, {"It is called {1}.", "name"}}},
	auth.NoticeKeyRemoved: {Title: "A passkey or security key was removed", Alarm: alarmReset,
		Text: []noticeSentence{
			{Text: "It is worth nothing any longer, and what it had signed in has ended."}, {"It was called {1}.", "name"}, {"It was removed by {1}.", "by"}}},
	auth.NoticeKeyCloned: {Title: "A key of yours seems to have been copied", Grave: true,
		Text: []noticeSentence{
			{Text: "It answered as a copy of it would, so it was refused."}, {"It is called {1}.", "name"}},
		Alarm: "Remove that key from your factors, use another one, and tell your administrator."},
	auth.NoticeKeyAllowed: {Title: "You may add a passkey or security key", Grave: true,
		Text: []noticeSentence{
			{Text: "An administrator lets you add a key within a day."}, {"It was allowed by {1}.", "by"}},
		Alarm: "If you did not ask for it, tell your administrator at once."},
	auth.NoticeProviderLinked: {Title: "Your account was linked to your company's sign-in", Alarm: alarmReset,
		Text: []noticeSentence{
			{Text: "Only the person who signed in there can use it for your account from now on."}, {"The provider is {1}.", "issuer"}}},
	auth.NoticeProviderOther: {Title: "Somebody else at your company's sign-in has your address", Grave: true,
		Text: []noticeSentence{
			{Text: "A person other than the one linked to your account signed in there with your address, and was refused."}, {"The provider is {1}.", "issuer"}},
		Alarm: "Ask your company who that was, and tell your administrator."},
	auth.NoticeProviderUnlinked: {Title: "Your account is no longer linked to your company's sign-in", Grave: true,
		Text: []noticeSentence{
			{Text: "The next person who signs in there with your address is linked to your account."}, {"It was done by {1}.", "by"}},
		Alarm: "If you did not ask for it, ask your administrator why it was done."},
	auth.NoticeDeviceLogin: {Title: "A machine was signed in as you", Grave: true,
		Text: []noticeSentence{
			{Text: "It reaches your clusters from the command line."}, {"It calls itself {1}.", "name"}, {"It asked from {1}.", "ip"}, {"It stays signed in until {1}.", "ends"}},
		Alarm: "If that was not you, sign the machine out, end your other sessions at once, and tell your administrator."},
	auth.NoticeDeviceTries: {Title: "Wrong codes of machines were typed in your account", Grave: true, Alarm: alarmPassword,
		Text: []noticeSentence{
			{Text: "Somebody who is signed in as you typed so many that no further ones are looked at for an hour."}}},
	auth.NoticeTokenCreated: {Title: "A personal access token was made", Grave: true,
		Text: []noticeSentence{
			{"Whoever has it reaches the cluster {1} as you until it ends.", "cluster"}, {"It is called {1}.", "name"}, {"It ends at {1}.", "expires"}},
		Alarm: "If that was not you, revoke the token, change your password, and tell your administrator."},
	auth.NoticePolicyAlone: {Title: "Policies were published without a second person", Grave: true,
		Text: []noticeSentence{
			{Text: "Somebody who works on the gateway's machine put a policy set in force, and nobody had to approve it."}, {"It is revision {1}.", "revision"}, {"The reason given: {1}", "reason"}},
		Alarm: "If you did not expect it, look at what it changes, and ask who did it."},
	auth.NoticePolicyBackAlone: {Title: "Policies were rolled back by one person alone", Grave: true,
		Text: []noticeSentence{
			{"{1} brought an earlier policy set back, and nobody had to approve it.", "by"}, {"It is what was revision {1}.", "back_to"}, {"The reason given: {1}", "reason"}},
		Alarm: "Ask them why it could not wait, and look at what the earlier set allows. If it should not stay, a draft undoes it."},
}

// unknownNotice words a kind that this program does not know, such as one left
// by a newer version.
var unknownNotice = noticeText{Title: "Something about your sign-in changed", Alarm: alarmReset, Text: []noticeSentence{
	{Text: "This version of Ringfence has no words for it. Your administrator can look it up in the access log."}}}

// wordsOf returns the words for the kind of a notice.
func wordsOf(n *auth.Notice) noticeText {
	if t, ok := noticeTexts[n.Kind]; ok {
		return t
	}
	return unknownNotice
}

// filled returns the sentences with the details of a notice. One that asks for
// a detail which is not there is left out.
func (t noticeText) filled(detail map[string]string) ui.Text {
	var kept []ui.Text
	for _, s := range t.Text {
		if s.Detail == "" {
			kept = append(kept, s.Text)
		} else if value := plainLine(detail[s.Detail]); value != "" {
			kept = append(kept, ui.Say(s.Text, value))
		}
	}
	return ui.Join(kept, " ")
}

// plainLine makes a value that a person or client chose fit for the middle of
// a sentence: one line, no control characters, not long.
func plainLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 }), " ")
	return clip(strings.TrimSpace(s), 120)
}

// A shownNotice is a notice as the page lists it.
type shownNotice struct {
	Title, Text, Alarm ui.Text
	Grave, Unseen      bool
	At                 time.Time
	IP                 string
	Client             ui.Text
	UserAgent          string
}

func showNotice(n *auth.Notice) shownNotice {
	t := wordsOf(n)
	s := shownNotice{Title: t.Title, Text: t.filled(n.Detail), Alarm: t.Alarm, Grave: t.Grave, Unseen: n.Seen.IsZero(), At: n.At, IP: n.IP}
	if n.UserAgent != "" {
		s.Client, s.UserAgent = clientWords(n.UserAgent), clip(n.UserAgent, 160)
	}
	return s
}

// noticesPage is the data of the page "notices".
type noticesPage struct {
	Base
	Notices []shownNotice
	Unseen  int
	UpTo    string // the newest that is shown
}

func (c *Console) showNotices(w http.ResponseWriter, r *http.Request, v *visit) error {
	list, err := c.Auth.Notices(r.Context(), v.Session.Account)
	if err != nil {
		return authError(err, "listing notices")
	}
	page := &noticesPage{Base: v.page("My notices")}
	page.Notice = nil // the page itself says it
	for _, n := range list {
		page.Notices = append(page.Notices, showNotice(&n))
		if n.Seen.IsZero() {
			page.Unseen++
		}
	}
	if len(list) > 0 {
		page.UpTo = list[0].At.Format(time.RFC3339Nano)
	}
	return c.show(w, r, http.StatusOK, "notices", page)
}

// seeNotices notes that the visitor has seen the notices that the page listed:
// one that came in the meantime stays new.
func (c *Console) seeNotices(w http.ResponseWriter, r *http.Request, v *visit) error {
	upTo, err := time.Parse(time.RFC3339Nano, r.PostForm.Get("up_to"))
	if err != nil {
		return &ui.Error{Status: http.StatusBadRequest, Err: err}
	}
	if err := c.Auth.SeeNotices(r.Context(), v.Session.Account, upTo); err != nil {
		return authError(err, "noting that notices were seen")
	}
	to := "/"
	if r.PostForm.Get("from") == "notices" {
		to = "/notices"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// banner is what stands above a page for as long as there are notices that the
// visitor has not seen; nil when there are none. That they cannot be read is no
// reason to show no page.
func (v *visit) banner() *ui.Notice {
	list, err := v.c.Auth.Notices(v.r.Context(), v.Session.Account)
	if err != nil {
		v.c.Logger.WarnContext(v.r.Context(), "reading notices for the banner", "err", err)
		return nil
	}
	list = slices.DeleteFunc(list, func(n auth.Notice) bool { return !n.Seen.IsZero() })
	if len(list) == 0 {
		return nil
	}
	s := showNotice(&list[0])
	return &ui.Notice{Title: s.Title, At: s.At, IP: s.IP, Client: s.Client, Others: len(list) - 1, UpTo: s.At.Format(time.RFC3339Nano),
		Grave: slices.ContainsFunc(list, func(n auth.Notice) bool { return wordsOf(&n).Grave })}
}
