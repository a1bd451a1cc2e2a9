// What may be typed next in a query, from what the page knows. Without this the
// query is typed as it is.
for (const input of document.querySelectorAll("input[data-suggest]")) {
  const form = input.form;
  const box = form.querySelector(".suggestions");
  const known = [...document.getElementById(input.dataset.suggest).children].map((o) => ({ text: o.value, label: o.textContent }));
  let chosen = -1;
  box.id = input.id + "-known";
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-controls", box.id);
  input.setAttribute("aria-expanded", "false");

  // The term that the cursor stands in.
  const term = () => {
    const at = input.selectionStart ?? input.value.length;
    const from = Math.max(...[" ", "(", ","].map((c) => input.value.lastIndexOf(c, at - 1))) + 1;
    const text = input.value.slice(from, at);
    return { from: text.startsWith("-") ? from + 1 : from, at, text: text.replace(/^-/, "") };
  };
  const close = () => {
    box.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (n) => {
    chosen = n;
    [...box.children].forEach((li, i) => {
      li.setAttribute("aria-selected", i === n ? "true" : "false");
      if (i === n) li.scrollIntoView({ block: "nearest" });
    });
    if (n >= 0) input.setAttribute("aria-activedescendant", box.children[n].id);
  };
  const take = (text) => {
    const t = term();
    const open = text.endsWith(":");
    const rest = input.value.slice(t.at).replace(/^[^\s,)]*/, "");
    input.value = input.value.slice(0, t.from) + text + (open || rest.startsWith(" ") ? "" : " ") + rest;
    const to = t.from + text.length + (open ? 0 : 1);
    input.setSelectionRange(to, to);
    input.focus();
    if (open) suggest(); else close();
  };
  const suggest = () => {
    const wanted = term().text.toLowerCase();
    const colon = wanted.indexOf(":");
    const fits = ({ text, label }) => {
      const low = text.toLowerCase();
      if (low === wanted) return false;
      if (colon < 0) return text.endsWith(":") ? low.startsWith(wanted) : wanted.length > 1 && low.slice(low.indexOf(":") + 1).startsWith(wanted);
      const field = wanted.slice(0, colon + 1), value = wanted.slice(colon + 1);
      return low.startsWith(field) && !text.endsWith(":") && (low.slice(colon + 1).includes(value) || label.toLowerCase().includes(value));
    };
    const found = wanted === "" ? [] : known.filter(fits).slice(0, 8);
    box.replaceChildren(...found.map((k, i) => {
      const li = document.createElement("li");
      li.id = box.id + "-" + i;
      li.setAttribute("role", "option");
      const text = document.createElement("span"), label = document.createElement("span");
      text.className = "mono";
      text.textContent = k.text;
      label.textContent = k.label;
      li.append(text, label);
      li.addEventListener("mousedown", (event) => { event.preventDefault(); take(k.text); });
      return li;
    }));
    if (found.length === 0) { close(); return; }
    box.hidden = false;
    input.setAttribute("aria-expanded", "true");
    choose(-1);
  };
  input.addEventListener("input", suggest);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (box.hidden) return;
    const n = box.children.length;
    switch (event.key) {
      case "ArrowDown": choose((chosen + 1) % n); break;
      case "ArrowUp": choose((chosen + n - 1) % n); break;
      case "Tab":
      case "Enter":
        if (chosen < 0) { close(); return; }
        take(known.find((k) => k.text === box.children[chosen].firstChild.textContent).text);
        break;
      case "Escape": close(); break;
      default: return;
    }
    event.preventDefault();
  });
}
// The slash key leads to the query, as elsewhere on the web.
document.addEventListener("keydown", (event) => {
  const input = document.querySelector("input[data-suggest]");
  if (!input || event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  input.focus();
});
