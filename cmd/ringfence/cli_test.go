package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/ringfence/ringfence/internal/client"
)

// A terminal is a contractor's computer: its own folder for sign-ins.
type terminalOf struct {
	t    testing.TB
	p    *process
	home string
	ca   string

	b     *browser
	steps int // of the next code, from now
}

func (p *process) terminal(t testing.TB) *terminalOf {
	return &terminalOf{t: t, p: p, home: filepath.Join(t.TempDir(), "home"), ca: p.ready.CA}
}

func (x *terminalOf) command(args ...string) *exec.Cmd {
	cmd := program(args...)
	cmd.Env = append(cmd.Env, client.HomeVariable+"="+x.home, client.KeyringVariable+"=off")
	return cmd
}

// run returns what a command printed and how it ended.
func (x *terminalOf) run(args ...string) (stdout, stderr string, code int) {
	x.t.Helper()
	cmd := x.command(args...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	_ = cmd.Run() // its status is what is returned
	return out.String(), words.String(), cmd.ProcessState.ExitCode()
}

var shownCode = regexp.MustCompile(`Type  ([A-Z]{4}-[A-Z]{4})`)

// login starts 'ringfence login', answers in the browser, and returns how it ended.
func (x *terminalOf) login(email, answer string) (output string, code int) {
	x.t.Helper()
	cmd := x.command("login", x.p.ready.Gate, "--ca", x.ca, "--name", "kims-laptop")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		x.t.Fatal(err)
	}
	var all strings.Builder
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if m := shownCode.FindStringSubmatch(lines.Text()); m != nil {
			if x.b == nil { // the code of this sign-in is one since the program asked
				x.b = x.p.signIn(x.t, email, x.steps)
				x.b.email = email
				x.steps++ // a code is good once
			}
			x.answer(x.b, m[1], answer)
		}
	}
	_ = cmd.Wait() // its status is what is returned
	return all.String() + out.String(), cmd.ProcessState.ExitCode()
}

// answer types the code at the gate, gives a factor, and answers.
func (x *terminalOf) answer(b *browser, typed, answer string) {
	x.t.Helper()
	gate := x.p.ready.Gate
	pg := b.post(gate+"/device", url.Values{"user_code": {strings.ToLower(typed)}})
	if pg.url.Path == "/confirm" {
		pg = b.post(pg.url.String(), url.Values{"code": {code(x.t, x.p.account(x.t, b.email), x.steps)}})
		x.steps++ // a code is good once
	}
	if pg.status != 200 || !strings.HasPrefix(pg.url.Path, "/device/dev_") || !strings.Contains(pg.body, "kims-laptop") || !strings.Contains(pg.body, "127.0.0.1") {
		x.t.Fatalf("typing the code led to %d at %s\n%s", pg.status, pg.url, pg.body)
	}
	if pg = b.post(pg.url.String(), url.Values{"answer": {answer}}); pg.status != 200 {
		x.t.Fatalf("answering: %d\n%s", pg.status, pg.body)
	}
}

// TestCommandLine is a contractor's day in the terminal: sign in, curl, git, a
// token for another tool, and sign out.
func TestCommandLine(t *testing.T) {
	slow(t)
	curl, git := need(t, "curl", "curl"), need(t, "git", "git")
	_ = curl
	p := startDemo(t, "--data", filepath.Join(t.TempDir(), "demo"))
	kim := contractorWith(t, p)
	cluster := kim.Clusters[0]
	base := strings.TrimSuffix(cluster.URL, "/")
	x := p.terminal(t)

	// Before the sign-in, commands say what to do.
	if _, words, code := x.run("curl", base+"/"); code != 1 || !strings.Contains(words, "ringfence login") {
		t.Errorf("curl without a sign-in: %d %s", code, words)
	}
	if out, code := x.login(kim.Email, "deny"); code != 1 || !strings.Contains(out, "refused") {
		t.Fatalf("denied: %d\n%s", code, out)
	}
	out, code := x.login(kim.Email, "approve")
	if code != 0 || !strings.Contains(out, kim.Email) || !strings.Contains(out, base) {
		t.Fatalf("login: %d\n%s", code, out)
	}
	secrets := keptSecrets(t, x.home)
	for _, s := range secrets {
		if strings.Contains(out, s) {
			t.Error("login printed a secret")
		}
	}

	// curl reaches the cluster with a bound token.
	body, words, code := x.run("curl", base+"/", "-sS", "-D", "-")
	if code != 0 || !strings.Contains(body, " 200") || strings.Contains(words, "ringfence:") {
		t.Fatalf("curl: %d\n%s%s", code, body, words)
	}
	rows := p.entries(t, "--cluster", cluster.Name, "--account", kim.Email)
	if len(rows) == 0 || rows[0]["credential"] != "token" && rows[len(rows)-1]["credential"] != "token" {
		t.Errorf("the entries do not name the credential: %v", rows)
	}
	for _, bad := range [][]string{{"-L"}, {"--next"}, {"https://elsewhere.example/"}} {
		if _, _, code := x.run(append([]string{"curl", base + "/"}, bad...)...); code != 2 {
			t.Errorf("curl %v: exit %d, want 2", bad, code)
		}
	}

	// A token for another tool: a bearer token, from here only.
	token, words, code := x.run("token", cluster.Name)
	token = strings.TrimSpace(token)
	if code != 0 || !strings.HasPrefix(token, "rft_") || strings.Contains(words, token) {
		t.Fatalf("token: %d %s", code, words)
	}
	c := p.browser(t)
	c.accept = "application/json"
	if pg := c.get(base+"/", "Authorization", "Bearer "+token); pg.status != 200 {
		t.Errorf("bearer token: %d %s", pg.status, pg.body)
	}
	// The headers of one request work once, for that request alone.
	headers, _, _ := x.run("token", cluster.Name, "--dpop", "--url", base+"/once")
	h := map[string]string{}
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		h[name] = value
	}
	if pg := c.get(base+"/other", "Authorization", h["Authorization"], "DPoP", h["DPoP"]); pg.status != 401 {
		t.Errorf("the proof of one address at another: %d", pg.status)
	}
	first := c.get(base+"/once", "Authorization", h["Authorization"], "DPoP", h["DPoP"])
	again := c.get(base+"/once", "Authorization", h["Authorization"], "DPoP", h["DPoP"])
	if first.status == 401 || again.status != 401 || !strings.Contains(strings.Join(again.header.Values("WWW-Authenticate"), " "), "invalid_dpop_proof") {
		t.Errorf("a proof shown twice: %d, then %d %v", first.status, again.status, again.header.Values("WWW-Authenticate"))
	}
	if pg := c.get(base+"/once", "Authorization", strings.Replace(h["Authorization"], "DPoP", "Bearer", 1)); pg.status != 401 {
		t.Errorf("a bound token as a bearer token: %d", pg.status)
	}

	// git asks the helper.
	helper := x.command("git-credential", "get")
	helper.Stdin = strings.NewReader("protocol=https\nhost=" + strings.TrimPrefix(base, "https://") + "\n\n")
	said, err := helper.Output()
	if err != nil || !strings.Contains(string(said), "username=ringfence\npassword=rft_") {
		t.Errorf("git-credential: %v", err)
	}
	foreign := x.command("git-credential", "get")
	foreign.Stdin = strings.NewReader("protocol=https\nhost=github.com\n\n")
	if said, err := foreign.Output(); err != nil || len(said) != 0 {
		t.Errorf("git-credential answers for a foreign host: %q %v", said, err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ls := exec.Command(git, "-c", "credential.helper=", "-c", "credential."+base+".helper=!"+exe+" git-credential", "-c", "http.sslCAInfo="+p.ready.CA, "ls-remote", base+"/no-repository.git")
	ls.Env = append(os.Environ(), asRingfence+"=1", client.HomeVariable+"="+x.home, client.KeyringVariable+"=off", "GIT_TERMINAL_PROMPT=0", "GIT_SSL_CAINFO="+p.ready.CA)
	words2, _ := ls.CombinedOutput() // the sample system is no git server
	if !strings.Contains(string(words2), "not found") && !strings.Contains(string(words2), "not valid") {
		t.Errorf("git did not get past the gateway: %s", words2)
	}

	connectWorks(t, x, cluster.Name)

	b := x.b
	// The list shows the machine; its end is the end of everything.
	if pg := b.get(p.ready.Gate + "/tokens"); !strings.Contains(pg.body, "kims-laptop") || !strings.Contains(pg.body, "machine's own key") {
		t.Errorf("the page of tokens does not show the machine: %s", pg.body)
	}
	listed := ringfence(t, "account", "tokens", kim.Email, "--json", "--data", p.ready.Data)
	machine := regexp.MustCompile(`mac_[0-9a-f]+`).FindString(listed)
	if machine == "" || strings.Count(listed, "\n") < 3 {
		t.Fatalf("account tokens: %s", listed)
	}
	ringfence(t, "account", "tokens", kim.Email, "--revoke", machine, "--data", p.ready.Data)
	eventually(t, 5e9, "the token ends with its machine", func() bool {
		return c.get(base+"/", "Authorization", "Bearer "+token).status == 401
	})
	if _, words, code := x.run("curl", base+"/", "-sS"); !strings.Contains(words, "ringfence login") {
		t.Errorf("curl after the machine's end: %d %s", code, words)
	}
	if _, words, code := x.run("logout"); code != 0 {
		t.Errorf("logout: %d %s", code, words)
	}
	if left := keptSecrets(t, x.home); len(left) != 0 {
		t.Errorf("%d secrets are kept after the sign-out", len(left))
	}
	for _, s := range append(secrets, token) {
		if strings.Contains(p.output.String(), s) {
			t.Error("the gateway's log holds a secret")
		}
	}
}

// connectWorks reaches the cluster through the forwarder, and fails without
// its secret, under another name, and from another page.
func connectWorks(t *testing.T, x *terminalOf, cluster string) {
	t.Helper()
	cmd := x.command("connect", cluster)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var stop sync.Once
	end := func() { stop.Do(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }) } // it may have ended
	defer end()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := at.User.Password()
	plain := "http://" + at.Host
	basicAuth := "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+secret))
	for what, c := range map[string]struct {
		url    string
		header []string
		want   int
	}{
		"secret as password":   {plain + "/", []string{"Authorization", basicAuth}, 200},
		"secret in the path":   {plain + "/" + secret + "/", nil, 200},
		"no secret":            {plain + "/", nil, 401},
		"wrong secret":         {plain + "/" + secret[1:] + "/", nil, 401},
		"a name that was made": {plain + "/" + secret + "/", []string{"Host", "evil.example:" + at.Port()}, 421},
		"another page":         {plain + "/" + secret + "/", []string{"Origin", "https://evil.example"}, 403},
		"a cross-site request": {plain + "/" + secret + "/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		req, err := http.NewRequest("GET", c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(c.header); i += 2 {
			req.Header.Set(c.header[i], c.header[i+1])
			if c.header[i] == "Host" {
				req.Host = c.header[i+1]
			}
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != c.want {
			t.Errorf("connect, %s: %d, want %d: %.200s %v", what, res.StatusCode, c.want, body, err)
		}
	}
	end()
}

// contractorWith returns a contractor who has a cluster.
func contractorWith(t testing.TB, p *process) demoAccount {
	t.Helper()
	for _, a := range p.ready.Accounts {
		if len(a.Clusters) > 0 {
			return a
		}
	}
	t.Fatal("no contractor of the demo has a cluster")
	return demoAccount{}
}

// keptSecrets returns what the files of a computer's sign-in hold, after
// checking that nobody else may read them.
func keptSecrets(t testing.TB, home string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		if i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, i.Mode())
		}
		if d.IsDir() || filepath.Base(filepath.Dir(path)) != "secrets" {
			return nil
		}
		b, err := os.ReadFile(path)
		out = append(out, regexp.MustCompile(`rf[tmp]_[0-9A-Za-z]+`).FindAllString(string(b), -1)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
