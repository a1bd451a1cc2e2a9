// The reader's own browser computes the proof again: every hash, and where it
// can, the signature.
for (const card of document.querySelectorAll(".proof-card[data-payload]")) {
  if (!globalThis.crypto?.subtle) continue;
  const place = card.querySelector(".proof-browser");
  const says = place.querySelector("[role=status]");
  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const text = (b) => btoa(String.fromCharCode(...b));
  const hash = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer()));
  const signature = async () => {
    const key = bytes(card.dataset.key.split("+").slice(2).join("+"));
    const signed = bytes(card.dataset.signature.trim().split(" ").at(-1));
    const k = await crypto.subtle.importKey("raw", key.slice(1), "Ed25519", false, ["verify"]);
    return crypto.subtle.verify("Ed25519", k, signed.slice(4), bytes(card.dataset.signed));
  };
  place.hidden = false;
  place.querySelector("button").addEventListener("click", async () => {
    let at, good = true;
    for (const li of card.querySelectorAll("[data-step]")) {
      const { step, other, hash: want } = li.dataset;
      if (step === "leaf") at = await hash(new Uint8Array([0]), bytes(card.dataset.payload));
      else if (step === "left") at = await hash(new Uint8Array([1]), bytes(other), at);
      else at = await hash(new Uint8Array([1]), at, bytes(other));
      const fits = text(at) === want;
      good &&= fits;
      li.classList.add(fits ? "fits" : "wrong-step");
      li.title = fits ? card.dataset.sayFits : card.dataset.sayWrong;
    }
    good &&= text(at) === card.dataset.root && new TextDecoder().decode(bytes(card.dataset.signed)).split("\n")[2] === card.dataset.root;
    let second = card.dataset.sayCannot;
    try {
      const holds = await signature();
      good &&= holds;
      second = holds ? card.dataset.saySigned : card.dataset.sayUnsigned;
    } catch { /* an older browser; the hashes are checked all the same */ }
    says.className = good ? "" : "bad-text";
    says.textContent = `${good ? card.dataset.sayAll : card.dataset.sayBad} ${second}`;
  });
}
