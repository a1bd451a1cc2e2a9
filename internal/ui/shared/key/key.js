// Forms that a passkey or security key answers. The server's question stands in
// the form; the key's answer goes back as an ordinary post.
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const withBytes = (list) => (list || []).map((k) => ({ ...k, id: bytes(k.id) }));

async function ask(kind, options) {
  const q = { ...options.publicKey, challenge: bytes(options.publicKey.challenge) };
  if (kind === "create") {
    q.user = { ...q.user, id: bytes(q.user.id) };
    q.excludeCredentials = withBytes(q.excludeCredentials);
    return navigator.credentials.create({ publicKey: q });
  }
  q.allowCredentials = withBytes(q.allowCredentials);
  return navigator.credentials.get({ publicKey: q });
}

function written(key) {
  const r = key.response;
  const response = { clientDataJSON: text(r.clientDataJSON) };
  if (r.attestationObject) {
    response.attestationObject = text(r.attestationObject);
    if (r.getTransports) response.transports = r.getTransports();
  } else {
    response.authenticatorData = text(r.authenticatorData);
    response.signature = text(r.signature);
    if (r.userHandle) response.userHandle = text(r.userHandle);
  }
  return JSON.stringify({ id: key.id, rawId: text(key.rawId), type: key.type, response, clientExtensionResults: {} });
}

for (const form of document.querySelectorAll("form[data-key]")) {
  const say = (word) => {
    for (const p of form.querySelectorAll("[data-key-word]")) p.hidden = p.dataset.keyWord !== word;
  };
  if (!window.PublicKeyCredential || !navigator.credentials) {
    say("unsupported");
    continue;
  }
  const button = form.querySelector("button");
  button.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    if (button.disabled) return;
    button.disabled = true;
    say("");
    try {
      form.elements.answer.value = written(await ask(form.dataset.key, JSON.parse(form.dataset.options)));
      form.submit();
    } catch (fault) {
      say(fault.name === "InvalidStateError" ? "known" : "stopped");
      button.disabled = false;
    }
  });
}
