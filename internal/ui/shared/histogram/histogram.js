// A stretch of time is chosen by dragging over the picture. Without this, each
// bar leads to its own stretch.
for (const bars of document.querySelectorAll("svg.bars")) {
  const groups = [...bars.querySelectorAll("g")];
  const band = bars.querySelector(".dragged");
  let from = -1, to = -1, moved = false;
  const at = (event) => {
    const box = bars.getBoundingClientRect();
    return Math.min(groups.length - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * groups.length)));
  };
  const draw = () => {
    band.setAttribute("x", 10 * Math.min(from, to));
    band.setAttribute("width", moved ? 10 * (Math.abs(to - from) + 1) : 0);
  };
  const end = () => {
    from = -1;
    moved = false;
    draw();
    bars.classList.remove("dragging");
  };
  bars.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = to = at(event);
    moved = false;
  });
  bars.addEventListener("pointermove", (event) => {
    if (from < 0) return;
    to = at(event);
    if (to !== from && !moved) {
      moved = true;
      bars.setPointerCapture(event.pointerId);
      bars.classList.add("dragging");
    }
    draw();
  });
  bars.addEventListener("pointerup", (event) => {
    if (from < 0) return;
    if (!moved) { end(); return; }
    event.preventDefault();
    const first = groups[Math.min(from, to)].dataset.from, last = groups[Math.max(from, to)].dataset.to;
    const q = `${bars.dataset.base} since:${first} until:${last}`.trim();
    location.assign(`${bars.dataset.path}?q=${encodeURIComponent(q)}`);
    bars.dataset.went = "yes";
    end();
  });
  bars.addEventListener("pointercancel", end);
  bars.addEventListener("dragstart", (event) => event.preventDefault());
  // The link under the end of a drag is not meant.
  bars.addEventListener("click", (event) => {
    if (bars.dataset.went) { event.preventDefault(); delete bars.dataset.went; }
  }, true);
}
