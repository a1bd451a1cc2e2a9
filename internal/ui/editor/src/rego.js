// The words of Rego, for colours, indentation and comments.
import { StreamLanguage } from "@codemirror/language";

export const keywords = new Set(["package", "import", "as", "default", "else", "some", "every", "in", "if", "contains", "with", "not", "and", "or"]);
const constants = new Set(["true", "false", "null"]);
const roots = new Set(["input", "data"]);
const name = /^[A-Za-z_]\w*/;

// A string ends with the quote that began it; in a template, braces hold code.
function text(stream, state) {
  const top = state.open.at(-1);
  for (let c; (c = stream.next()); ) {
    if (c === top.quote) {
      state.open.pop();
      return "string";
    }
    if (c === "\\" && top.quote === '"') stream.next();
    else if (c === "{" && top.template) {
      state.open.push({ depth: 0 });
      return "string";
    }
  }
  if (top.quote === '"' && !top.template) state.open.pop(); // it cannot go over lines
  return "string";
}

function code(stream, state) {
  const top = state.open.at(-1);
  const c = stream.next();
  switch (c) {
    case "#":
      stream.skipToEnd();
      return "comment";
    case '"':
    case "`":
      state.open.push({ quote: c });
      return text(stream, state);
    case "$":
      if (stream.peek() === '"' || stream.peek() === "`") {
        state.open.push({ quote: stream.next(), template: true });
        return text(stream, state);
      }
      return null;
    case "{":
      if (top) top.depth++;
      else state.level++;
      return "bracket";
    case "}":
      if (top?.depth === 0) {
        state.open.pop();
        return "string";
      }
      if (top) top.depth--;
      else state.level = Math.max(0, state.level - 1);
      return "bracket";
    case "(":
    case "[":
      state.level++;
      return "bracket";
    case ")":
    case "]":
      state.level = Math.max(0, state.level - 1);
      return "bracket";
  }
  if (/\d/.test(c)) {
    stream.match(/^\d*(\.\d+)?([eE][+-]?\d+)?/);
    return "number";
  }
  if (!/[A-Za-z_]/.test(c)) {
    stream.eatWhile(/[:=<>!|&+\-*/%]/);
    return /[:=<>!|&+\-*/%]/.test(c) ? "operator" : null;
  }
  stream.backUp(1);
  const atStart = stream.sol();
  const word = stream.match(name)[0];
  const after = stream.string[stream.start - 1] === ".";
  if (after) return "propertyName";
  if (constants.has(word)) return "atom";
  if (keywords.has(word)) return "keyword";
  if (roots.has(word)) return "variableName.special";
  if (atStart) return "variableName.definition";
  if (/^[\w.]*\(/.test(stream.string.slice(stream.pos))) return "variableName.function";
  return "variableName";
}

export const rego = StreamLanguage.define({
  name: "rego",
  startState: () => ({ level: 0, open: [] }),
  copyState: (s) => ({ level: s.level, open: s.open.map((o) => ({ ...o })) }),
  token(stream, state) {
    const top = state.open.at(-1);
    if (top?.quote) return text(stream, state);
    if (stream.eatSpace()) return null;
    return code(stream, state);
  },
  // As the formatter has it: one unit for each bracket that is open.
  indent(state, after, cx) {
    if (state.open.length > 0) return null;
    return Math.max(0, state.level - (/^\s*[)\]}]/.test(after) ? 1 : 0)) * cx.unit;
  },
  languageData: {
    commentTokens: { line: "#" },
    closeBrackets: { brackets: ["(", "[", "{", '"', "`"] },
    indentOnInput: /^\s*[\])}]$/,
  },
});
