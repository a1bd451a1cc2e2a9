for (const place of document.querySelectorAll("[data-print]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet";
  button.textContent = document.body.dataset.sayPrint;
  button.addEventListener("click", () => print());
  place.replaceWith(button);
}
