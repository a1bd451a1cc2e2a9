// What the page says stands in its own language on an element; nothing is worded here.
let place = document.body.dataset;

export function readFrom(element) {
  place = element.dataset;
}

// say returns the words called name with values for {1}, {2} and so on.
export function say(name, ...values) {
  const words = place["say" + name[0].toUpperCase() + name.slice(1)] ?? "";
  return words.replace(/\{(\d)\}/g, (_, i) => values[i - 1] ?? "");
}

// phrases are the words of the editor's own panels.
export function phrases() {
  return {
    "Find": say("find"), "Replace": say("replace"), "next": say("next"), "previous": say("previous"), "all": say("all"),
    "match case": say("case"), "regexp": say("pattern"), "by word": say("word"), "replace": say("replaceone"), "replace all": say("replaceall"),
    "close": say("close"), "current match": say("match"), "replaced $ matches": say("replaced"), "replaced match on line $": say("replacedline"), "on line": say("online"),
    "Go to line": say("toline"), "go": say("go"), "Diagnostics": say("problems"), "No diagnostics": say("noproblems"), "Completions": say("completions"),
    "Control character": say("hidden"), "Selection deleted": say("deleted"),
  };
}

export function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text) e.textContent = text;
  return e;
}
