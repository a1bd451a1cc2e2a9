// Puts the editor in the place of the text area of a policy's file. The form
// stays what it was: what is typed goes back into the area before it is sent.
import { EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, lineNumbers, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, drawSelection, rectangularSelection } from "@codemirror/view";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, indentOnInput, indentUnit } from "@codemirror/language";
import { autocompletion, acceptCompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { searchKeymap, highlightSelectionMatches, search, openSearchPanel } from "@codemirror/search";
import { lintGutter, lintKeymap } from "@codemirror/lint";
import { rego } from "./rego.js";
import { theme } from "./theme.js";
import { checking } from "./check.js";
import { load, complete, meanings, ask } from "./contract.js";
import { phrases, readFrom, say } from "./words.js";

function edit(form) {
  readFrom(form);
  const area = form.querySelector("textarea[name=text]");
  const note = form.querySelector("[data-note]");
  const keys = form.querySelector("[data-keys]");
  const host = document.createElement("div");
  host.className = "policy-editor";
  const root = host.attachShadow({ mode: "open" });
  let saved = form.dataset.unsaved ? null : area.value; // null: what is shown was never saved

  const view = new EditorView({
    root, parent: root,
    state: EditorState.create({
      doc: area.value,
      extensions: [
        EditorState.phrases.of(phrases()), EditorState.tabSize.of(4), indentUnit.of("\t"), EditorState.readOnly.of(area.readOnly), EditorView.editable.of(!area.readOnly),
        EditorView.contentAttributes.of({ "aria-label": form.querySelector("label[for=f-text]").textContent, "aria-description": keys.textContent, spellcheck: "false" }),
        lineNumbers(), lintGutter(), highlightActiveLine(), highlightActiveLineGutter(), highlightSpecialChars(), drawSelection(), rectangularSelection(),
        history(), bracketMatching(), closeBrackets(), indentOnInput(), highlightSelectionMatches(), search({ top: true }),
        autocompletion({ override: [complete], icons: false }),
        rego, theme, meanings,
        checking({ url: form.dataset.check, file: form.dataset.file, status: form.querySelector("[data-status]"), elsewhere: form.querySelector("[data-elsewhere] ul") }),
        // Escape, then Tab, leads out whatever else Escape has to do first.
        Prec.highest(keymap.of([{ key: "Escape", run: (v) => (v.setTabFocusMode(2000), false) }])),
        keymap.of([
          { key: "Mod-s", preventDefault: true, run: () => (save(), true) },
          { key: "Shift-Alt-f", preventDefault: true, run: () => (format(), true) },
          { key: "Mod-i", preventDefault: true, run: ask },
          { key: "Tab", run: acceptCompletion },
          ...closeBracketsKeymap, ...completionKeymap, ...lintKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab,
        ]),
        EditorView.updateListener.of((u) => {
          if (!u.docChanged) return;
          area.value = u.state.doc.toString();
          tell();
        }),
      ],
    }),
  });
  area.hidden = true;
  keys.hidden = false;
  form.querySelector("button[value=check]")?.setAttribute("hidden", ""); // it is done as one types
  const find = form.querySelector("[data-find]");
  if (find) {
    find.hidden = false;
    find.addEventListener("click", () => openSearchPanel(view));
  }
  area.after(host);
  // The label goes on naming the area, which is out of sight: pressing it leads here.
  form.querySelector("label[for=f-text]").addEventListener("click", (event) => {
    event.preventDefault();
    view.focus();
  });

  const dirty = () => view.state.doc.toString() !== saved;
  function tell(words) {
    note.textContent = words ?? (dirty() ? say("unsaved") : "");
    note.dataset.state = dirty() ? "warn" : "good";
  }
  tell();

  let leaving = false;
  addEventListener("beforeunload", (event) => {
    if (!leaving && dirty()) event.preventDefault();
  });
  addEventListener("pageshow", () => { leaving = false; });

  // post sends the form as a browser would and asks for JSON. Where that does
  // not give what is wanted, the page itself is sent and shows why.
  async function post(what) {
    const body = new URLSearchParams(new FormData(form));
    body.set("do", what);
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      if (answer.ok) return await answer.json();
    } catch { /* the page below says it */ }
    leaving = true;
    form.querySelector(`button[value=${what}]`).click();
    return null;
  }

  let busy = false;
  async function alone(act) {
    if (busy || area.readOnly) return;
    busy = true;
    try { await act(); } finally { busy = false; }
  }

  const save = () => alone(async () => {
    const text = view.state.doc.toString();
    tell(say("saving"));
    const answer = await post("save");
    if (!answer) return;
    form.elements.seen.value = answer.seen;
    form.elements.was.value = answer.was;
    saved = text;
    tell(dirty() ? say("unsaved") : say("saved"));
  });

  const format = () => alone(async () => {
    const answer = await post("format");
    if (!answer) return;
    if (answer.faults) tell(say("unformatted"));
    else replace(answer.text);
    view.focus();
  });

  // replace changes only the lines that differ, so that the cursor stays.
  function replace(text) {
    const have = view.state.doc.toString();
    let from = 0, to = have.length, end = text.length;
    while (from < to && from < end && have[from] === text[from]) from++;
    while (to > from && end > from && have[to - 1] === text[end - 1]) { to--; end--; }
    if (from < to || from < end) view.dispatch({ changes: { from, to, insert: text.slice(from, end) }, userEvent: "input.format", scrollIntoView: true });
  }

  form.addEventListener("submit", (event) => {
    const what = event.submitter?.value;
    if (leaving || (what !== "save" && what !== "format")) {
      leaving = true;
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // it is not sent this way
    if (what === "save") save();
    else format();
  });

  load(form.dataset.contract);
}

for (const form of document.querySelectorAll("form[data-policy-editor]")) edit(form);
