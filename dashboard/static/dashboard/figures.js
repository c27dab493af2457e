// Numbers and times as the pages write them: see election_monitor/templatetags/figures.py.

const NARROW_SPACE = "\u202f";

/** @param {number} number */
export function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, NARROW_SPACE);
}

/** @param {number} rate in percent */
export function percent(rate) {
  // Python rounds a half to the even digit, and of the halves only .25 is one below it here.
  const even = (rate * 4) % 4 === 1 ? rate - 0.05 : rate;
  const [whole, decimal] = even.toFixed(1).split(".");
  return `${grouped(whole)}.${decimal}${NARROW_SPACE}%`;
}

/**
 * @param {string} iso
 * @param {string} zone
 */
export function moment(iso, zone) {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "longOffset",
  });
  const parts = Object.fromEntries(
    format.formatToParts(new Date(iso)).map(({ type, value }) => [type, value]),
  );
  const offset = parts.timeZoneName.replace("GMT", "") || "+00:00";
  const clock = `${parts.hour}:${parts.minute}:${parts.second}`;
  return `${parts.day} ${parts.month} ${parts.year}, ${clock} UTC${offset}`;
}
