import { ALIVE_EVENT, ALIVE_MS, EVENTS_PATH, SECTIONS_EVENT } from "./view.ts";

/** Relative, so that the page also works below a path of a reverse proxy. */
const EVENTS_URL = EVENTS_PATH.slice(1);

const RETRY_MS = 5_000;
/** The server ends a connection from time to time; the browser then connects again. */
const GRACE_MS = 6_000;

/**
 * The script of the page: keeps times current and replaces what has changed. It patches elements in place, so that focus,
 * selected text, open details and scroll positions stay.
 */
export const SCRIPT = `
(() => {
  const skew = Number(document.body.dataset.now) - Date.now();
  const now = () => Date.now() + skew;
  const byId = (id) => document.getElementById(id);

  const span = (ms) => {
    const seconds = Math.max(1, Math.floor(ms / 1000));
    if (seconds < 60) return seconds + " s";
    if (seconds < 3600) return Math.floor(seconds / 60) + " min";
    if (seconds < 172800) return Math.floor(seconds / 3600) + " h";
    return Math.floor(seconds / 86400) + " days";
  };
  const two = (value) => String(value).padStart(2, "0");
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const local = (date) => {
    const minute = two(date.getHours()) + ":" + two(date.getMinutes());
    if (date.toDateString() === new Date(now()).toDateString()) return minute;
    return date.getDate() + " " + MONTHS[date.getMonth()] + " " + minute;
  };
  const TEXTS = {
    ago: (date, ms) => (ms < 2000 ? "just now" : span(ms) + " ago"),
    ahead: (date, ms) => (ms >= 0 ? "now" : "in " + span(-ms)),
    for: (date, ms) => span(ms),
    at: (date) => local(date),
    clock: (date) => date.toTimeString().slice(0, 8),
  };
  const tick = (root) => {
    for (const time of root.querySelectorAll("time[data-shown]")) {
      const date = new Date(time.dateTime);
      const text = TEXTS[time.dataset.shown](date, now() - date.getTime());
      if (time.textContent !== text) time.textContent = text;
      time.title = date.toLocaleString();
    }
  };

  const keyOf = (node) => node.nodeType === 1 ? node.id || node.dataset.key : undefined;
  const find = (start, child) => {
    const key = keyOf(child);
    for (let node = start; node; node = node.nextSibling) {
      if (key ? keyOf(node) === key : node.isEqualNode(child)) return node;
      if (child.nodeType !== 1) return undefined;
    }
  };
  const isPatchable = (node, child) =>
    node && node.nodeType === child.nodeType && node.nodeName === child.nodeName && keyOf(node) === keyOf(child);
  const patch = (old, next) => {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== 1) { old.nodeValue = next.nodeValue; return; }
    for (const { name } of [...old.attributes]) {
      if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const keys = new Set([...next.childNodes].map(keyOf));
    for (const child of [...old.childNodes]) {
      if (keyOf(child) && !keys.has(keyOf(child))) child.remove();
    }
    let at = old.firstChild;
    for (const child of [...next.childNodes]) {
      const found = find(at, child);
      if (found && keyOf(child)) { if (found !== at) old.insertBefore(found, at); }
      else while (found && at !== found) { const gone = at; at = at.nextSibling; gone.remove(); }
      if (found || isPatchable(at, child)) {
        const kept = found || at;
        patch(kept, child);
        at = kept.nextSibling;
      } else old.insertBefore(child, at);
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  };

  const say = (text) => { byId("news").textContent = text; };
  const replace = (id, html) => {
    const next = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
    const old = byId(id);
    if (!old || !next) return;
    tick(next);
    const before = old.dataset.news;
    patch(old, next);
    if (id !== "summary") return;
    document.title = old.dataset.title;
    byId("icon").href = old.dataset.icon;
    if (old.dataset.news !== before) say(old.dataset.news);
  };
  const receive = (event) => {
    tick(document);
    for (const [id, html] of Object.entries(JSON.parse(event.data))) replace(id, html);
  };

  const connection = byId("connection");
  const show = (state, text, since) => {
    connection.dataset.state = state;
    connection.firstElementChild.textContent = text;
    const time = connection.querySelector("time");
    time.hidden = since === undefined;
    if (since === undefined) return;
    time.dateTime = new Date(since).toISOString();
    time.dataset.shown = "ago";
    tick(connection);
  };
  let source, heardAt, downAt, isLost = false;
  const alive = () => {
    heardAt = now();
    downAt = undefined;
    if (isLost) say("Connected again");
    isLost = false;
    if (connection.dataset.state !== "live") show("live", "Live");
  };
  const connect = () => {
    source = new EventSource("${EVENTS_URL}");
    source.onopen = alive;
    source.onerror = () => {
      downAt ??= now();
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, ${RETRY_MS});
    };
    source.addEventListener("${ALIVE_EVENT}", alive);
    source.addEventListener("${SECTIONS_EVENT}", (event) => { alive(); receive(event); });
  };
  const watch = () => {
    if (downAt === undefined && now() - heardAt > ${3 * ALIVE_MS}) {
      downAt = heardAt;
      source.close();
      connect();
    }
    if (isLost || !(now() - downAt > ${GRACE_MS})) return;
    isLost = true;
    say("Connection lost");
    show("lost", "Connection lost", downAt);
  };
  tick(document);
  setInterval(() => { watch(); if (!document.hidden) tick(document); }, 1000);
  document.addEventListener("visibilitychange", () => tick(document));
  connect();
})();
`;
