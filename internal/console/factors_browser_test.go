package console

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// pictures keeps what the page looks like, wide and narrow, light and dark.
func (b *tab) pictures(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
			b.t.Fatal(err)
		}
		for width, size := range map[int64]string{1280: "wide", 390: "narrow"} {
			b.do(chromedp.EmulateViewport(width, 900))
			b.picture(name + "-" + size + "-" + scheme)
		}
	}
	b.do(chromedp.EmulateViewport(1280, 900))
}

// TestBrowser_Factors connects two devices during enrolment, and then adds,
// renames and removes one, with the keyboard where it matters.
func TestBrowser_Factors(t *testing.T) {
	w := newWorld(t)
	b := newTab(t, w)
	secret := func() string { return evaluate[string](b, `document.querySelector(".secret code").dataset.copy`) }
	b.do(chromedp.Navigate(w.invite("lee")))
	b.do(chromedp.SendKeys(`input[name=password]`, password), chromedp.SendKeys(`input[name=again]`, password+kb.Enter))
	b.sees("A name for this device")
	b.pictures("enrol-authenticator")
	first := secret()
	b.do(chromedp.Focus(`input[name=code]`), chromedp.KeyEvent(codeAt(t, first, w.clock().Add(-30*time.Second))), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent("Work phone"), chromedp.KeyEvent(kb.Enter))
	b.sees("Work phone is connected")
	b.pictures("enrol-recovery")
	b.do(chromedp.Click(`.connected a`))
	b.sees("Show the QR code")
	b.pictures("enrol-second-name")
	b.do(chromedp.KeyEvent("Tablet"), chromedp.KeyEvent(kb.Enter)) // the field has the focus
	b.sees("Connect Tablet")
	b.pictures("enrol-second")
	second := secret()
	if width, err := chromedp.Run(b.Context, chromedp.Poll[float64](`document.querySelector(".scan img").naturalWidth`)); err != nil || width < 100 {
		t.Errorf("the QR code is %v pixels wide, %v", width, err)
	}
	b.do(chromedp.SendKeys(`input[name=code]`, codeAt(t, second, w.clock())+kb.Enter))
	b.sees("Tablet is connected")
	b.do(chromedp.SendKeys(`input[name=code]`, evaluate[string](b, `document.querySelector(".recovery-codes code").textContent`)+kb.Enter))
	b.sees("2 factors besides your password")
	b.pictures("portal")
	b.do(chromedp.Click(`.recorded ~ *, main p.after a`))
	b.sees("Authenticator apps")
	b.pictures("factors")
	b.do(chromedp.Click(`.section-head a`))
	b.sees("Show the QR code")
	b.pictures("totp-name")
	b.do(chromedp.SendKeys(`input[name=name]`, `<img src=x onerror=alert(1)>`+kb.Enter))
	b.sees("Scan the picture")
	b.pictures("totp")
	third := secret()
	b.do(chromedp.SendKeys(`input[name=code]`, "000000"+kb.Enter))
	b.sees("That code is not right")
	b.do(chromedp.SendKeys(`input[name=code]`, codeAt(t, third, w.clock().Add(30*time.Second))+kb.Enter))
	b.sees("Added.")
	b.pictures("factors-added")
	b.do(chromedp.Click(`tbody tr:last-child .do a`))
	b.sees("stop working at once")
	b.pictures("factor")
	b.do(chromedp.Click(`form .button.danger`))
	b.sees("Removed.")
	b.quiet()
}
