// A button beside values that are meant to be copied.
const words = document.body.dataset;
if (navigator.clipboard) {
  for (const value of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy no-print";
    button.textContent = words.sayCopy;
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(value.dataset.copy || value.textContent.trim());
      button.textContent = words.sayCopied;
      setTimeout(() => { button.textContent = words.sayCopy; }, 1600);
    });
    value.after(button);
  }
}
