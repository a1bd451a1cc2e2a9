// Lines are added as they come. A pause closes the stream; going on asks for
// everything after the last line that came.
for (const table of document.querySelectorAll("table[data-stream]")) {
  const most = 500;
  const body = table.tBodies[0];
  const state = document.querySelector(".live-state"), words = state.querySelector(".live-words"), counter = state.querySelector(".live-count");
  const pause = document.querySelector(".live-pause");
  const at = new URL(table.dataset.stream, location);
  let stream = null, count = 0;
  const say = (name) => {
    state.className = `live-state live-${name}`;
    words.textContent = state.dataset["say" + name[0].toUpperCase() + name.slice(1)];
  };
  const note = (event) => { if (event.lastEventId) at.searchParams.set("from", event.lastEventId); };
  const open = () => {
    stream = new EventSource(at);
    stream.onopen = () => say("open");
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) over();
      else say("wait");
    };
    stream.addEventListener("at", note);
    stream.addEventListener("over", over);
    stream.addEventListener("lines", (event) => {
      note(event);
      const part = new DOMParser().parseFromString(`<table><tbody>${event.data}</tbody></table>`, "text/html");
      const rows = [...part.querySelectorAll("tr")];
      count += rows.length;
      counter.textContent = `${count} ${counter.dataset.sayCount}`;
      counter.hidden = false;
      const shown = rows.slice(-most).reverse(); // they come in order, and the newest stands first
      for (const row of shown) row.className = "came";
      body.prepend(...shown);
      while (body.rows.length > most) body.rows[body.rows.length - 1].remove();
    });
  };
  const over = () => {
    stream?.close();
    stream = null;
    say("over");
    pause.hidden = true;
  };
  pause.hidden = false;
  document.querySelector(".live-refresh").hidden = true;
  pause.addEventListener("click", () => {
    if (stream) {
      stream.close();
      stream = null;
      say("paused");
      pause.textContent = pause.dataset.sayOn;
    } else {
      pause.textContent = pause.dataset.sayPause;
      open();
    }
  });
  addEventListener("pagehide", () => stream?.close());
  addEventListener("pageshow", (event) => { if (event.persisted && stream) open(); });
  open();
}
