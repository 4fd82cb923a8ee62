// Everything works without this. It keeps what is typed until it is accepted, and shows how far an upload is.
"use strict";
const KEY = "amends-draft", DAY_MS = 86400000;

const store = {
  read() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY));
      return kept && Date.now() - kept.at < DAY_MS ? kept.typed : null;
    } catch { return null; }
  },
  write(typed) { try { localStorage.setItem(KEY, JSON.stringify({ at: Date.now(), typed })); } catch { /* full or off */ } },
  clear() { try { localStorage.removeItem(KEY); } catch { /* off */ } },
};

const fields = (form) => [...form.elements].filter((e) => e.name && !["file", "checkbox", "radio"].includes(e.type));

function draft(form) {
  const zone = form.elements.time_zone;
  if (!zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  const kept = store.read();
  if (kept && form.dataset.draft === "restore")
    // The form's number comes back, too: what was sent and whose answer was lost is then the same complaint.
    for (const e of fields(form)) if (kept[e.name] && (!e.value || e.type === "hidden")) e.value = kept[e.name];
  form.addEventListener("input", () => store.write(Object.fromEntries(fields(form).map((e) => [e.name, e.value]))));
  for (const e of form.querySelectorAll(".script")) e.hidden = false;
  form.querySelector("[data-clear]").addEventListener("click", () => { store.clear(); location.replace(location.href); });
}

function uploading(form) {
  form.addEventListener("submit", (event) => {
    const files = form.querySelector("input[type=file]"), shown = form.querySelector(".progress");
    const bar = shown?.querySelector("progress"), said = shown?.querySelector("p");
    const button = form.querySelector("button:not([type])");
    if (!files || !files.files.length) { setTimeout(() => { button.disabled = true; }); return; }
    event.preventDefault();
    button.disabled = true;
    shown.hidden = false;
    bar.value = 0;
    said.textContent = "";
    const request = new XMLHttpRequest();
    request.upload.onprogress = (e) => { bar.value = 100 * e.loaded / e.total; };
    // A bar that stands at its end looks like one that hangs.
    request.upload.onload = () => { bar.value = 100; said.textContent = form.dataset.uploading; };
    const failed = () => { said.textContent = form.dataset.failed; button.disabled = false; };
    request.onerror = failed;
    request.ontimeout = failed;
    request.onload = () => {
      const there = new URL(request.responseURL), here = new URL(form.action);
      if (there.pathname !== here.pathname) { location.assign(there.href); return; }
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      if (!page.querySelector("main")) { failed(); return; }
      document.title = page.title;
      document.querySelector("main").replaceWith(page.querySelector("main"));
      begin();
    };
    request.open("POST", form.action);
    request.send(new FormData(form));
  });
}

function begin() {
  if (document.querySelector("[data-accepted]")) store.clear();
  for (const form of document.querySelectorAll("form[data-draft]")) draft(form);
  for (const form of document.querySelectorAll("form[data-uploading]")) uploading(form);
  document.querySelector("#problems")?.focus();
}

begin();
// A page that the browser kept for "back" has its button disabled still.
addEventListener("pageshow", (event) => { if (event.persisted) for (const b of document.querySelectorAll("button")) b.disabled = false; });
