package totp

import (
	"bytes"
	"encoding/hex"
	"image/png"
	"net/url"
	"testing"
	"time"

	"github.com/pquerna/otp"
)

// RFC 4226 appendix D.
func TestCode_RFC4226(t *testing.T) {
	secret := []byte("12345678901234567890")
	for count, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got, err := Code(secret, int64(count)); err != nil || got != want {
			t.Errorf("count %d: %s, %v, want %s", count, got, err, want)
		}
	}
}

// RFC 6238 appendix B, with the secrets' lengths of its errata.
func TestCode_RFC6238(t *testing.T) {
	secrets := map[otp.Algorithm]string{
		otp.AlgorithmSHA1:   "3132333435363738393031323334353637383930",
		otp.AlgorithmSHA256: "3132333435363738393031323334353637383930313233343536373839303132",
		otp.AlgorithmSHA512: "31323334353637383930313233343536373839303132333435363738393031323334353637383930313233343536373839303132333435363738393031323334",
	}
	for _, c := range []struct {
		at                   int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"},
		{1111111109, "07081804", "68084774", "25091201"},
		{1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"},
		{2000000000, "69279037", "90698825", "38618901"},
		{20000000000, "65353130", "77737706", "47863826"},
	} {
		for algorithm, want := range map[otp.Algorithm]string{otp.AlgorithmSHA1: c.sha1, otp.AlgorithmSHA256: c.sha256, otp.AlgorithmSHA512: c.sha512} {
			secret, err := hex.DecodeString(secrets[algorithm])
			if err != nil {
				t.Fatal(err)
			}
			got, err := generate(secret, Step(time.Unix(c.at, 0)), otp.DigitsEight, algorithm)
			if err != nil || got != want {
				t.Errorf("%s at %d: %s, %v, want %s", algorithm, c.at, got, err, want)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	secret := []byte("12345678901234567890")
	at := time.Unix(1_700_000_015, 0)
	now := Step(at)
	for _, c := range []struct {
		name   string
		of     int64 // whose code is given
		skew   int
		spent  int64
		step   int64
		result Result
	}{
		{"now", now, 1, 0, now, Right},
		{"one before", now - 1, 1, 0, now - 1, Right},
		{"one after", now + 1, 1, 0, now + 1, Right},
		{"two before", now - 2, 1, 0, 0, Wrong},
		{"two after", now + 2, 1, 0, 0, Wrong},
		{"no skew", now - 1, 0, 0, 0, Wrong},
		{"spent", now, 1, now, 0, Spent},
		{"older than a spent one", now - 1, 1, now, 0, Spent},
		{"newer than a spent one", now + 1, 1, now, now + 1, Right},
	} {
		code, err := Code(secret, c.of)
		if err != nil {
			t.Fatal(err)
		}
		step, result, err := Match(secret, code, at, c.skew, c.spent)
		if err != nil || step != c.step || result != c.result {
			t.Errorf("%s: step %d, result %d, %v; want %d, %d", c.name, step, result, err, c.step, c.result)
		}
	}
	for _, code := range []string{"", "12345", "1234567", "abcdef", "００００００"} {
		if _, result, err := Match(secret, code, at, 1, 0); err != nil || result != Wrong {
			t.Errorf("%q: result %d, %v", code, result, err)
		}
	}
}

// Two adjacent steps can have one code. The newer one counts: a fresh code is
// not refused because it looks like the one before, which is spent.
func TestMatch_AdjacentCollision(t *testing.T) {
	secret := []byte("12345678901234567890")
	const step = 910738 // the first of this secret
	before, err := Code(secret, step-1)
	if err != nil {
		t.Fatal(err)
	}
	code, err := Code(secret, step)
	if err != nil {
		t.Fatal(err)
	}
	if code != before {
		t.Fatalf("%s and %s differ", code, before)
	}
	at := time.Unix(step*30, 0)
	if got, result, err := Match(secret, code, at, 1, 0); err != nil || result != Right || got != step {
		t.Errorf("fresh: step %d, result %d, %v, want %d", got, result, err, step)
	}
	if got, result, err := Match(secret, code, at, 1, step-1); err != nil || result != Right || got != step {
		t.Errorf("after the older one was spent: step %d, result %d, %v, want %d", got, result, err, step)
	}
	if _, result, err := Match(secret, code, at, 1, step); err != nil || result != Spent {
		t.Errorf("after the newer one was spent: result %d, %v", result, err)
	}
}

func TestMatch_Before1970(t *testing.T) {
	if _, result, err := Match(NewSecret(), "000000", time.Unix(-100, 0), 1, 0); err != nil || result != Wrong {
		t.Errorf("result %d, %v", result, err)
	}
}

func TestURI(t *testing.T) {
	secret := NewSecret()
	if len(secret) != SecretSize || bytes.Equal(secret, NewSecret()) {
		t.Fatal("secrets are not random")
	}
	const issuer, account = "Example & Söhne: 100 %", "kim+work@vendor.example"
	uri := URI(issuer, account, secret)
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	if u.Query().Get("issuer") != issuer || u.Path != "/"+issuer+":"+account || u.Query().Get("secret") != Encode(secret) {
		t.Errorf("an app would read %q and %v", u.Path, u.Query())
	}
	back, err := ParseURI(uri)
	if err != nil || !bytes.Equal(back, secret) {
		t.Errorf("reading it back: %x, %v", back, err)
	}
	picture, err := PNG(uri, 264)
	if err != nil {
		t.Fatal(err)
	}
	if img, err := png.Decode(bytes.NewReader(picture)); err != nil || img.Bounds().Dx() != 264 {
		t.Errorf("picture: %v", err)
	}
	for _, bad := range []string{"", "https://example.com", "otpauth://hotp/a?secret=AAAA", "otpauth://totp/a?secret=!!", "otpauth://totp/a?secret=AAAA&digits=8"} {
		if got, err := ParseURI(bad); err == nil {
			t.Errorf("%q gave %x", bad, got)
		}
	}
}
