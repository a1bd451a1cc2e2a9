// What policies can read, call and say, read from the page that explains it,
// in its words and its language: for completion and for what a name means.
import { StateEffect, StateField } from "@codemirror/state";
import { hoverTooltip, showTooltip } from "@codemirror/view";
import { snippetCompletion } from "@codemirror/autocomplete";
import { syntaxTree } from "@codemirror/language";
import { element, say } from "./words.js";
import { keywords } from "./rego.js";

const known = new Map(); // entries by kind and name
const children = new Map(); // the fields of a path: their entries

const kindOf = { field: "property", rule: "keyword", obligation: "property", reason: "constant", builtin: "function", forbidden: "function" };

export async function load(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const e of page.querySelectorAll("[data-contract]")) {
    const { contract: kind, name, type, values, snippet } = e.dataset;
    const entry = { kind, name, type, snippet, values: values?.split(" ").filter(Boolean) ?? [], text: e.querySelector("dd")?.textContent.trim() ?? "" };
    known.set(kind + " " + name, entry);
    if (kind !== "field") continue;
    const at = name.lastIndexOf(".");
    if (at < 0 || name.endsWith('"]')) continue;
    const parent = name.slice(0, at);
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push({ ...entry, last: name.slice(at + 1) });
  }
}

const path = String.raw`[A-Za-z_]\w*(?:\.\w+|\[[^\]\n]*\])*`;

// settled writes a reference as the contract names it, looking up what a local
// name stands for: some a in input.facts.agreements makes a an item of it.
function settled(reference, above, depth = 0) {
  const whole = reference.replace(/\[\s*"([A-Za-z_]\w*)"\s*\]/g, ".$1").replace(/\[[^\]]*\]/g, "[]");
  const head = whole.match(/^\w+/)?.[0];
  if (!head || head === "input" || head === "data" || depth > 4) return whole;
  const one = [...above.matchAll(new RegExp(String.raw`\b(?:some|every)\s+(?:\w+\s*,\s*)?${head}\s+in\s+(${path})`, "g"))].at(-1);
  if (one) return settled(one[1], above.slice(0, one.index), depth + 1) + "[]" + whole.slice(head.length);
  const is = [...above.matchAll(new RegExp(String.raw`\b${head}\s*:=\s*(${path})\s*(?:\n|$|;|})`, "g"))].at(-1);
  if (is) return settled(is[1], above.slice(0, is.index), depth + 1) + whole.slice(head.length);
  return whole;
}

function about(entry) {
  const dom = element("div", "cm-doc");
  dom.setAttribute("role", "status");
  const head = element("p");
  head.append(element("code", "", entry.name + (entry.type ? (entry.kind === "builtin" ? entry.type : " : " + entry.type) : "")));
  dom.append(head);
  if (entry.kind === "forbidden") dom.append(element("p", "withheld", say("withheld")));
  if (entry.text) dom.append(element("p", "", entry.text));
  if (entry.values.length > 0) {
    const p = element("p");
    p.append(element("code", "", entry.values.join(", ")));
    dom.append(p);
  }
  return dom;
}

function option(entry, label, boost = 0) {
  const o = { label, type: kindOf[entry.kind], detail: entry.kind === "builtin" ? "" : entry.type, info: () => about(entry), boost };
  return entry.snippet ? snippetCompletion(entry.snippet, o) : o;
}

function inside(state, pos, kind) {
  for (let n = syntaxTree(state).resolveInner(pos, -1); n; n = n.parent) if (n.name.includes(kind)) return true;
  return false;
}

const ofKind = (kind) => [...known.values()].filter((e) => e.kind === kind);

// withinString offers what the contract gives for the field that is compared,
// and the obligations' names.
function withinString(cx, line, above) {
  const typed = cx.matchBefore(/"[\w. -]*/);
  if (!typed) return null;
  const before = line.slice(0, typed.from - cx.state.doc.lineAt(cx.pos).from);
  const compared = before.match(new RegExp(String.raw`(${path})\s*(?:==|!=|:=|in\s*[{\[][^}\]]*)\s*$`))?.[1] ?? before.match(new RegExp(String.raw`(?:==|!=)?\s*(${path})\[\s*$`))?.[1];
  const field = compared && known.get("field " + settled(compared, above));
  if (field?.values.length) return { from: typed.from + 1, options: field.values.map((v) => ({ label: v, type: "constant" })) };
  if (/"in\b|^\s*in\b/.test(line.slice(typed.to - cx.state.doc.lineAt(cx.pos).from))) {
    const list = line.match(new RegExp(String.raw`in\s+(${path})`))?.[1];
    const values = list && known.get("field " + settled(list, above))?.values;
    if (values?.length) return { from: typed.from + 1, options: values.map((v) => ({ label: v, type: "constant" })) };
  }
  if (/[{,]\s*$/.test(before) && /\bobligations\b/.test(above.slice(-400))) return { from: typed.from + 1, options: ofKind("obligation").map((e) => option(e, e.name)) };
  if (/"code"\s*:\s*$|\bcode\s*==\s*$/.test(before)) return { from: typed.from + 1, options: ofKind("reason").map((e) => option(e, e.name)) };
  return null;
}

export function complete(cx) {
  const line = cx.state.doc.lineAt(cx.pos).text;
  const above = cx.state.sliceDoc(0, cx.pos);
  if (inside(cx.state, cx.pos, "comment")) return null;
  if (inside(cx.state, cx.pos, "string")) return withinString(cx, line, above);
  const ref = cx.matchBefore(new RegExp(path + String.raw`\.\w*`)) ?? cx.matchBefore(new RegExp(path + String.raw`\.`));
  if (ref) {
    const at = ref.text.lastIndexOf(".");
    const parent = settled(ref.text.slice(0, at), above.slice(0, above.length - ref.text.length));
    const found = children.get(parent);
    if (found) return { from: ref.from + at + 1, options: found.map((e) => option(e, e.last)), validFor: /^\w*$/ };
    if (parent.startsWith("input")) return null;
  }
  const word = cx.matchBefore(/[A-Za-z_][\w.]*/);
  if (!word && (!cx.explicit || /[\w.]$/.test(above))) return null;
  const from = word?.from ?? cx.pos;
  const atStart = /^\s*[\w.]*$/.test(line.slice(0, cx.pos - cx.state.doc.lineAt(cx.pos).from)) && cx.state.doc.lineAt(cx.pos).from === from;
  const options = [{ label: "input", type: "variable", boost: 2 }, { label: "data", type: "variable" }];
  for (const k of [...keywords, "true", "false", "null"]) options.push({ label: k, type: "keyword", boost: 1 });
  if (atStart) for (const e of ofKind("rule")) options.push(option(e, e.name, 3));
  for (const e of ofKind("builtin")) options.push(option(e, e.name));
  const seen = new Set(options.map((o) => o.label));
  for (const [name] of cx.state.doc.toString().matchAll(/\b[A-Za-z_]\w{2,}\b(?=\s*(?::=|\(|\[|if\b|contains\b))/g)) {
    if (!seen.has(name)) options.push({ label: name, type: "variable", boost: 1 });
    seen.add(name);
  }
  return { from, options, validFor: /^[\w.]*$/ };
}

// meaning finds what is known of the name at a place.
function meaning(state, pos) {
  const line = state.doc.lineAt(pos);
  const at = pos - line.from;
  if (inside(state, pos, "comment")) return null;
  for (const m of line.text.matchAll(/"(\w+)"/g)) {
    if (at < m.index || at > m.index + m[0].length) continue;
    const entry = known.get("reason " + m[1]) ?? known.get("obligation " + m[1]);
    if (entry) return { pos: line.from + m.index, end: line.from + m.index + m[0].length, above: true, create: () => ({ dom: about(entry) }) };
  }
  for (const m of line.text.matchAll(new RegExp(path, "g"))) {
    if (at < m.index || at > m.index + m[0].length) continue;
    // What is pointed at ends the name: of input.facts.vendor, facts is a part.
    let end = at - m.index;
    while (end < m[0].length && /[\w\]]/.test(m[0][end])) end++;
    const part = m[0].slice(0, end);
    const entry = known.get("field " + settled(part, state.sliceDoc(0, line.from + m.index))) ?? known.get("builtin " + m[0]) ?? known.get("forbidden " + m[0]) ?? known.get("rule " + part);
    if (entry) return { pos: line.from + m.index, end: line.from + m.index + (entry.kind === "field" ? end : m[0].length), above: true, create: () => ({ dom: about(entry) }) };
  }
  return null;
}

const setMeaning = StateEffect.define();

// asked is the meaning that the keyboard asked for.
const asked = StateField.define({
  create: () => null,
  update(shown, tr) {
    for (const e of tr.effects) if (e.is(setMeaning)) return e.value;
    return tr.docChanged || tr.selection ? null : shown;
  },
  provide: (f) => showTooltip.from(f),
});

// ask shows what the name at the cursor means, and takes it away again.
export function ask(view) {
  const shown = view.state.field(asked);
  view.dispatch({ effects: setMeaning.of(shown ? null : meaning(view.state, view.state.selection.main.head)) });
  return true;
}

export const meanings = [asked, hoverTooltip((view, pos) => meaning(view.state, pos), { hideOnChange: true })];
