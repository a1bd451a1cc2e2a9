// How the editor looks: the pages' own colours, which reach into it as custom
// properties. It stands in a shadow root, so that its style sheets are adopted
// and the content security policy needs no exception. Pictures in style sheets
// would need one: what the libraries draw with them is drawn otherwise here.
import { EditorView } from "@codemirror/view";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { tags as t } from "@lezer/highlight";

const wavy = (colour) => ({ backgroundImage: "none", paddingBottom: "0", textDecoration: `underline wavy var(--${colour}) 1.5px`, textUnderlineOffset: "3px", textDecorationSkipInk: "none" });
const mark = (sign, colour) => ({ content: `"${sign}"`, color: `var(--${colour})`, font: "700 .875rem/1 var(--sans)" });

const look = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--surface)", border: "1px solid var(--line-2)", borderRadius: "var(--radius-s)", fontSize: ".875rem" },
  "&.cm-focused": { outline: "3px solid var(--focus)", outlineOffset: "0" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", maxHeight: "72vh", overflow: "auto" },
  ".cm-content, .cm-gutter": { minHeight: "24rem" },
  ".cm-content": { caretColor: "var(--ink)", padding: "var(--s2) 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)", borderLeftWidth: "2px" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--ink-2)", border: "0", borderRight: "1px solid var(--line)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--sunken) 55%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "var(--accent-soft)", color: "var(--ink)" },
  "& > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--focus) 28%, transparent)" },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--focus) 14%, transparent)" },
  ".cm-searchMatch": { backgroundColor: "var(--warn-soft)", outline: "1px solid var(--warn)" },
  ".cm-searchMatch-selected": { backgroundColor: "var(--warn)", color: "var(--surface)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "1px solid var(--accent)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "var(--bad-soft)", outline: "1px solid var(--bad)" },
  ".cm-specialChar": { color: "var(--bad)", backgroundColor: "var(--bad-soft)" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--sunken)", border: "1px solid var(--line-2)", color: "var(--ink-2)" },

  ".cm-lintRange-error": wavy("bad"),
  ".cm-lintRange-warning": wavy("warn"),
  ".cm-lintRange-active": { backgroundColor: "var(--warn-soft)" },
  ".cm-lint-marker": { width: "1em", height: "1em", textAlign: "center" },
  ".cm-lint-marker-error": mark("✕", "bad"),
  ".cm-lint-marker-warning": mark("▲", "warn"),
  ".cm-diagnostic": { padding: "var(--s2) var(--s3)", fontFamily: "var(--sans)", fontSize: ".875rem", whiteSpace: "pre-wrap", overflowWrap: "anywhere" },
  ".cm-diagnostic-error": { borderLeft: "4px solid var(--bad)" },
  ".cm-diagnostic-warning": { borderLeft: "4px solid var(--warn)" },

  ".cm-coverage": { width: ".75rem", cursor: "default" },
  ".cm-coverage .cm-gutterElement": { padding: "0 1px" },
  ".cm-covered": { display: "block", height: "100%", borderLeft: "4px solid var(--good)" },
  ".cm-uncovered": { display: "block", height: "100%", borderLeft: "4px dotted var(--bad)" },

  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--ink)", border: "1px solid var(--line-2)", borderRadius: "var(--radius-s)", boxShadow: "var(--shadow)", maxWidth: "min(38rem, 92vw)", zIndex: "20" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: ".125rem var(--s3)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--accent-ink)" },
  ".cm-completionDetail": { fontStyle: "normal", opacity: ".8", marginLeft: "var(--s3)" },
  ".cm-completionIcon": { display: "none" },
  ".cm-completionInfo": { padding: "var(--s2) var(--s3)", fontFamily: "var(--sans)", width: "max-content", maxWidth: "min(24rem, 80vw)" },
  ".cm-doc": { padding: "var(--s2) var(--s3)", fontFamily: "var(--sans)", fontSize: ".875rem", lineHeight: "1.45" },
  ".cm-doc code": { fontFamily: "var(--mono)", fontSize: ".8125rem", overflowWrap: "anywhere" },
  ".cm-doc p": { margin: "0" },
  ".cm-doc p + p": { marginTop: "var(--s1)" },
  ".cm-doc .withheld": { color: "var(--bad)", fontWeight: "600" },

  ".cm-panels": { backgroundColor: "var(--sunken)", color: "var(--ink)" },
  ".cm-panels.cm-panels-top": { borderBottom: "1px solid var(--line)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-panel.cm-search": { padding: "var(--s3)", display: "flex", flexWrap: "wrap", gap: "var(--s2)", alignItems: "center", fontFamily: "var(--sans)" },
  ".cm-panel.cm-search br": { flexBasis: "100%", content: '""', display: "block" },
  ".cm-panel.cm-search label": { fontSize: ".8125rem", display: "inline-flex", alignItems: "center", gap: "var(--s1)", margin: "0" },
  ".cm-textfield": { backgroundColor: "var(--surface)", color: "var(--ink)", border: "1px solid var(--line-2)", borderRadius: "var(--radius-s)", padding: ".375rem .5rem", margin: "0", fontSize: ".875rem", fontFamily: "var(--mono)" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--surface)", color: "var(--ink)", border: "1px solid var(--line-2)", borderRadius: "var(--radius-s)", padding: ".375rem .75rem", margin: "0", fontSize: ".8125rem", fontFamily: "var(--sans)", cursor: "pointer" },
  ".cm-button:hover": { backgroundColor: "var(--accent-soft)" },
  ".cm-button:active": { backgroundImage: "none" },
  ".cm-button:focus-visible, .cm-textfield:focus-visible, .cm-panel button:focus-visible, .cm-panel input:focus-visible": { outline: "3px solid var(--focus)", outlineOffset: "1px" },
  ".cm-panel.cm-search [name=close], .cm-panel.cm-panel-lint [name=close], .cm-dialog-close": { color: "var(--ink)", fontSize: "1.25rem", padding: "0 var(--s2)", cursor: "pointer" },
  ".cm-panel.cm-panel-lint ul": { maxHeight: "10rem" },
  ".cm-panel.cm-panel-lint ul [aria-selected]": { backgroundColor: "var(--accent-soft)" },
});

const colours = HighlightStyle.define([
  { tag: t.keyword, color: "var(--accent)", fontWeight: "600" },
  { tag: t.comment, color: "var(--ink-2)", fontStyle: "italic" },
  { tag: t.string, color: "var(--good)" },
  { tag: [t.number, t.atom, t.bool, t.null], color: "var(--warn)" },
  { tag: t.special(t.variableName), color: "var(--focus)", fontWeight: "600" },
  { tag: t.definition(t.variableName), fontWeight: "600" },
  { tag: t.function(t.variableName), color: "var(--focus)" },
  { tag: t.propertyName, color: "var(--ink)" },
]);

export const theme = [look, syntaxHighlighting(colours)];
