// The elections at a glance, kept up to date. Without this page works as before.

import { follow } from "./live.js";
import { grouped, moment, percent } from "./figures.js";

const STATES = {
  live: "Live: figures change by themselves",
  reconnecting: "Reconnecting…",
  off: "Not live: reload the page for newer figures",
};
// Not all browsers at once.
const RESET_SPREAD_MS = 2_000;
// What no event tells, such as files received, is read again while events come.
const RELOAD_MS = 60_000;
const SOONEST_MS = 2_000;
const RETRY_MS = 20_000;

const live = document.getElementById("live");
const latest = new Map();
// Not on the page even after it was read anew: beyond the number that it shows.
const absent = new Set();
let isStale = false;
let reloadedAt = performance.now();
let timer = 0;

/** Write what is newer into its card; a card that has no place for it is read anew. */
function show(content) {
  const card = document.querySelector(`[data-election="${CSS.escape(content.election)}"]`);
  if (!card) return void (absent.has(content.election) || reloadIn(SOONEST_MS));
  if (Number(card.dataset.version) >= content.version) return;
  card.dataset.version = content.version;
  const zone = card.dataset.timezone;
  const { as_of, participation_rate } = content;
  const texts = {
    bulletins_issued: as_of && grouped(content.bulletins_issued),
    votes_cast: as_of && grouped(content.votes_cast),
    participation_rate: participation_rate === null ? null : percent(participation_rate),
    as_of: as_of && moment(as_of, zone),
  };
  for (const [name, text] of Object.entries(texts)) {
    const place = card.querySelector(`[data-figure="${name}"]`);
    if (!place !== (text === null)) reloadIn(SOONEST_MS);
    else if (place && place.textContent !== text) place.textContent = text;
  }
  card.querySelector("time[data-figure=as_of]")?.setAttribute("datetime", as_of);
}

function onMetrics({ elections }) {
  for (const content of elections) {
    const known = latest.get(content.election);
    if (known && known.version >= content.version) continue;
    latest.set(content.election, content);
    show(content);
  }
  if (performance.now() - reloadedAt > RELOAD_MS) reloadIn(RESET_SPREAD_MS);
}

function reloadIn(ms) {
  timer ||= setTimeout(reload, ms * (0.5 + Math.random() / 2));
}

/** Replace all cards by what the server shows now, and then by what came meanwhile. */
async function reload() {
  clearTimeout(timer);
  timer = 0;
  isStale = document.hidden;
  if (isStale) return;
  reloadedAt = performance.now();
  try {
    const page = await readPage();
    document.getElementById("elections").replaceWith(page.getElementById("elections"));
    live.dataset.csrf = page.getElementById("live")?.dataset.csrf ?? "";
    for (const [slug, content] of latest) {
      if (!document.querySelector(`[data-election="${CSS.escape(slug)}"]`)) absent.add(slug);
      show(content);
    }
  } catch {
    reloadIn(RETRY_MS);
  }
}

async function readPage() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) throw new Error(`No page: ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

async function getTicket() {
  const headers = { "Content-Type": "application/json" };
  if (live.dataset.csrf) headers["X-CSRFToken"] = live.dataset.csrf;
  const answer = await fetch(live.dataset.ticketUrl, { method: "POST", headers, body: "{}" });
  if (!answer.ok) throw new Error(`No ticket: ${answer.status}`);
  return answer.json();
}

function onState(state) {
  live.className = `live is-${state}`;
  // A reader of the screen hears a change of this text, and none that is no change.
  if (live.textContent !== STATES[state]) live.textContent = STATES[state];
}

// A page that was hidden is read anew when somebody looks at it.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && (isStale || performance.now() - reloadedAt > RELOAD_MS)) reload();
});

follow({
  stream: "overview",
  after: live.dataset.after,
  getTicket,
  onMetrics,
  onReset: () => reloadIn(RESET_SPREAD_MS),
  onState,
});
