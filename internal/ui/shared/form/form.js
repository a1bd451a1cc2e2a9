// A form is sent once: a second press while the answer is on its way does nothing.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

// Buttons that ask before they do something that cannot be taken back.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-ask]");
  if (button && !confirm(button.dataset.ask)) event.preventDefault();
});

// A switch that shows what is typed into password fields.
for (const place of document.querySelectorAll("[data-reveal]")) {
  const fields = place.closest("form").querySelectorAll("input[type=password]");
  const label = document.createElement("label");
  label.className = "check small";
  const box = document.createElement("input");
  box.type = "checkbox";
  const words = document.createElement("span");
  words.textContent = fields.length > 1 ? document.body.dataset.sayReveals : document.body.dataset.sayReveal;
  label.append(box, words);
  box.addEventListener("change", () => {
    for (const f of fields) f.type = box.checked ? "text" : "password";
  });
  place.closest("form").addEventListener("submit", () => {
    for (const f of fields) f.type = "password";
  });
  place.append(label);
}
