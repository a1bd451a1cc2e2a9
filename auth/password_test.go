package auth

import (
	"errors"
	"strings"
	"testing"
)

func reason(err error) string {
	if p, ok := errors.AsType[*PasswordError](err); ok {
		return p.Reason
	}
	return ""
}

func TestCheckPassword(t *testing.T) {
	words := []string{"kimberly", "park", "vendor", "example", "com", "acme"}
	for _, c := range []struct{ password, want string }{
		{"", PasswordTooShort},
		{"kq7 vmz 3xw", PasswordTooShort},                               // 11
		{"kq7 vmz 3xwp", ""},                                            // 12
		{"ﬁﬁﬁﬁﬁﬁ", PasswordPattern},                                     // 6 signs that NFKC makes 12
		{"e\u0308a\u0308o\u0308u\u0308i\u0308xyzqwr", PasswordTooShort}, // decomposed accents are one code point each
		{"пароль ждёт кота", ""},                                        // not only Latin
		{"鯨が静かに港を渡る朝の光", ""},                                            // 12 code points
		{strings.Repeat("plum anvil ", 24), PasswordTooLong},            // 264
		{"line\nbreak inside it", PasswordNotText},
		{"nul\x00 inside it here", PasswordNotText},
		{"broken \xff utf-8 text", PasswordNotText},

		{"passwordpassword", PasswordCommon},
		{"Password123456!", PasswordCommon},
		{"P@ssw0rd2026!!", PasswordCommon},
		{"Butterfly2024!!", PasswordCommon},
		{"correcthorsebatterystaple", PasswordCommon},
		{"correct horse battery staple", PasswordCommon},
		{"iloveyouforever", PasswordCommon},
		{"Dragon-Monkey-99", PasswordCommon},
		{"sunshine sunshine", PasswordCommon},
		{"administrator1", PasswordCommon},
		{"!!!!welcome!!!!", PasswordCommon},
		{"maytheforcebewithyou", PasswordCommon},

		{"aaaaaaaaaaaaaaa", PasswordCommon},
		{"kkkkkkkkkkkkk", PasswordPattern},
		{"abcabcabcabcabc", PasswordCommon},
		{"xkqxkqxkqxkqxkq", PasswordPattern},
		{"123456789012345", PasswordCommon},
		{"qwertyuiop123456", PasswordCommon},
		{"qwertzuiopasdfgh", PasswordPattern},
		{"zyxwvutsrqponm", PasswordPattern},
		{"1qaz2wsx3edc4rfv", PasswordCommon},
		{"йцукенгшщзхъфыва", PasswordPattern},

		{"KimberlyPark2026", PasswordOwnWords},
		{"acme-vendor-2026", PasswordOwnWords},
		{"ringfence-2026-!", PasswordOwnWords},
		{"kimberly likes a quiet sea", ""},

		{"plum anvil quiet harbour", ""},
		{"Tr0ub4dor&3xylo", ""},
		{"fK2#9sQm!vX7", ""},
	} {
		if got := reason(CheckPassword(c.password, words)); got != c.want {
			t.Errorf("%q: %q, want %q", c.password, got, c.want)
		}
	}
}

func TestCheckPassword_Bounds(t *testing.T) {
	long := strings.Repeat("plum anvil quiet harbour. kite. ", 8) // 256
	if err := CheckPassword(long, nil); err != nil {
		t.Errorf("256 characters: %v", err)
	}
	if got := reason(CheckPassword(long+"x", nil)); got != PasswordTooLong {
		t.Errorf("257 characters: %q", got)
	}
	if got := reason(CheckPassword(strings.Repeat("x", 1<<20), nil)); got != PasswordTooLong {
		t.Errorf("a megabyte: %q", got)
	}
}

// An error text is shown: it must not repeat the password.
func TestPasswordError_Text(t *testing.T) {
	for r, text := range passwordReasons {
		if err := (&PasswordError{Reason: r}); err.Error() != text || text == "" {
			t.Errorf("%s: %q", r, err)
		}
	}
}

func FuzzCheckPassword(f *testing.F) {
	for _, s := range []string{"", "password", "plum anvil quiet harbour", "\xff\xfe", "ﬁﬁﬁﬁﬁﬁ", strings.Repeat("é", 300)} {
		f.Add(s, "word")
	}
	f.Fuzz(func(t *testing.T, p, word string) {
		err := CheckPassword(p, []string{word})
		if err != nil && reason(err) == "" {
			t.Fatalf("error %v is no PasswordError", err)
		}
		if err == nil && len([]rune(p)) < 4 { // NFKC makes at most 18 of one
			t.Fatalf("%q was accepted", p)
		}
	})
}

func TestCanonicalEmail(t *testing.T) {
	const want = "kim@vendor.example"
	for _, s := range []string{
		"kim@vendor.example", " kim@vendor.example ", "KIM@Vendor.Example", "Kim@VENDOR.EXAMPLE\t",
		"ｋｉｍ@vendor.example", "ＫＩＭ＠vendor.example", "\u00a0kim@vendor.example", "kim@vendor．example",
	} {
		if got, err := CanonicalEmail(s); err != nil || got != want {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "kim", "@", "kim@", "@vendor.example", "kim@vendor@example", "kim @vendor.example", "kim\x00@vendor.example",
		"kim\u200b@vendor.example", "kim\u202e@vendor.example", "\xff@vendor.example", strings.Repeat("k", 300) + "@vendor.example",
	} {
		if got, err := CanonicalEmail(s); err == nil {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func FuzzCanonicalEmail(f *testing.F) {
	f.Add("Kim@Vendor.example")
	f.Add("İSTANBUL@example.com")
	f.Fuzz(func(t *testing.T, s string) {
		once, err := CanonicalEmail(s)
		if err != nil {
			return
		}
		if twice, err := CanonicalEmail(once); err != nil || twice != once {
			t.Fatalf("%q becomes %q, then %q (%v)", s, once, twice, err)
		}
	})
}
