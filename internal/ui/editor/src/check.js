// Asks the gateway what is wrong while somebody types, and which lines the
// tests reach once nothing is.
import { StateEffect, StateField, RangeSet } from "@codemirror/state";
import { ViewPlugin, GutterMarker, gutter } from "@codemirror/view";
import { setDiagnostics } from "@codemirror/lint";
import { element, say } from "./words.js";

const setCoverage = StateEffect.define();

class Reach extends GutterMarker {
  constructor(reached) {
    super();
    this.reached = reached;
  }
  eq(other) {
    return this.reached === other.reached;
  }
  toDOM() {
    const e = element("span", this.reached ? "cm-covered" : "cm-uncovered");
    e.title = say(this.reached ? "covered" : "uncovered");
    return e;
  }
}
const reached = new Reach(true), missed = new Reach(false);

const coverage = StateField.define({
  create: () => RangeSet.empty,
  update(marks, tr) {
    marks = marks.map(tr.changes);
    for (const e of tr.effects) if (e.is(setCoverage)) marks = e.value;
    return marks;
  },
});

function marksOf(doc, c) {
  const at = [];
  for (const [lines, mark] of [[c?.covered, reached], [c?.uncovered, missed]]) {
    for (const n of lines ?? []) if (n <= doc.lines) at.push(mark.range(doc.line(n).from));
  }
  return RangeSet.of(at, true);
}

// place turns a line and a column of code points into a range that can be seen.
function place(doc, d) {
  if (d.line < 1 || d.line > doc.lines) return { from: 0, to: 0 };
  const line = doc.line(d.line);
  const from = line.from + [...line.text].slice(0, Math.max(0, d.column - 1)).join("").length;
  const rest = line.text.slice(from - line.from);
  const word = rest.match(/^(?:[\w.]+|"(?:[^"\\]|\\.)*"|\S)/)?.[0] ?? "";
  return word ? { from, to: from + word.length } : { from: line.from + line.text.search(/\S|$/), to: line.to };
}

const typing = 350, resting = 900; // milliseconds of quiet before a check and before the tests

class Checker {
  constructor(view, settings) {
    this.view = view;
    this.settings = settings;
    this.later(0, false);
  }
  update(u) {
    if (u.docChanged) this.later(typing, false);
  }
  destroy() {
    clearTimeout(this.timer);
    this.running?.abort();
  }
  later(wait, tests) {
    clearTimeout(this.timer);
    this.running?.abort();
    this.settings.status.textContent = say("checking");
    this.settings.status.dataset.state = "";
    this.timer = setTimeout(() => this.run(tests), wait);
  }
  async run(tests) {
    const running = (this.running = new AbortController());
    const { doc } = this.view.state;
    let answer;
    try {
      const response = await fetch(this.settings.url, {
        method: "POST", signal: running.signal,
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify({ file: this.settings.file, text: doc.toString(), tests }),
      });
      answer = await response.json();
      if (!response.ok) {
        this.settings.status.textContent = answer.error?.code === "limit" ? say("limit") : say("unchecked");
        return;
      }
    } catch {
      if (!running.signal.aborted) this.settings.status.textContent = say("unchecked");
      return;
    }
    if (running.signal.aborted || this.view.state.doc !== doc) return;
    this.show(doc, answer, tests);
    if (!tests && answer.errors === 0) this.timer = setTimeout(() => this.run(true), resting);
  }
  show(doc, answer, tests) {
    const here = [], elsewhere = [];
    for (const d of answer.diagnostics) {
      if (d.file === this.settings.file) here.push({ ...place(doc, d), severity: d.severity, message: d.message, source: d.code });
      else elsewhere.push(d);
    }
    this.view.dispatch(setDiagnostics(this.view.state, here));
    if (tests) this.view.dispatch({ effects: setCoverage.of(marksOf(doc, answer.coverage)) });
    const s = this.settings;
    s.elsewhere.replaceChildren(...elsewhere.map((d) => {
      const li = element("li");
      li.append(element("code", "", d.line ? `${d.file}:${d.line}` : d.file), " ", d.message);
      return li;
    }));
    s.elsewhere.parentElement.hidden = elsewhere.length === 0;
    const parts = [answer.errors ? say("errors", answer.errors) : say("compiles")];
    if (answer.warnings) parts.push(say("warnings", answer.warnings));
    if (tests) parts.push(!answer.tests ? say("untested") : answer.failed ? say("failed", answer.failed, answer.tests) : say("passed", answer.tests));
    if (tests && answer.coverage) parts.push(say("reach", answer.coverage.percent));
    s.status.textContent = parts.join(" · ");
    s.status.dataset.state = answer.errors ? "bad" : answer.warnings ? "warn" : "good";
    s.status.dataset.tested = String(tests);
  }
}

export function checking(settings) {
  return [coverage, gutter({ class: "cm-coverage", markers: (v) => v.state.field(coverage), initialSpacer: () => reached }), ViewPlugin.define((view) => new Checker(view, settings))];
}
