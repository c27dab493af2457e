// One EventSource for all tabs of a browser.
//
// Over HTTP/1.1 a browser opens six connections to a host, and a seventh tab would hang. So
// the tabs elect a leader by a lock. It has the stream and passes on what comes; when it is
// closed, the lock goes to the next tab, which resumes behind the last id that it has heard.

const NAME = "election-monitor-live";
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Follow a stream until the page is closed.
 *
 * @param {object} options
 * @param {string} options.stream names what is followed: tabs that follow the same share it
 * @param {string} options.after the id behind which events are wanted; empty for only new ones
 * @param {() => Promise<{url: string, ticket: string}>} options.getTicket
 * @param {(content: any) => void} options.onMetrics gets absolute totals, maybe repeated
 * @param {() => void} options.onReset is called when all figures have to be read anew
 * @param {(state: "live" | "reconnecting" | "off") => void} options.onState
 */
export function follow({ stream, after, getTicket, onMetrics, onReset, onState }) {
  let lastId = after;
  let state = "reconnecting";
  const channel = new BroadcastChannel(`${NAME}:${stream}`);
  // The newest totals, for tabs that come later: theirs may be older than our stream.
  const latest = new Map();

  function take(message) {
    if (message.id) lastId = message.id;
    if (message.kind === "metrics") {
      for (const each of message.content.elections) latest.set(each.election, each);
      onMetrics(message.content);
    }
    if (message.kind === "reset") onReset();
    if (message.kind === "state") onState((state = message.state));
  }

  function tell(message) {
    take(message);
    channel.postMessage(message);
  }

  function isLeading() {
    channel.onmessage = ({ data }) => {
      if (data.kind !== "joined") return;
      const elections = [...latest.values()];
      const content = { elections, constituencies: [] };
      channel.postMessage({ kind: "metrics", content, id: lastId });
      channel.postMessage({ kind: "state", state });
    };
  }

  async function lead() {
    isLeading();
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      try {
        const wasLive = await listen(await getTicket(), lastId, tell);
        if (wasLive) pause = FIRST_PAUSE_MS;
        tell({ kind: "state", state: "reconnecting" });
      } catch {
        // No ticket: not allowed any more, or the web process is away.
        tell({ kind: "state", state: "off" });
      }
      await sleep(pause * (0.5 + Math.random()));
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
  }

  channel.onmessage = ({ data }) => data.kind !== "joined" && take(data);
  channel.postMessage({ kind: "joined" });
  // Locks exist in secure contexts alone; elsewhere each tab has a stream of its own.
  if (navigator.locks) navigator.locks.request(`${NAME}:${stream}`, lead);
  else lead();
}

/**
 * Pass on a stream until the server refuses it; what merely tears is the browser's matter.
 *
 * @returns {Promise<boolean>} whether it was ever open
 */
function listen({ url, ticket }, after, tell) {
  const address = new URL(url, location.href);
  address.searchParams.set("ticket", ticket);
  if (after) address.searchParams.set("after", after);
  const source = new EventSource(address);
  let wasLive = false;
  return new Promise((resolve) => {
    source.addEventListener("hello", ({ lastEventId: id }) => {
      // Without an id the page does not know what it has missed.
      if (!after && !wasLive) tell({ kind: "reset" });
      wasLive = true;
      tell({ kind: "state", state: "live", id });
    });
    source.addEventListener("metrics", ({ data, lastEventId: id }) =>
      tell({ kind: "metrics", content: JSON.parse(data), id }),
    );
    source.addEventListener("reset", ({ lastEventId: id }) => tell({ kind: "reset", id }));
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) resolve(wasLive);
      else tell({ kind: "state", state: "reconnecting" });
    });
  });
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
