package console

import (
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// sampleNow is the moment that all samples are told from.
var sampleNow = time.Date(2026, 3, 12, 9, 30, 0, 0, time.UTC)

// A sample is a page with data, as its handler would show it.
type sample struct {
	name string // of the sample
	page string
	data any
}

// sampleText stands for everything that people or clients may write into a
// page; tests replace it by what an attacker would write.
type sampleText func(ordinary string) string

func plainText(s string) string { return s }

// gateSamples returns every page of the gate and the portal, empty and full.
func gateSamples(say sampleText) []sample {
	alone := func(title ui.Text) Base {
		return Base{ui.Frame{Title: title, Organisation: say("Northwind Mutual"), Narrow: true}}
	}
	full := func(title ui.Text) Base {
		b := Base{ui.Frame{Title: title, Organisation: say("Northwind Mutual"),
			Person: &ui.Person{Name: say("Kim Larsen"), Email: say("kim.larsen@acme.example"), Role: "Contractor"}}}
		for _, g := range []ui.NavGroup{menu[0], menu[len(menu)-1]} { // those of a contractor
			g.Items = append([]ui.NavItem(nil), g.Items...)
			for i := range g.Items {
				g.Items[i].Current = g.Items[i].Label == title
			}
			b.Nav = append(b.Nav, g)
		}
		return b
	}
	email := ui.Field{Name: "email", Label: "E-mail address", Type: "email", Value: say("kim.larsen@acme.example"), Autocomplete: "username", Required: true}
	password := ui.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password", Required: true}
	code := codeField("Code")
	wrong := code
	wrong.Error = "That code is not right. Check that you read the entry for this address, and that your phone's clock is set automatically."
	flashed := alone("Sign in")
	flashed.Flash = &ui.Flash{Kind: ui.Bad, Text: ui.Verbatim(say("The e-mail address or the password is not right, or the account is not active."))}
	chosen := ui.Field{Name: "password", Label: "Choose a password", Type: "password", Autocomplete: "new-password", Required: true,
		Hint: "At least 12 characters. Several words that do not belong together are easy to keep in mind. Capitals and digits are not needed; spaces are fine."}
	again := ui.Field{Name: "again", Label: "The same password again", Type: "password", Autocomplete: "new-password", Required: true}
	agreement := &directory.Agreement{Name: "nda", Title: say("Non-disclosure agreement"), Version: 3, Text: say(sampleAgreement)}
	typed := ui.Field{Name: "name", Label: "Type your full name", Hint: ui.Verbatim(say("As it stands in your account: Kim Larsen")), Required: true}
	made := &madeToken{Name: say("Importing the March batch"), Cluster: say("Claims archive"), Secret: "rft_4tqXzL9b2mWc7RkVh0JpYsNfGa81Ud3EoTi6BxQvZlK", Expires: sampleNow.Add(time.Hour),
		Export: "export RINGFENCE_TOKEN=rft_4tqXzL9b2mWc7RkVh0JpYsNfGa81Ud3EoTi6BxQvZlK", Authority: true,
		Curl: `curl --cacert ca.pem -H "Authorization: Bearer $RINGFENCE_TOKEN" https://claims.localhost:8443/`,
		Git:  `git -c http.sslCAInfo=ca.pem -c http.extraHeader="Authorization: Bearer $RINGFENCE_TOKEN" clone https://claims.localhost:8443/PATH/OF/REPOSITORY.git`}
	clusters := ui.Field{Name: "cluster", Label: "Cluster", Required: true, Options: []ui.Option{{Value: "claims", Label: ui.Verbatim(say("Claims archive")), Selected: true}, {Value: "maps", Label: ui.Verbatim(say("Flood maps"))}}}
	minutes := ui.Field{Name: "minutes", Label: "Good for", Required: true, Options: []ui.Option{{Value: "15", Label: "15 minutes"}, {Value: "60", Label: "60 minutes", Selected: true}}}
	owner := policy.Person{Name: say("Ines Okafor"), Email: say("ines.okafor@northwind.example")}
	refused := Base{ui.Frame{Title: "You cannot open this in Claims archive", Organisation: say("Northwind Mutual"), Narrow: true, Gate: "https://gate.localhost:8443",
		RequestID: say("kq3v7m2xw5hbn4tz"), Person: &ui.Person{Name: say("kim.larsen@acme.example")}}}

	asks := func(action string, fault ui.Text) *keyForm {
		return &keyForm{Action: action, Question: say("q"), Options: say(`{"publicKey":{"challenge":"AAAA"}}`), Fault: fault}
	}

	return []sample{
		{"login", "login", &loginPage{Base: alone("Sign in"), Action: "/login", Email: ui.Field{Name: "email", Label: "E-mail address", Type: "email", Autocomplete: "username", Required: true}, Password: password}},
		{"login-full", "login", &loginPage{Base: flashed, Action: "/login?return=x", Email: email, Password: password, Headed: say("claims.localhost"), Authority: true}},
		{"login-company", "login", &loginPage{Base: flashed, Action: "/login", Email: email, Password: password, Company: "/login/oidc", CompanyOnly: true}},
		{"company", "company", &companyPage{Base: alone("Your company's account"), Action: "/login/oidc", Email: email, Password: "/login"}},
		{"company-go", "company", &companyPage{Base: alone("Your company's account"), Action: "/login/oidc/start", Host: say("login.acme.example"), Vendor: say("acme"), Address: say("kim.larsen@acme.example"), Invite: say("token")}},
		{"invite-company", "invite", &invitePage{Base: alone("Welcome"), Name: say("Kim Larsen"), Email: say("kim.larsen@acme.example"), Expires: sampleNow.Add(20 * time.Hour), Invite: say("token"), Password: chosen, Again: again, Company: true}},
		{"invite-company-only", "invite", &invitePage{Base: alone("Welcome"), Name: say("Kim Larsen"), Email: say("kim.larsen@acme.example"), Expires: sampleNow.Add(20 * time.Hour), Invite: say("token"), Company: true, CompanyOnly: true}},
		{"code", "code", &codePage{Base: alone("Your code"), Action: "/login/code", Email: say("kim.larsen@acme.example"), Code: code}},
		{"code-full", "code", &codePage{Base: alone("Your code"), Action: "/login/code", Email: say("kim.larsen@acme.example"), Code: wrong,
			Warning: ui.Verbatim(say("There were 3 wrong codes since your last sign-in. If that was not you, somebody knows your password."))}},
		{"confirm", "confirm", &confirmPage{Base: alone("Confirm that it is you"), Action: "/confirm", Code: codeField("Fresh code")}},
		{"confirm-full", "confirm", &confirmPage{Base: alone("Confirm that it is you"), Action: "/confirm", Headed: say("claims.localhost"), Code: wrong}},
		{"invite", "invite", &invitePage{Base: alone("Welcome"), Name: say("Kim Larsen"), Email: say("kim.larsen@acme.example"), Expires: sampleNow.Add(20 * time.Hour), Invite: say("token"), Password: chosen, Again: again}},
		{"invite-empty", "invite", &invitePage{Base: Base{ui.Frame{Title: "Welcome", Narrow: true}}, Email: say("kim.larsen@acme.example"), Password: chosen, Again: again}},
		{"authenticator", "authenticator", &authenticatorPage{Base: alone("Connect your authenticator app"), Scan: sampleScan(say), Name: factorNameField(say("Phone")), Code: codeField("Code from the app")}},
		{"totp-name", "totp", &totpPage{Base: full("My factors"), Action: totpPath, Back: "/factors", Name: factorNameField(say("Tablet"))}},
		{"totp", "totp", &totpPage{Base: full("My factors"), Action: totpPath, Back: "/factors", Device: say("Tablet"), Scan: sampleScan(say), Code: wrong, Expires: sampleNow.Add(10 * time.Minute)}},
		{"totp-enrol", "totp", &totpPage{Base: alone("Connect another device"), Action: devicesPath, Back: "/enrol/recovery", Enrol: true, Device: say("Tablet"), Scan: sampleScan(say), Code: codeField("Code from the app")}},
		{"factors", "factors", &factorsPage{Base: full("My factors"), Others: 2, TOTP: totpBlock{Most: auth.MaxTOTP, Room: true, Devices: sampleFactors(say)}}},
		{"factors-full", "factors", &factorsPage{Base: full("My factors"), TOTP: totpBlock{Most: auth.MaxTOTP, Devices: sampleFactors(say)}}},
		{"factors-empty", "factors", &factorsPage{Base: full("My factors")}},
		{"factor", "factor", &factorPage{Base: full("My factors"), Factor: sampleFactors(say)[1], Name: factorNameField(say("Tablet"))}},
		{"factor-only", "factor", &factorPage{Base: full("My factors"), Factor: sampleFactors(say)[2], Name: factorNameField(say("Tablet")), Only: true}},
		{"recovery", "recovery", &recoveryPage{Base: alone("Keep your recovery codes"), Email: say("kim.larsen@acme.example"), Host: "gate.localhost:8443", Date: sampleNow, Connected: connected{Devices: sampleFactors(say)[:2], AddURL: devicesPath},
			Codes: []string{"7Q4M-K2XW-9HBN-4TZ", "PV3C-8RJD-LFYS-2GA", "WX6N-5TQE-ZB7H-KM4", "H2DV-JR9P-4CLX-8YF", "S8GK-TN3W-QE5Z-B6M", "C4XJ-7HLP-V2RD-9FY", "N6TB-M8SQ-3KWG-E5Z", "F9YR-4DCX-J7VH-2LP", "E3ZM-6WKB-8NGT-Q5S", "L7PF-2XHJ-C9DR-V4Y"}, Code: notedField()}},
		{"recovery-fault", "recovery", &recoveryPage{Base: alone("Keep your recovery codes"), Codes: []string{"7Q4M-K2XW-9HBN-4TZ"}, Code: wrong}},
		{"agreements-due", "agreements", &agreementsPage{Base: alone("Agreements"), Action: "/agreements", Headed: say("claims.localhost"), Number: 1, Count: 2,
			Due: &dueAgreement{Name: "nda", Title: agreement.Title, Text: agreement.Text, Version: 3, Before: 2, TypedName: typed, Fault: "Tick the box to accept."}}},
		{"agreements", "agreements", &agreementsPage{Base: full("Agreements"), Next: ui.Link{Label: "To my clusters", URL: "/"},
			Accepted: []acceptedAgreement{{Name: "nda", Title: agreement.Title, Version: 3, At: sampleNow}, {Name: "access", Title: say("Rules for working with claims data"), Version: 1, At: sampleNow.Add(-900 * time.Hour)}}}},
		{"agreements-none", "agreements", &agreementsPage{Base: full("Agreements"), Next: ui.Link{Label: "To my clusters", URL: "/"}}},
		{"agreement", "agreement", agreementPage{Base: full("Agreements"), Agreement: *agreement, Accepted: acceptedAgreement{Version: 3, At: sampleNow}}},
		{"portal", "portal", &portalPage{Base: full("My clusters"), LastLogin: sampleNow.Add(-26 * time.Hour), LastIP: "198.51.100.24", From: "198.51.100.24", Recovery: 10, Factors: factorSummary{Count: 2, Name: say("Work phone"), Used: sampleNow}, Ask: &owner, Vendor: say("Acme Analytics"), Clusters: []clusterCard{
			{Name: "claims", Title: say("Claims archive"), Classification: classBadge("confidential"), URL: "https://claims.localhost:8443/", Host: "claims.localhost", Until: sampleNow.Add(240 * time.Hour), Left: "9 days left", Soon: true,
				May: scopeWords(directory.Assignment{Access: policy.AccessRead, Paths: []string{say("/reports"), "/api/v2"}}), Reason: say("Migrating the 2019 to 2022 claims into the new archive, ticket DATA-114."), Engagement: say("Claims migration 2026"), Ask: owner},
			{Name: "maps", Title: say("Flood maps"), Classification: classBadge("internal"), URL: "https://maps.localhost:8443/", Host: "maps.localhost", Until: sampleNow.Add(2900 * time.Hour), Left: "4 months left",
				May: scopeWords(directory.Assignment{Access: policy.AccessWrite, Methods: []string{"GET", "POST"}}), Reason: say("Rebuilding the map tiles for the coast."), Engagement: say("Geodata support"), Ask: policy.Person{Name: say("Tom Abara"), Email: say("tom@northwind.example")}},
			{Name: "payroll", Title: say("Payroll test copy"), Classification: classBadge("restricted"), URL: "https://payroll.localhost:8443/", Host: "payroll.localhost",
				May: scopeWords(directory.Assignment{Access: policy.AccessRead}), Engagement: say("Payroll audit"), Ask: owner}}}},
		{"portal-warnings", "portal", &portalPage{Base: full("My clusters"), LastLogin: sampleNow, LastIP: "198.51.100.24", Failed: 4, Due: 2, FewCodes: true, Recovery: 2, Factors: factorSummary{Count: 1, Name: say("Work phone")}, Ask: &owner, Vendor: say("Acme Analytics")}},
		{"portal-empty", "portal", &portalPage{Base: full("My clusters"), Recovery: 10}},
		{"sessions", "sessions", &sessionsPage{Base: full("My sessions"), Others: 2, Strange: true, LastLogin: sampleNow.Add(-26 * time.Hour), LastIP: "198.51.100.24", Table: sampleSessions(say, false)}},
		{"sessions-empty", "sessions", &sessionsPage{Base: full("My sessions")}},
		{"password", "password", &passwordPage{Base: alone("Change your password"), Email: say("kim.larsen@acme.example"), Current: password, Next: chosen, Again: again, EndOthers: true}},
		{"password-fault", "password", &passwordPage{Base: alone("Change your password"), Email: say("kim.larsen@acme.example"), Current: with(password, func(f *ui.Field) { f.Error = "That is not the password that you have." }), Next: chosen, Again: again}},
		{"recoverycodes", "recoverycodes", &recoveryCodesPage{Base: full("Recovery codes"), Left: 9}},
		{"recoverycodes-few", "recoverycodes", &recoveryCodesPage{Base: full("Recovery codes"), Left: 1, Few: true}},
		{"newcodes", "newcodes", &newCodesPage{Base: alone("Your new recovery codes"), Email: say("kim.larsen@acme.example"), Host: "gate.localhost:8443", Date: sampleNow, Action: "/factors/recovery/new",
			Code: ui.Field{Name: "code", Label: "Type one of them, to be sure that you have it", Required: true, Mono: true}, Codes: []string{"k4x7qm2w9hbn4", "pv3c8rjdlfys2", "wx6n5tqezb7hk", "h2dvjr9p4clx8", "s8gktn3wqe5zb"}}},
		{"newcodes-one", "newcodes", &newCodesPage{Base: alone("Your new recovery code"), Email: say("kim.larsen@acme.example"), Action: "/factors/recovery/new", Code: wrong, Codes: []string{"k4x7qm2w9hbn4"}}},
		{"invite-phone", "invite", &invitePage{Base: alone("Welcome"), Name: say("Kim Larsen"), Email: say("kim.larsen@acme.example"), Expires: sampleNow.Add(20 * time.Hour), Invite: say("token"), Password: chosen, Again: again,
			Phone: &ui.Field{Name: "phone", Label: "The number that you were told by telephone", Hint: "Six digits. If you were told none, ask whoever sent you the link.", Error: "That is not the number that you were told.", Autocomplete: "one-time-code", Mono: true}}},
		{"notices", "notices", noticesSample(full("My notices"), say)},
		{"notices-empty", "notices", &noticesPage{Base: full("My notices")}},
		{"portal-banner", "portal", &portalPage{Base: bannered(full("My clusters"), say), Recovery: 10}},
		{"resume", "resume", &resumePage{Base: alone("Welcome back"), Action: "/resume", Email: say("kim.larsen@acme.example"), Anew: "/login?anew=1", LastSeen: sampleNow.Add(-time.Hour), Ends: sampleNow.Add(7 * time.Hour), Password: ui.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password"}}},
		{"resume-full", "resume", &resumePage{Base: alone("Welcome back"), Action: "/resume?return=x", Email: say("kim.larsen@acme.example"), Headed: say("claims.localhost"), Anew: "/login?return=x&anew=1", LastSeen: sampleNow, Ends: sampleNow, Password: ui.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password", Error: "The password is not right, or the account is not active."}}},
		{"stepup", "stepup", &stepUpPage{Base: alone("Do it now?"), Act: "Suspend the vendor", Fields: []fact{{"reason", ui.Verbatim(say("Incident 4711: a laptop was lost on the train to Oslo."))}, {ui.Verbatim(say("name")), ui.Verbatim(say("acme"))}}, Action: "/step-up/x", Back: "/console/vendors/acme"}},
		{"stepup-lost", "stepup", &stepUpPage{Base: alone("Give a fresh code first"), Confirm: "/confirm?return=x", Back: "/console/clusters/new"}},
		{"confirm-kept", "confirm", &confirmPage{Base: alone("Confirm that it is you"), Action: "/confirm", Kept: true, Code: codeField("Fresh code")}},
		{"tokens", "tokens", &tokensPage{Base: full("My tokens"), Possible: true, Cluster: clusters, Minutes: minutes, Name: ui.Field{Name: "name", Label: "What is it for?", Placeholder: "March import", Required: true}, Made: made,
			Tokens: []tokenRow{{ID: "t1", Name: say("Importing the March batch"), Cluster: say("Claims archive"), Left: "59 minutes left", Created: sampleNow, Expires: sampleNow.Add(time.Hour)}}}},
		{"tokens-empty", "tokens", &tokensPage{Base: full("My tokens"), Ask: &owner}},
		{"code-key", "code", &codePage{Base: alone("Your code"), Action: "/login/code", Email: say("kim.larsen@acme.example"), Code: code, Key: asks("/login/key", "")}},
		{"code-key-fault", "code", &codePage{Base: alone("Your code"), Action: "/login/code", Email: say("kim.larsen@acme.example"), Code: wrong, Key: asks("/login/key", ui.Verbatim(say("That key was not accepted.")))}},
		{"confirm-key", "confirm", &confirmPage{Base: alone("Confirm that it is you"), Action: "/confirm", Headed: say("claims.localhost"), Code: codeField("Fresh code"), Key: asks("/confirm/key", "")}},
		{"confirm-key-only", "confirm", &confirmPage{Base: alone("Confirm that it is you"), Headed: say("claims.localhost"), Key: asks("/confirm/key", ui.Verbatim(say("That took too long."))), KeyOnly: true}},
		{"factors-keys", "factors", &factorsPage{Base: full("My factors"), Keys: keysBlock{Demanded: true, Keys: []keyRow{
			{ID: "key_1", Name: say("Firefox on Windows"), Created: sampleNow.Add(-900 * time.Hour), LastUsed: sampleNow, LastIP: say("198.51.100.24"), Synced: true, RemoveURL: "/factors/keys/key_1/remove"},
			{ID: "key_2", Name: say("Blue key on the key ring"), Created: sampleNow, Cloned: true, ClonedAt: sampleNow, RemoveURL: "/factors/keys/key_2/remove"}}}}},
		{"factors-keys-ask", "factors", &factorsPage{Base: full("My factors"), Keys: keysBlock{Demanded: true, Why: "ask"}}},
		{"factors-keys-full", "factors", &factorsPage{Base: full("My factors"), Keys: keysBlock{Why: "full"}}},
		{"factors-keys-host", "factors", &factorsPage{Base: full("My factors"), Keys: keysBlock{Why: "host"}}},
		{"newkey", "newkey", &newKeyPage{Base: alone("Add a passkey or security key"), keyForm: *asks("/factors/keys/new", ""), Name: keyNameField(say("Firefox on Windows")), Back: "/factors/keys"}},
		{"newkey-fault", "newkey", &newKeyPage{Base: alone("Add a passkey or security key"), keyForm: *asks("/factors/keys/new", ui.Verbatim(say("This key is in use already."))), Name: keyNameField(say("x")), Back: "/factors/keys"}},
		{"newkey-ask", "newkey", &newKeyPage{Base: alone("Add a passkey or security key"), Why: "ask", Ask: &owner, Back: "/factors/keys"}},
		{"newkey-wait", "newkey", &newKeyPage{Base: alone("Add a passkey or security key"), Why: "wait", Back: "/factors/keys"}},
		{"portal-key", "portal", &portalPage{Base: full("My clusters"), KeyDue: true, Recovery: 10}},
		{"error", "error", ui.ErrorPage{Frame: alone("Nothing is here").Frame, Status: 404, Detail: "The address is wrong, or what it named is gone."}},
		{"error-full", "error", ui.ErrorPage{Frame: full("Not yours to see").Frame, Status: 403, Detail: ui.Verbatim(say("Your account does not hold the role that this page needs.")), Back: ui.Link{Label: ui.Verbatim(say("Back")), URL: "/"}}},
		{"refused", "refused", refusedPage{Base: refused, Heading: ui.Verbatim(say("You cannot open this in Claims archive")), Lede: "You are signed in, but the rules of this cluster do not allow this request. It was recorded, like every other.", Cluster: say("Claims archive"),
			Reasons: []reason{{Code: say("method_out_of_scope"), Message: ui.Verbatim(say("Your assignment allows reading only, and this request would change something.")), Help: ui.Verbatim(say("Whoever gave you the assignment can widen it."))},
				{Code: "engagement_ended", Message: ui.Verbatim(say("The engagement Claims migration 2026 ended on 1 March 2026."))}},
			Ask:    []helper{{Person: owner, For: ui.Verbatim(say("answers for Acme Analytics here")), Mail: "mailto:ines.okafor@northwind.example?subject=Access"}, {Person: policy.Person{Name: say("Tom Abara"), Email: say("tom@northwind.example")}, For: ui.Verbatim(say("owns Claims archive")), Mail: "mailto:tom@northwind.example"}},
			Facts:  []fact{{"Request", ui.Verbatim(say("DELETE /reports/2025/q4"))}, {"Time", "12 March 2026, 09:30:00 UTC"}, {"Request id", ui.Verbatim(say("kq3v7m2xw5hbn4tz"))}},
			Action: ui.Link{Label: "To my clusters", URL: "https://gate.localhost:8443/"}}},
		{"refused-bare", "refused", refusedPage{Base: Base{ui.Frame{Title: "x", Narrow: true}}, Heading: "No cluster has this name", Lede: "The address leads to Ringfence, but no cluster of that name is behind it."}},
	}
}

func sampleScan(say sampleText) scan {
	return newScan("/enrol/qr.png", say("kim.larsen@acme.example"), "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "otpauth://totp/Northwind:kim?secret=JBSWY3DPEHPK3PXP")
}

func sampleFactors(say sampleText) []factorRow {
	return []factorRow{
		{ID: "dev_1", Name: say("Work phone"), URL: "/factors/dev_1", Created: sampleNow.Add(-900 * time.Hour), Used: sampleNow},
		{ID: "dev_2", Name: say("Tablet at home"), URL: "/factors/dev_2", Created: sampleNow.Add(-90 * time.Hour), Used: sampleNow.Add(-9 * time.Hour), Offset: -1, Seconds: 30},
		{ID: "dev_3", Name: say("Old phone"), URL: "/factors/dev_3", Created: sampleNow.Add(-90 * time.Hour), Offset: 1, Seconds: 30},
	}
}

const sampleAgreement = `Between **Northwind Mutual** and the person who accepts it.

## 1. What is confidential

Everything that you see on a cluster is confidential: records of customers, documents, figures, and the fact that they exist.

- You read what your task needs, and nothing else.
- You copy nothing to a machine that is not named in your contract.
- You tell nobody what you have seen, also after the contract has ended.

## 2. What is recorded

Each of your requests is recorded, with time, address and result. What you send and receive is not.

## 3. How long it lasts

This agreement holds while your contract does, and for five years afterwards. See [the full terms](https://example.com/terms).
`

// sampleSessions are sessions in every state.
func sampleSessions(say sampleText, people bool) sessionTable {
	table := sessionTable{People: people, MayEnd: true, Rows: []sessionRow{
		{ID: "s1", This: true, Client: ui.Verbatim("Firefox on Windows"), UserAgent: say("Mozilla/5.0"), IP: "198.51.100.24", Created: sampleNow.Add(-time.Hour), Seen: sampleNow, IdleEnds: sampleNow.Add(30 * time.Minute), Ends: sampleNow.Add(11 * time.Hour),
			Opened: []string{say("Claims archive"), "Flood maps"}, EndURL: "/sessions/end"},
		{ID: say("s2"), Client: ui.Verbatim("Chrome on Android"), UserAgent: say("Mozilla/5.0"), IP: "2001:db8:7::19", Created: sampleNow.Add(-3 * time.Hour), Seen: sampleNow.Add(-2 * time.Hour), IdleEnds: sampleNow.Add(-90 * time.Minute), Ends: sampleNow.Add(9 * time.Hour), Idle: true, EndURL: "/sessions/end"},
		{ID: "s3", Client: ui.Verbatim("Safari on macOS"), UserAgent: say("Mozilla/5.0"), Created: sampleNow.Add(-2 * time.Hour), Seen: sampleNow, IdleEnds: sampleNow.Add(20 * time.Minute), Ends: sampleNow.Add(10 * time.Hour), NewDevice: true, NewNetwork: true, EndURL: "/sessions/end"}}}
	if people {
		for i := range table.Rows {
			table.Rows[i].Person = ui.Link{Label: ui.Verbatim(say("Kim Larsen")), URL: "/console/people/kim"}
		}
	}
	return table
}
