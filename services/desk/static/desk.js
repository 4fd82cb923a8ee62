// What the desk's pages do beyond what they do without a script: count down, hear of changes, answer to keys, keep
// drafts. It puts no text into the page as HTML but what the server made, and evaluates none.
"use strict";
(() => {
  const phrases = JSON.parse(document.body.dataset.phrases);
  const skew = new Date(document.body.dataset.now) - Date.now(); // the server's clock is the one that counts
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const said = (phrase, values) => phrase.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  // Countdowns, by the rule of wording.py: the largest unit and the next smaller one.
  const UNITS = [["days", 86400], ["hours", 3600], ["minutes", 60], ["seconds", 1]];
  function lasting(seconds) {
    const left = Math.floor(Math.abs(seconds));
    const at = Math.max(UNITS.findIndex(([, size]) => left >= size), left ? 0 : UNITS.length - 1);
    const [[unit, size], smaller] = [UNITS[at], UNITS[at + 1]];
    const parts = [said(phrases[unit], { n: Math.floor(left / size) })];
    if (smaller && left % size >= smaller[1]) parts.push(said(phrases[smaller[0]], { n: Math.floor((left % size) / smaller[1]) }));
    return parts.join(" ");
  }
  function tick() {
    const now = Date.now() + skew;
    for (const time of all("[data-due]")) {
      const left = (new Date(time.dataset.due) - now) / 1000;
      const level = left < 0 ? "over" : left <= Number(time.dataset.soon) ? "soon" : "calm";
      const text = said(phrases[level === "calm" ? "left" : level], { time: lasting(left) });
      const shown = one("[data-text]", time);
      if (shown.textContent !== text) shown.textContent = text;
      if (!time.classList.contains(level)) {
        time.classList.remove("calm", "soon", "over");
        time.classList.add(level);
      }
    }
  }
  tick();
  setInterval(tick, 1000);

  // Live: nothing moves under the pointer. A line is renewed in its place if it would stay there, else it is counted.
  const table = one("table[data-queue]");
  const banner = one("[data-changed]");
  const ours = document.body.dataset.ticket;
  const moved = new Set();
  const waiting = new Set();
  let asking = null;

  function count(id) {
    moved.add(id);
    banner.textContent = said(phrases.changed_show, { count: moved.size > 99 ? "99+" : moved.size });
    banner.hidden = false;
  }
  function mark(line) {
    line.classList.add("is-changed");
    const label = one(".mark", line);
    if (label) label.hidden = false;
  }
  function stays(line, key) {
    const before = line.previousElementSibling, after = line.nextElementSibling;
    return (!before || before.dataset.key <= key) && (!after || key <= after.dataset.key);
  }
  // A line of another height would move those below it.
  function replaced(line, fresh) {
    const height = line.offsetHeight;
    line.replaceWith(fresh);
    const fits = fresh.offsetHeight === height || !table.matches(":hover");
    if (!fits) fresh.replaceWith(line);
    return fits;
  }
  async function renew() {
    asking = null;
    const ids = [...waiting].slice(0, 50);
    ids.forEach((id) => waiting.delete(id));
    const query = new URLSearchParams(table.dataset.query);
    ids.forEach((id) => query.append("id", id));
    const answer = await fetch(`/queue/rows?${query}`, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer || !answer.ok) return ids.forEach(count);
    const made = document.createElement("template");
    made.innerHTML = `<table><tbody>${await answer.text()}</tbody></table>`;
    for (const id of ids) {
      const line = one(`tr[data-id="${id}"]`, table), fresh = one(`tr[data-id="${id}"]`, made.content);
      if (!line) continue;
      const box = one("input[type=checkbox]", line), held = line.contains(document.activeElement) && document.activeElement;
      if (!fresh || !stays(line, fresh.dataset.key) || !replaced(line, fresh)) {
        mark(line);
        count(id);
        continue;
      }
      const freshBox = one("input[type=checkbox]", fresh);
      if (box && freshBox) freshBox.checked = box.checked;
      if (held) one(held.matches("input") ? "input" : "a.open", fresh)?.focus({ preventScroll: true });
      mark(fresh);
      fresh.classList.add("is-fresh");
    }
    if (waiting.size) asking = setTimeout(renew, 300);
    tick();
  }
  function changed(notice) {
    if (ours) {
      const isNews = notice.ticket_id === ours && (notice.gone || notice.version > Number(document.body.dataset.version));
      if (isNews) one("[data-ticket-changed]").hidden = false;
    }
    if (!banner) return;
    if (table && !notice.gone && one(`tr[data-id="${notice.ticket_id}"]`, table)) {
      waiting.add(notice.ticket_id);
      asking ??= setTimeout(renew, 300);
    } else {
      count(notice.ticket_id);
    }
  }
  const light = one("[data-live]");
  function mode(kind) {
    if (!light) return;
    light.className = `live ${kind}`;
    light.textContent = phrases[kind];
  }
  function listen() {
    const source = new EventSource("/v1/live");
    source.addEventListener("mode", (event) => mode(JSON.parse(event.data).mode));
    source.addEventListener("changed", (event) => changed(JSON.parse(event.data)));
    source.addEventListener("refresh", () => banner && count("refresh"));
    source.onerror = () => {
      mode("offline");
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
    };
    window.addEventListener("pagehide", () => source.close(), { once: true });
  }
  if (banner || ours) listen();
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());

  // Keys. Those of one character can be switched off (WCAG 2.1.4), and do nothing while somebody types.
  const help = one("#help"), helper = one("[data-help]"), shortcuts = one("[data-shortcuts]");
  const isOn = () => localStorage.getItem("desk-shortcuts") !== "off";
  const lines = () => all("table.queue tbody tr");
  if (helper) {
    helper.hidden = false;
    helper.addEventListener("click", () => help.showModal());
    shortcuts.checked = isOn();
    shortcuts.addEventListener("change", () => localStorage.setItem("desk-shortcuts", shortcuts.checked ? "on" : "off"));
  }
  function step(by) {
    const found = lines(), at = found.findIndex((line) => line.contains(document.activeElement));
    const next = found[at < 0 ? 0 : Math.min(Math.max(at + by, 0), found.length - 1)];
    one("a.open", next || document)?.focus();
  }
  const matters = one("[data-two-key]");
  let letter = "";
  function choose(key) {
    letter = /[a-z]/.test(key) ? key : letter;
    const code = /[a-z]/.test(key) ? key : letter + key;
    const radio = one(`[data-key="${code}"]`, matters);
    if (radio) {
      radio.checked = true;
      radio.focus();
    }
    return Boolean(radio);
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea, dialog[open]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !isOn()) return;
    const key = event.key;
    if (key === "/") one("#q")?.focus();
    else if (key === "?") help?.showModal();
    else if (matters && /^[a-z1-9]$/.test(key)) { if (!choose(key)) return; }
    else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
    else if (key === "m" && one("[data-mine]")) one("[data-mine]").click();
    else if (key === "x") one("input[type=checkbox]", document.activeElement.closest("tr") || document.createElement("i"))?.click();
    else return;
    event.preventDefault();
  });

  // Drafts: what was typed outlives a crash and the end of a session, until it is submitted or somebody signs out.
  const draft = one("form[data-draft]"), DRAFT = "desk-draft-";
  if (draft) {
    const name = `${DRAFT}${document.body.dataset.who}-${draft.dataset.draft}`;
    const fields = () => [...draft.elements].filter((field) => field.name && field.name !== "csrf_token" && !["file", "checkbox"].includes(field.type));
    const keep = () => localStorage.setItem(name, JSON.stringify(Object.fromEntries(fields().map((field) => [field.name, field.value]))));
    if (one("[data-submitted]")) localStorage.removeItem(name);
    const kept = JSON.parse(localStorage.getItem(name) || "null");
    const isUntouched = !one("#problems") && !one("[role=alert]");
    if (kept && isUntouched) {
      fields().forEach((field) => { if (kept[field.name]) field.value = kept[field.name]; });
      document.body.addEventListener("htmx:load", () => htmx.trigger(document.body, "known"), { once: true });
    }
    // What was refused is kept as it stands here, under the new number that it has now.
    if (!isUntouched) keep();
    draft.addEventListener("input", () => {
      keep();
      one("[data-draft-said]").textContent = phrases.draft_kept;
    });
  }
  one("form[data-forget]")?.addEventListener("submit", () => {
    Object.keys(localStorage).filter((key) => key.startsWith(DRAFT)).forEach((key) => localStorage.removeItem(key));
  });

  one("[data-focus]")?.focus();

  // The wall board.
  const board = one("[data-board]"), place = one("[data-plot]");
  if (board && place && window.uPlot) {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const label = (name) => one(`[data-label="${name}"]`, board).textContent;
    const read = () => all("tbody tr", board).map((line) => ({
      name: line.cells[0].textContent, numbers: line.dataset.numbers.split(" ").map(Number),
    }));
    const bars = uPlot.paths.bars({ size: [0.6, 80] });
    let plot = null;
    const draw = (found) => {
      // Bars stand behind one another, the tallest at the back: each is what it is and all before it.
      const [fine, soon, over] = [0, 1, 2].map((i) => found.map((one) => one.numbers[i]));
      const upTo = (...parts) => found.map((_, i) => parts.reduce((sum, part) => sum + part[i], 0));
      const data = [found.map((_, i) => i), upTo(over, soon, fine), upTo(over, soon), over];
      const names = found.map((one) => one.name);
      plot?.destroy();
      plot = new uPlot({
        width: place.clientWidth - 16, height: 320, cursor: { show: false }, legend: { live: false },
        scales: { x: { time: false, range: [-0.6, found.length - 0.4] }, y: { range: (_, __, top) => [0, Math.max(top * 1.1, 5)] } },
        axes: [
          { values: (_, ticks) => ticks.map((at) => names[at] ?? ""), splits: () => names.map((_, i) => i), stroke: colour("--text"), grid: { show: false } },
          { stroke: colour("--text"), grid: { stroke: colour("--line") } },
        ],
        series: [{}, ...[["on_time", "--main"], ["soon", "--soon"], ["breached", "--over"]].map(([name, c]) => ({
          label: label(name), paths: bars, fill: colour(c), stroke: colour(c), points: { show: false },
        }))],
      }, data, place);
    };
    const refresh = async () => {
      const answer = await fetch("/board.json").catch(() => null);
      if (!answer || !answer.ok) return;
      const told = await answer.json(), known = new Map(all("tbody tr", board).map((line) => [line.dataset.department, line]));
      if (told.departments.length !== known.size || told.departments.some((d) => !known.has(d.department))) return location.reload();
      for (const d of told.departments) {
        const line = known.get(d.department), numbers = [d.on_time, d.soon, d.breached];
        line.dataset.numbers = numbers.join(" ");
        [d.on_time + d.soon + d.breached, ...numbers].forEach((n, i) => {
          line.cells[i + 1].textContent = n.toLocaleString(document.documentElement.lang);
          line.cells[i + 1].classList.toggle("zero", !n);
        });
      }
      const asOf = one("[data-as-of]");
      asOf.textContent = said(phrases.as_of, { at: told.at });
      draw(read());
    };
    draw(read());
    setInterval(refresh, 5000);
    window.addEventListener("resize", () => draw(read()));
  }
})();
