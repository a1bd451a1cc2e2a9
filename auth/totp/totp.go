// Package totp computes and checks time-based one-time codes (RFC 6238) with
// the parameters that every authenticator app reads: SHA-1, six digits, thirty
// seconds. It is pure: no clock, no storage. The caller keeps the newest step
// that was spent and spends each in one conditional update.
package totp

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"image/png"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

const (
	// Period is how long a code is shown.
	Period = 30 * time.Second
	// Digits is how many digits a code has.
	Digits = 6
	// SecretSize is the size of a secret in bytes, as RFC 4226 section 4 recommends.
	SecretSize = 20
)

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSecret returns a random secret. Running out of randomness ends the program.
func NewSecret() []byte {
	b := make([]byte, SecretSize)
	rand.Read(b)
	return b
}

// Encode returns the secret as text to type into an app: base32 without padding.
func Encode(secret []byte) string { return encoding.EncodeToString(secret) }

// Step returns the time step that t lies in.
func Step(t time.Time) int64 { return t.Unix() / int64(Period/time.Second) }

// Code returns the code of a step.
func Code(secret []byte, step int64) (string, error) {
	return generate(secret, step, otp.DigitsSix, otp.AlgorithmSHA1)
}

func generate(secret []byte, step int64, digits otp.Digits, algorithm otp.Algorithm) (string, error) {
	if step < 0 {
		return "", fmt.Errorf("computing code: the time is before 1970")
	}
	code, err := hotp.GenerateCodeCustom(Encode(secret), uint64(step), hotp.ValidateOpts{Digits: digits, Algorithm: algorithm})
	if err != nil {
		return "", fmt.Errorf("computing code: %w", err)
	}
	return code, nil
}

// A Result says what a code is worth.
type Result int

// The results.
const (
	Wrong Result = iota // matches no step within reach
	Spent               // matches only steps that are spent
	Right               // matches a step that is not
)

// Match looks for code among the steps within skew of at's, and returns the
// newest one above spent that it matches. Two adjacent steps can have the same
// code: taking the first match would refuse a fresh one. Every step within
// reach is computed and compared in constant time, whatever matches.
func Match(secret []byte, code string, at time.Time, skew int, spent int64) (int64, Result, error) {
	now := Step(at)
	found, result := int64(0), Wrong
	for step := now - int64(skew); step <= now+int64(skew); step++ {
		if step < 0 {
			continue
		}
		want, err := Code(secret, step)
		if err != nil {
			return 0, Wrong, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) != 1 {
			continue
		}
		if step > spent {
			found, result = step, Right
		} else if result == Wrong {
			result = Spent
		}
	}
	return found, result, nil
}

// URI returns what an authenticator app reads from a QR code. It holds the
// secret: it belongs into no log and no address bar.
func URI(issuer, account string, secret []byte) string {
	q := "secret=" + Encode(secret) + "&issuer=" + escape(issuer) +
		"&algorithm=SHA1&digits=" + strconv.Itoa(Digits) + "&period=" + strconv.Itoa(int(Period/time.Second))
	return "otpauth://totp/" + escape(issuer) + ":" + escape(account) + "?" + q
}

// escape escapes everything that could end a part; apps read %20, not +.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// PNG returns uri as a QR code, size pixels wide.
func PNG(uri string, size int) ([]byte, error) {
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		return nil, fmt.Errorf("drawing QR code: the address is malformed") // the cause repeats the secret
	}
	img, err := key.Image(size, size)
	if err != nil {
		return nil, fmt.Errorf("drawing QR code: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("drawing QR code: %w", err)
	}
	return b.Bytes(), nil
}

// ParseURI returns the secret of a URI that [URI] made, for programs that act
// as the app, such as tests. Other parameters than ours are refused.
func ParseURI(uri string) ([]byte, error) {
	key, err := otp.NewKeyFromURL(uri)
	if err != nil || key.Type() != "totp" || key.Period() != uint64(Period/time.Second) ||
		key.Digits() != otp.DigitsSix || key.Algorithm() != otp.AlgorithmSHA1 {
		return nil, fmt.Errorf("reading otpauth address: not one of ours") // the cause repeats the secret
	}
	secret, err := encoding.DecodeString(key.Secret())
	if err != nil || len(secret) == 0 {
		return nil, fmt.Errorf("reading otpauth address: the secret is malformed")
	}
	return secret, nil
}
