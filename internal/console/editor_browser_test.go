package console

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/ringfence/ringfence/internal/change"
)

// shadow is where the editor stands: its styles are adopted there, which the
// content security policy has nothing against.
const shadow = `document.querySelector(".policy-editor").shadowRoot`

// open opens the editor of a file in a browser, as somebody.
func (o *studioOffice) open(t *testing.T, as string) (*tab, change.Draft) {
	t.Helper()
	d := o.draft()
	var who atomic.Value
	who.Store(as)
	b := newTab(t, o.signedIn(&who))
	b.do(chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(officeGate+editorURL(d.ID, "all/no_delete.rego")))
	b.waits(shadow + `.querySelector(".cm-content")`)
	return b, d
}

// waits waits until an expression holds in the page.
func (b *tab) waits(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, 20*time.Second)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+expression+")"))
		if err == nil {
			return
		}
		if ctx.Err() != nil { // any other error is a page that gave way to the next
			b.fatal(fmt.Sprintf("never: %s (%v)", expression, err))
		}
	}
}

// says waits until the line below the editor has a text.
func (b *tab) says(text string) {
	b.t.Helper()
	b.waits(fmt.Sprintf(`document.querySelector("[data-status]").textContent.includes(%q)`, text))
}

// end puts the cursor at the end of the file.
func (b *tab) end() {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](shadow+`.querySelector(".cm-content").focus()`), chord(kb.End, chromedp.ModifierCtrl))
}

// chord presses a key with others held down.
func chord(key string, held ...chromedp.Modifier) chromedp.Action[chromedp.Void] {
	return chromedp.KeyEvent(key, chromedp.KeyModifiers(held...))
}

// enter presses Enter as a keyboard does. The one of chromedp types a line as
// well, whatever the page made of the key.
func enter() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} {
			if _, err := cdp.Call(ctx, target, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13}); err != nil {
				return err
			}
		}
		return nil
	})
}

// takes waits until a completion is offered first, and takes it. The editor
// leaves Enter alone for a moment after its list has come up.
func (b *tab) takes(label string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, 20*time.Second)
	defer cancel()
	b.waits(fmt.Sprintf(shadow+`.querySelector(".cm-tooltip-autocomplete li[aria-selected]")?.textContent.startsWith(%q)`, label))
	b.waits(shadow + `.querySelector(".cm-completionInfo")`)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void](`new Promise((done) => setTimeout(done, 100))`, chromedp.EvalAwaitPromise)); err != nil {
		b.fatal(err)
	}
	b.do(enter())
}

// typed is what stands in the editor.
func (b *tab) typed() string {
	return evaluate[string](b, `document.querySelector("textarea[name=text]").value`)
}

// TestBrowser_EditorWritesAPolicy types an error and sees it at its place,
// takes a completion, asks what a name means, formats, sees the lines that no
// test reaches, saves, and is warned before what is not saved is lost.
func TestBrowser_EditorWritesAPolicy(t *testing.T) {
	o := newStudioOffice(t)
	b, d := o.open(t, "ada")
	b.says("Tests passed: 1")
	b.waits(shadow + `.querySelectorAll(".cm-covered").length > 1`)
	b.picture("editor")

	b.end()
	b.do(enter(), chromedp.KeyEvent("allow if input.subjct"))
	b.says("Errors: 1")
	b.waits(shadow + `.querySelector(".cm-lintRange-error")?.textContent.startsWith("input.subjct")`)
	b.waits(shadow + `.querySelector(".cm-lint-marker-error")`)
	b.do(chromedp.KeyEvent(kb.F8))
	b.waits(shadow + `.querySelector(".cm-diagnostic")?.textContent.includes("was subject meant?")`)
	b.picture("editor-error")

	// The field is completed and says what it is, in the page's words.
	b.do(chord(kb.End, chromedp.ModifierCtrl))
	for range len("subjct") {
		b.do(chromedp.KeyEvent(kb.Backspace))
	}
	b.do(chromedp.KeyEvent("requ"))
	b.waits(shadow + `.querySelector(".cm-completionInfo")?.textContent.includes("what is judged is what is forwarded")`)
	b.picture("editor-completion")
	b.takes("request")
	b.do(chromedp.KeyEvent(".meth"))
	b.takes("method")
	b.do(chord("i", chromedp.ModifierCtrl))
	b.waits(shadow + `.querySelector(".cm-doc")?.textContent.includes("The method, in upper case.")`)
	b.picture("editor-meaning")
	// What a field is compared with is offered too.
	b.do(chromedp.KeyEvent("==\""))
	b.waits(shadow + `.querySelector(".cm-tooltip-autocomplete")?.textContent.includes("PATCH")`)
	b.do(chromedp.KeyEvent("GET"), chromedp.KeyEvent(kb.Escape))
	if got := b.typed(); !strings.HasSuffix(got, "\nallow if input.request.method==\"GET\"") {
		t.Fatalf("typed %q", got)
	}

	b.do(chord("F", chromedp.ModifierAlt, chromedp.ModifierShift))
	b.waits(`document.querySelector("textarea[name=text]").value.endsWith("allow if input.request.method == \"GET\"\n")`)
	b.says("Tests reach")
	b.waits(shadow + `.querySelector(".cm-uncovered")`)
	b.sees("Not saved yet")
	b.picture("editor-coverage")

	// A function that is withheld says why.
	b.end()
	b.do(chromedp.KeyEvent("allow if time.now_ns() > 0"))
	b.waits(shadow + `.querySelector(".cm-lintRange-error")`)
	b.do(chromedp.KeyEvent(kb.F8))
	b.waits(shadow + `.querySelector(".cm-diagnostic")?.textContent.includes("it reads the clock")`)
	b.do(chord("z", chromedp.ModifierCtrl), chord("z", chromedp.ModifierCtrl))

	// To leave is asked about; here the question is answered with yes.
	b.do(chromedp.Evaluate[chromedp.Void](`setTimeout(() => document.querySelector(".policy-actions a").click())`))
	b.sees("What policies can read, call and say")
	b.mu.Lock()
	asked := b.complaints
	b.complaints = nil
	b.mu.Unlock()
	if len(asked) != 1 || !strings.HasPrefix(asked[0], "dialog:") {
		t.Errorf("leaving was answered with %q", asked)
	}
	b.do(chromedp.Navigate(officeGate + editorURL(d.ID, "all/no_delete.rego")))
	b.waits(shadow + `.querySelector(".cm-content")`)
	b.end()
	b.do(chromedp.KeyEvent("# said by ada"), enter(), chord("s", chromedp.ModifierCtrl))
	b.sees("Saved in the draft")
	if got := o.kept(d.ID); got.Version != 2 || got.Modules["all/no_delete.rego"] != noDelete+"# said by ada\n" {
		t.Errorf("version %d: %q", got.Version, got.Modules["all/no_delete.rego"])
	}
	// Once more, upon the version that the first save made.
	b.do(chromedp.KeyEvent("# and again"), enter(), chord("s", chromedp.ModifierCtrl))
	b.waits(`document.querySelector("[data-note]").textContent === "Saved in the draft" && document.querySelector("[name=seen]").value === "3"`)
	b.do(chromedp.Navigate(officeGate + "/console/policies/forbidden")) // without a question
	b.sees("What is forbidden, and why")
	b.quiet()
}

// TestBrowser_EditorConflict: somebody else saves first; the page shows the
// difference, and what was typed is still there.
func TestBrowser_EditorConflict(t *testing.T) {
	o := newStudioOffice(t)
	b, d := o.open(t, "ada")
	b.says("Nothing is wrong")
	text := noDelete + "# bea was here\n"
	if _, err := o.changes.Save(t.Context(), o.actor("bea"), d.ID, 1, change.Edit{Write: map[string]string{"all/no_delete.rego": text}}); err != nil {
		t.Fatal(err)
	}
	b.end()
	b.do(chromedp.KeyEvent("# ada was here"), enter(), chord("s", chromedp.ModifierCtrl))
	b.sees("Somebody was faster")
	b.sees("bea@example.com")
	b.picture("conflict")
	b.do(chromedp.Click(`button[value=edit]`))
	b.waits(`document.querySelector(".policy-editor")?.shadowRoot.querySelector(".cm-content")?.textContent.includes("# ada was here")`)
	b.sees("Not saved yet")
	b.end()
	b.do(chord("s", chromedp.ModifierCtrl))
	b.sees("Saved in the draft")
	if got := o.kept(d.ID); !strings.HasSuffix(got.Modules["all/no_delete.rego"], "# ada was here\n") || got.Version != 3 {
		t.Errorf("version %d: %q", got.Version, got.Modules["all/no_delete.rego"])
	}
	b.quiet()
}

// TestBrowser_EditorByKeyboard goes through the form with the keyboard alone:
// into the editor, out of it, to find and replace, and to the button that saves.
func TestBrowser_EditorByKeyboard(t *testing.T) {
	o := newStudioOffice(t)
	b, d := o.open(t, "ada")
	inEditor := `document.activeElement?.classList.contains("policy-editor")`
	b.do(chromedp.Focus(`.policy-file-list li:last-child a`), chromedp.KeyEvent(kb.Tab))
	b.waits(inEditor)
	b.do(chromedp.KeyEvent(kb.Tab)) // indents
	b.sees("Not saved yet")
	b.do(chord("z", chromedp.ModifierCtrl), chord("f", chromedp.ModifierCtrl))
	b.waits(shadow + `.activeElement?.name === "search"`)
	b.do(chromedp.KeyEvent("DELETE"), chromedp.KeyEvent(kb.Tab))
	b.picture("editor-find")
	b.do(chromedp.Evaluate[chromedp.Void](shadow+`.querySelector("[name=replace]").focus()`), chromedp.KeyEvent("TRACE"), chord(kb.Enter, chromedp.ModifierAlt))
	b.do(chromedp.Evaluate[chromedp.Void](shadow+`.querySelector("button[name=replaceAll]").focus()`), chromedp.KeyEvent(kb.Enter))
	b.waits(`document.querySelector("textarea[name=text]").value.includes("\"TRACE\"")`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.waits(`!` + shadow + `.querySelector(".cm-search")`)
	b.waits(inEditor)
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Tab))
	b.waits(`document.activeElement?.value === "save"`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.sees("Saved in the draft")
	if got := o.kept(d.ID); !strings.Contains(got.Modules["all/no_delete.rego"], `"TRACE"`) {
		t.Errorf("%q", got.Modules["all/no_delete.rego"])
	}
	b.quiet()
}

// TestBrowser_EditorFits looks at the pages of the editor on a phone and on a
// desk, in light and in dark: nothing is stopped by the policy, nothing needs
// scrolling sideways, and the editor has its styles.
func TestBrowser_EditorFits(t *testing.T) {
	o := newStudioOffice(t)
	b, d := o.open(t, "ada")
	at := editorURL(d.ID, "")
	for name, target := range map[string]string{"edit": at, "new": "/console/policies/new", "add": at + "/add", "rename": at + "/rename?file=all%2Fno_delete.rego", "delete": at + "/delete?file=all%2Fno_delete.rego",
		"about": at + "/about", "contract": "/console/policies/contract", "forbidden": "/console/policies/forbidden"} {
		b.do(chromedp.Navigate(officeGate + target))
		if name == "edit" {
			b.says("Tests passed: 1")
			if got := evaluate[string](b, `getComputedStyle(`+shadow+`.querySelector(".cm-content")).whiteSpace`); got != "pre" {
				t.Errorf("the editor has no styles: white-space is %q", got)
			}
		}
		for _, scheme := range []string{"light", "dark"} {
			if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
				t.Fatal(err)
			}
			for _, width := range []int64{320, 390, 1280} {
				b.do(chromedp.EmulateViewport(width, 900))
				if wide := evaluate[float64](b, `document.documentElement.scrollWidth`); wide > float64(width) {
					t.Errorf("%s is %v pixels wide on a screen of %d", name, wide, width)
				}
				if width != 320 {
					b.picture(fmt.Sprintf("policy-%s-%s-%d", name, scheme, width))
				}
			}
		}
	}
	b.quiet()
}

// TestBrowser_EditorIsLoadedWhereItIsNeeded: no other page pays for it.
func TestBrowser_EditorIsLoadedWhereItIsNeeded(t *testing.T) {
	o := newStudioOffice(t)
	d := o.draft()
	for target, want := range map[string]bool{editorURL(d.ID, ""): true, "/console/": false, "/console/policies/contract": false, editorURL(d.ID, "") + "/add": false} {
		if got := strings.Contains(o.get("ada", target).Body.String(), "/assets/editor."); got != want {
			t.Errorf("%s loads the editor: %v", target, got)
		}
	}
}
